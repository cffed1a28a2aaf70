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

/* Fills in the reply and calls request_done, now or later, from whatever thread. */
typedef void http_handler(void *arg, struct http_request *x, struct reader *reader);

/* --- the request --- */

const struct url *request_url(const struct http_request *x);
/* The segment that {} stood for, decoded. */
struct slice request_segment(const struct http_request *x);
/* What its head says, but for the URL. */
const struct request_peek *request_head(const struct http_request *x);
/* The URL, which is the caller's from now on (url_finish). */
struct url request_url_take(struct http_request *x);
/* Empty where there is none. */
struct slice request_header(const struct http_request *x, const char *name);
/* Calls `visit` for each header whose name begins with `prefix` (case does not matter), with the rest of its name; what it
 * is given lives as long as the request. */
typedef void header_visit(void *arg, struct slice name, struct slice value);
void request_each_header(const struct http_request *x, const char *prefix, header_visit *visit, void *arg);
/* What the request may do; borrowed. */
const struct grant *request_grant(const struct http_request *x);
/* Its connection, told from any other; not 0. */
uint64_t request_connection(const struct http_request *x);
/* Who sent it (server/message/peer.h). */
uint64_t request_peer(const struct http_request *x);
size_t request_body_len(const struct http_request *x);
/* The body, which is the caller's from now on (free). */
char *request_body_take(struct http_request *x, size_t *len);
/* A pointer that a handler may keep with the exchange until it is destroyed, and how to free it. */
void request_keep(struct http_request *x, void *state, void (*destroy)(void *state));
void *request_state(const struct http_request *x);

/* --- the reply --- */

void request_status(struct http_request *x, int status, const char *content_type);
void request_add_header(struct http_request *x, const char *name, const char *value);
/* Whom limits count it for: a token, else the peer. */
uint64_t request_client(const struct http_request *x);
/* The request stays: it may be under way for long by its nature, without anything to do. Counts it as such; ERR_RATE,
 * ERR_BUSY: its client has as many as it may, or there are too many. */
enum err request_stay(struct http_request *x, struct fault *fault);
/* How large the body may become where it is held whole, so that those who do not read theirs keep no more than they may, and
 * leave room for those who do. 0: it has to be refused; `fault` (NULL: none) says why. */
size_t request_room(const struct http_request *x, struct fault *fault);
/* The same for a reply that may stay for long: those leave half of all for the others. */
size_t request_room_long(const struct http_request *x);
/* How much a reply without end keeps in memory from here on (request_done sees to the others). */
void request_hold(struct http_request *x, size_t bytes);
/* Where the body goes. */
struct buf *request_out(struct http_request *x);
/* A body that lives as long as the program. */
void request_static(struct http_request *x, const void *bytes, size_t len);
/* 404: there is nothing at the path, with what may have been meant. */
void request_nothing(struct http_request *x);
/* application/problem+json; the status follows from the code. */
void request_fault(struct http_request *x, const struct fault *fault);
/* The same with a status of one's own. */
void request_problem(struct http_request *x, int status, const char *detail);

/* A body without end, or of unknown length: `read` is called on the network thread whenever there is room. It returns
 * bytes written to `out`, HTTP_END, HTTP_BROKEN, or HTTP_WAIT after request_wait. */
enum { HTTP_WAIT = 0, HTTP_END = -1, HTTP_BROKEN = -2 };
typedef long http_read(struct http_request *x, void *state, char *out, size_t max);
void request_stream(struct http_request *x, http_read *read);
/* How long the stream is going to be; a reader is told so beforehand, and sees when it breaks off. */
void request_length(struct http_request *x, uint64_t bytes);
/* From within `read`: stop calling until request_resume. To be called before anybody can resume. */
void request_wait(struct http_request *x);
/* The same until `run`, on a pool thread, resumes it, once there is room for its reply (request_defer_reply). False: the
 * server shuts down, nothing waits. */
bool request_wait_for(struct http_request *x, http_handler *run);
/* Any thread, once per wait. */
void request_resume(struct http_request *x);
/* Ends the connection of a stream whose reader does not read: its socket fails from now on. Any thread, while the
 * exchange lives. */
void request_cut(struct http_request *x);

/* Takes the socket of the connection away from the HTTP server, of a ROUTE_DIRECT handler only; request_done follows, and
 * no reply. The socket is the caller's, and so is on_close, with `*peer`. What the client has sent behind the request may
 * be lost. ERR_IO: there is no descriptor for it, and nothing has changed. */
enum err request_take_socket(struct http_request *x, int *fd, uint64_t *peer, struct fault *fault);

/* Runs something for the exchange on a pool thread: a handler that goes on later. Only while the exchange waits for
 * it, before request_done. */
void request_defer(struct http_request *x, http_handler *run);
/* From now on what is deferred runs on the pool's slow thread: it takes much of a processor. */
void request_slow_down(struct http_request *x);
/* The same for what makes a reply that is held in memory: once there is room for it, and after 20 s without. */
void request_defer_reply(struct http_request *x, http_handler *run);

/* The reply is complete. Any thread; the exchange must not be touched afterwards. */
void request_done(struct http_request *x);

#endif
