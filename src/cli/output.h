/* Standard output: gathered, and written in large pieces. Who reads it may go away at any time (`| head`): that is an
 * end, not a failure. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include "base/buf.h"
#include "base/err.h"

struct output {
	struct buf text; /* not written yet */
	bool lost;       /* nobody reads it any more: that was the ERR_CLOSED */
};

/* Ignores SIGPIPE from here on. */
void output_init(struct output *o);
/* Writes nothing more. */
void output_finish(struct output *o);

/* Appends; writes it out when it has become much. ERR_CLOSED: the reader has gone, or the process is asked to stop
 * while the reader does not read. ERR_NOMEM, ERR_IO. */
enum err output_add(struct output *o, const void *bytes, size_t len, struct fault *fault);
/* Writes all of it. The same errors. */
enum err output_flush(struct output *o, struct fault *fault);
/* False once the reader has gone. */
bool output_has_reader(void);

#endif
