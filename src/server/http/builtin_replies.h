/* Replaces the answers that libmicrohttpd itself gives to malformed HTTP by problem documents. */
#ifndef SERVER_HTTP_BUILTIN_REPLIES_H
#define SERVER_HTTP_BUILTIN_REPLIES_H

#include "base/buf.h"

/* Looks up the library's functions that this file replaces. Call it before the first daemon starts. `base` is the prefix
 * of the server's paths; it must outlive all daemons. */
void builtin_replies_init(const char *base);

/* Appends the status line and headers of a response that libmicrohttpd does not send and that ends its connection, with
 * the headers that the library would add, for a body of `body` bytes. */
void builtin_replies_begin(struct buf *out, int status, size_t body);

#endif
