/* A request and its reply, as handlers see them. No handler knows libmicrohttpd.
 *
 *     headers ─▶ body ─▶ suspended: handler ─▶ request_done ─▶ resumed: reply ─▶ destroyed
 *                          (on a pool thread, or here and now)
 *
 * A handler that takes the socket (request_take_socket) ends it without a reply. One thread at a time has a request. */
#ifndef SERVER_HTTP_REQUEST_H
#define SERVER_HTTP_REQUEST_H

#include "base/buf.h"
#include "base/url.h"
#include "engine/work/pool.h"
#include "server/access/access.h"
#include "server/message/request_peek.h"

struct http_request;

/* Fills in the reply and calls request_done, at once or later, on any thread. */
typedef void http_handler(void *arg, struct http_request *x, struct reader *reader);

/* --- the request --- */

const struct url *request_url(const struct http_request *x);
/* The segment that {} matched, decoded. */
struct slice request_segment(const struct http_request *x);
/* The head, without the URL. */
const struct request_peek *request_head(const struct http_request *x);
/* The URL; the caller owns it and calls url_finish. */
struct url request_url_take(struct http_request *x);
/* The value of a header; empty: there is none. */
struct slice request_header(const struct http_request *x, const char *name);
/* Calls `visit` for each header whose name begins with `prefix` (ignoring case), with the rest of its name. Both slices
 * live as long as the request. */
typedef void header_visit(void *arg, struct slice name, struct slice value);
void request_each_header(const struct http_request *x, const char *prefix, header_visit *visit, void *arg);
/* What the request is permitted; borrowed. */
const struct grant *request_grant(const struct http_request *x);
/* An identity of its connection; never 0. */
uint64_t request_connection(const struct http_request *x);
/* The peer that sent it (server/message/peer.h). */
uint64_t request_peer(const struct http_request *x);
size_t request_body_len(const struct http_request *x);
/* The body; the caller owns it and frees it. */
char *request_body_take(struct http_request *x, size_t *len);
/* Keeps a pointer with the request until the request is destroyed, which calls `destroy`. */
void request_keep(struct http_request *x, void *state, void (*destroy)(void *state));
void *request_state(const struct http_request *x);

/* --- the reply --- */

void request_status(struct http_request *x, int status, const char *content_type);
void request_add_header(struct http_request *x, const char *name, const char *value);
/* The client that limits count: the token, or else the peer. */
uint64_t request_client(const struct http_request *x);
/* The request may stay open for long while it has nothing to do (a long poll, a stream): counts it as such. ERR_RATE: its
 * client has too many; ERR_BUSY: there are too many in total. */
enum err request_stay(struct http_request *x, struct fault *fault);
/* The largest body that may be held in memory whole at the moment, in bytes: bounded by the client's share, and with half
 * of it left for other requests. 0: the request has to be refused; `fault` (may be NULL) gets the reason. */
size_t request_reply_max(const struct http_request *x, struct fault *fault);
/* The same for a reply that may stay in memory for long: all of those together leave half of the memory for the others. */
size_t request_reply_max_long(const struct http_request *x);
/* Counts the bytes that an endless reply holds in memory from now on. For other replies request_done does it. */
void request_hold(struct http_request *x, size_t bytes);
/* The buffer for the body. */
struct buf *request_out(struct http_request *x);
/* Sets a body that lives as long as the program. */
void request_static(struct http_request *x, const void *bytes, size_t len);
/* 404: there is nothing at the path; the detail names a similar path. */
void request_not_found(struct http_request *x);
/* Sets an application/problem+json body; the status follows from the fault's code. */
void request_fault(struct http_request *x, const struct fault *fault);
/* The same with an explicit status. */
void request_problem(struct http_request *x, int status, const char *detail);

/* A streamed body: `read` is called on the network thread whenever the socket takes more. It returns the number of bytes
 * written to `out`, HTTP_END, HTTP_BROKEN, or HTTP_WAIT after request_wait. */
enum { HTTP_WAIT = 0, HTTP_END = -1, HTTP_BROKEN = -2 };
typedef long http_read(struct http_request *x, void *state, char *out, size_t max);
void request_stream(struct http_request *x, http_read *read);
/* The length of the stream in bytes (Content-Length), so that the client notices when it is aborted. */
void request_length(struct http_request *x, uint64_t bytes);
/* From within `read`: do not call `read` until request_resume. Call it before any thread can resume. */
void request_wait(struct http_request *x);
/* The same until `run`, on a pool thread, calls request_resume; `run` starts once reply memory is free
 * (request_defer_reply). False: the server is shutting down, and the request does not wait. */
bool request_wait_for(struct http_request *x, http_handler *run);
/* Any thread, once per wait. */
void request_resume(struct http_request *x);
/* Aborts the connection of a stream whose client does not read: its socket fails from now on. Any thread, as long as the
 * request lives. */
void request_cut(struct http_request *x);

/* Takes the socket away from the HTTP server. Only for a ROUTE_DIRECT handler, which then calls request_done; there is no
 * reply. The caller owns the socket and calls on_close with `*peer` in the end. Bytes that the client sent after the
 * request may be lost. ERR_IO: there is no descriptor left, and nothing has changed. */
enum err request_take_socket(struct http_request *x, int *fd, uint64_t *peer, struct fault *fault);

/* Continues the handler as `run` on a pool thread. Only while the request is suspended, before request_done. */
void request_defer(struct http_request *x, http_handler *run);
/* What is deferred from now on runs on the pool's slow thread, because it needs much CPU time. */
void request_slow_down(struct http_request *x);
/* The same for a handler whose reply is held in memory: runs it once reply memory is free, or after 20 s without any. */
void request_defer_reply(struct http_request *x, http_handler *run);

/* The reply is complete. Any thread; the request must not be touched afterwards. */
void request_done(struct http_request *x);

#endif
