/* Standard input, line by line: what is there is handed out at once, and a file still goes in large pieces. */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* Told of a line that is passed over since it is too long. */
typedef void line_skipped(void *arg, uint64_t line, const char *why);

struct input {
	line_skipped *skip; /* NULL: such a line is an error */
	void *skip_arg;
	bool skipping;   /* the line that begins here is not handed out */
	struct buf text; /* read, and not handed out yet from `at` on */
	size_t at;
	size_t searched; /* up to here there is no newline */
	bool ended;
	uint64_t line;  /* the number of the line handed out last, from 1 */
	uint64_t bytes; /* read so far */
	uint64_t all;   /* bytes in all; 0 where nobody knows */
};

void input_init(struct input *in);
void input_finish(struct input *in);

/* The next line that has been read already, without its newline: the caller may write over it, and it stays until the
 * next input_read. False when there is none. */
bool input_line(struct input *in, char **line, size_t *len);

enum input_state {
	INPUT_SOME,    /* more was read; there may be lines now */
	INPUT_NOTHING, /* one would have to wait */
	INPUT_ENDED,
	INPUT_STOPPED, /* the process is asked to stop */
	INPUT_FAILED,
};
/* Reads on; where there is nothing yet, waits only if told to. */
enum input_state input_read(struct input *in, bool wait, struct fault *fault);

#endif
