/* The events of a request to the server: envelopes, one per line. Each has an id, so that sending it twice stores it
 * once. */
#ifndef CLI_CLIENT_BATCH_FILE_H
#define CLI_CLIENT_BATCH_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum { BATCH_FILE_RUN_LEN = 16 };

/* Defaults for envelopes. */
struct batch_file_names {
	const char *stream;               /* NULL: the server's default */
	const char *type;                 /* NULL: the server's default */
	char run[BATCH_FILE_RUN_LEN + 1]; /* random: with a number it forms the id of an event that has none */
	uint64_t numbered;
};
void batch_file_names_init(struct batch_file_names *n, const char *stream, const char *type);

struct batch_file_entry {
	size_t end;    /* of its line in `text` */
	uint64_t line; /* its line in the input */
	bool numbered; /* its id was made by this process: no other publisher uses it */
};

struct batch_file {
	struct buf text;
	struct buf clean; /* scratch: a line of text as UTF-8 */
	struct buf data;  /* scratch: the document made from it */
	struct batch_file_entry *entries;
	size_t count;
	size_t cap;
};

void batch_file_init(struct batch_file *p);
void batch_file_finish(struct batch_file *p);
void batch_file_clear(struct batch_file *p);

/* Adds the event in `text` (one JSON document, overwritten); white space alone is skipped. ERR_INVALID or ERR_TOO_LARGE:
 * `fault` names `line`, and the batch is unchanged. */
enum err batch_file_add_document(struct batch_file *p, struct batch_file_names *names, char *text, size_t len, uint64_t line,
				 struct fault *fault);
/* Adds an event with the data {"line":"…"}. Invalid UTF-8 is replaced by U+FFFD. */
enum err batch_file_add_text(struct batch_file *p, struct batch_file_names *names, const char *text, size_t len,
			     uint64_t line, struct fault *fault);

/* How many of `count` entries from `first` on have an id made by this process. */
uint64_t batch_file_numbered(const struct batch_file *p, size_t first, size_t count);
/* The lines of `count` entries from `first` on. */
struct slice batch_file_part(const struct batch_file *p, size_t first, size_t count);

#endif
