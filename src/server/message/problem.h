/* Errors as users see them: statuses, titles, and RFC 9457 problem documents. Every problem has a type of its own,
 * /problems/NAME, at which a page explains it. */
#ifndef SERVER_MESSAGE_PROBLEM_H
#define SERVER_MESSAGE_PROBLEM_H

#include "base/buf.h"
#include "base/err.h"

/* The HTTP status of an error of ours. */
int problem_status(enum err code);
/* The reason phrase of a status ("Not Found"). */
const char *problem_title(int status);
/* Seconds after which trying again makes sense, spread at random so that those who were refused together do not return
 * together; 0: it does not. */
int problem_retry_after(int status);

/* How a problem document is written. */
struct problem_form {
	const char *base; /* of the server's paths (--base-path): "" or "/…" */
	bool lines;       /* the place is a line, not an index */
};
/* The JSON document. */
void problem_write(struct buf *out, int status, const struct fault *fault, struct problem_form form);

/* The same as an op: {"op":"error",…}. `ref` is the client's own mark, JSON text; empty: it gave none. */
void problem_write_op(struct buf *out, int status, const struct fault *fault, const char *base, struct slice ref);

/* The page that explains a problem, as HTML; false where there is none of that name. An empty name: the list of all. */
bool problem_page(struct buf *out, struct slice name);

/* A reason for everybody's eyes: of each path in it what is of Tidemark's own naming is left. */
void problem_hide_paths(char *out, size_t size, const char *text);

#endif
