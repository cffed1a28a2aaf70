/* Standard output, buffered and written in large pieces. Its reader may close it at any time (`| head`): that is an end,
 * not an error. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include "base/buf.h"
#include "base/err.h"

struct output {
	struct buf text; /* not written yet */
	bool lost;       /* the reader has closed it, and ERR_CLOSED was returned */
};

/* Ignores SIGPIPE from now on. */
void output_init(struct output *o);
/* Discards unwritten bytes. */
void output_finish(struct output *o);

/* Appends bytes, and writes when there are many. ERR_CLOSED: the reader has closed the output, or the process was asked
 * to stop while the reader does not read. ERR_NOMEM, ERR_IO. */
enum err output_add(struct output *o, const void *bytes, size_t len, struct fault *fault);
/* Writes everything. The same errors. */
enum err output_flush(struct output *o, struct fault *fault);
/* False: the reader has closed the output. */
bool output_has_reader(void);

#endif
