/* Errors as users see them: statuses, titles, and RFC 9457 problem documents. */
#ifndef NET_PROBLEM_H
#define NET_PROBLEM_H

#include "base/buf.h"
#include "tidemark/err.h"

/* The HTTP status of an error of ours. */
int problem_status(enum err code);
/* The reason phrase of a status ("Not Found"). */
const char *problem_title(int status);
/* Seconds after which trying again makes sense, spread at random so that those who were refused together do not return
 * together; 0: it does not. */
int problem_retry_after(int status);
/* The JSON document. `line_form`: the place is a line, not an index. */
void problem_write(struct buf *out, int status, const struct fault *fault, bool line_form);

#endif
