/* Standard input, line by line: available lines are handed out at once, and files are read in large blocks. */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* Called for a line that is skipped because it is too long. */
typedef void line_skipped(void *arg, uint64_t line, const char *why);

struct input {
	line_skipped *skip; /* NULL: a line that is too long is an error */
	void *skip_arg;
	bool skipping;   /* the line that begins here is skipped */
	struct buf text; /* bytes that were read; those from `at` on are not handed out yet */
	size_t at;
	size_t searched; /* there is no newline before this position */
	bool ended;
	uint64_t line;  /* number of the last line handed out, from 1 */
	uint64_t bytes; /* number of bytes read */
	uint64_t all;   /* total number of bytes; 0: unknown */
};

void input_init(struct input *in);
void input_finish(struct input *in);

/* The next line that has been read, without its newline. The caller may overwrite it; it is valid until the next
 * input_read. False: there is none. */
bool input_line(struct input *in, char **line, size_t *len);

enum input_state {
	INPUT_SOME,    /* bytes were read; there may be lines now */
	INPUT_NOTHING, /* a read would block */
	INPUT_ENDED,
	INPUT_STOPPED, /* the process was asked to stop */
	INPUT_FAILED,
};
/* Reads more. If nothing is available, blocks only if `wait` is set. */
enum input_state input_read(struct input *in, bool wait, struct fault *fault);

#endif
