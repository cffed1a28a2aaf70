/* The answers that libmicrohttpd gives by itself, to HTTP that is malformed: they are problem documents like any other. */
#ifndef SERVER_HTTP_BUILTIN_REPLIES_H
#define SERVER_HTTP_BUILTIN_REPLIES_H

#include "base/buf.h"

/* Finds the functions of the library that this file stands in front of. Before the first daemon is started. `base` is that
 * of the server's paths, borrowed for as long as there is one. */
void builtin_replies_init(const char *base);

/* Appends the beginning of an answer that libmicrohttpd does not send, and that ends its connection: the status line and the
 * headers that the library would add, for a body of that many bytes. */
void builtin_replies_begin(struct buf *out, int status, size_t body);

#endif
