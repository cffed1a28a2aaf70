/* Reading a request's head where it lies in a socket's buffer: just enough to tell a WebSocket from all else. */
#ifndef NET_HEAD_H
#define NET_HEAD_H

#include <stdbool.h>

#include "tidemark/slice.h"

enum { HEAD_LINES_MAX = 100 }; /* headers; parameters are limited in url.h */

enum head_kind {
	HEAD_INCOMPLETE, /* more may come */
	HEAD_GARBAGE,    /* no HTTP at all */
	HEAD_TOO_LARGE,  /* more lines or parameters than the HTTP server could take */
	HEAD_BAD_BODY,   /* Content-Length and Transfer-Encoding make no sense */
	HEAD_HTTP,       /* a whole head, for the HTTP server */
	HEAD_STREAM,     /* the same: a GET that asks for an endless stream of events */
	HEAD_WEBSOCKET,  /* a well-formed upgrade to WebSocket version 13 */
};

struct head {
	size_t len; /* with the blank line */
	struct slice target;
	struct slice key;    /* Sec-WebSocket-Key */
	struct slice origin; /* empty where there is none */
	struct slice host;
	struct slice authorization;
	struct slice forwarded; /* X-Forwarded-For, the last of them */
};

/* `bytes` begin at the start of the connection. The slices point into them. */
enum head_kind head_read(struct slice bytes, struct head *out);

#endif
