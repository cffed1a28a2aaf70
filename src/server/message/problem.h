/* Errors as users see them: statuses, titles, and RFC 9457 problem documents. Every problem has a type, /problems/NAME,
 * which is the address of a page that explains it. */
#ifndef SERVER_MESSAGE_PROBLEM_H
#define SERVER_MESSAGE_PROBLEM_H

#include "base/buf.h"
#include "base/err.h"

/* The HTTP status of an error code. */
int problem_status(enum err code);
/* The reason phrase of a status ("Not Found"). */
const char *problem_title(int status);
/* Seconds to wait before a retry, randomized so that refused clients do not return at the same time; 0: a retry makes no
 * sense. */
int problem_retry_after(int status);

/* Options of a problem document. */
struct problem_options {
	const char *base; /* prefix of the server's paths (--base-path): "" or "/…" */
	bool lines;       /* fault.place is a line number, not an index */
};
/* Appends the JSON document. */
void problem_write(struct buf *out, int status, const struct fault *fault, struct problem_options form);

/* Appends the problem as an op: {"op":"error",…}. `ref` is the client's correlation value, as JSON text; empty: none. */
void problem_write_op(struct buf *out, int status, const struct fault *fault, const char *base, struct slice ref);

/* Appends the HTML page that explains a problem; false: there is no such problem. An empty name: the list of all
 * problems. */
bool problem_page(struct buf *out, struct slice name);

/* Copies a text for unauthenticated clients: paths are reduced to the parts that Tidemark itself names. */
void problem_hide_paths(char *out, size_t size, const char *text);

#endif
