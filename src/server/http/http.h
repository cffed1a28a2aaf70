/* HTTP over libmicrohttpd: the listener hands sockets in, handlers get requests (request.h). Only the files of this
 * folder know libmicrohttpd. */
#ifndef SERVER_HTTP_HTTP_H
#define SERVER_HTTP_HTTP_H

#include "engine/work/quota.h"
#include "server/access/request_guard.h"
#include "server/http/http_loop.h"
#include "server/http/request.h"

struct http;

enum http_route_flag {
	ROUTE_DIRECT = 1 << 0,   /* runs on the network thread, without a reader: must not block */
	ROUTE_CATCHALL = 1 << 1, /* may find nothing at the path: other methods get a 404, not a 405 */
	ROUTE_OPEN = 1 << 2, /* pages of any web origin may read it (CORS); pages of --allow-origin may read every route */
	/* Its reply may be large and is held in memory until it is read: waits for reply memory (request_reply_max). */
	ROUTE_HELD = 1 << 4,
	/* When no reply memory is free, the handler runs with a budget of QUOTA_SMALL_REPLY bytes. If the reply exceeds
	 * it, the handler runs again once memory is free; request_state is then as the first run left it. */
	ROUTE_SMALL = 1 << 5,
	ROUTE_PACKED = 1 << 6, /* its reply is compressed on the pool if the request allows that (Accept-Encoding) */
	ROUTE_PARAMS = 1 << 7, /* its handler reads the query parameters; all other routes refuse any (400) */
	ROUTE_SOCKET = 1 << 3, /* a WebSocket: although it is a GET, only pages of allowed origins may ask for it */
};

struct http_route {
	const char *method;
	const char *path;           /* a segment {} matches any one segment, a last {+} the rest of the path */
	enum permission permission; /* what the token of a request must permit */
	http_handler *handle;
	unsigned flags;
};

/* Routes whose handlers get the same `arg`. */
struct http_routes {
	const struct http_route *table; /* ends with a NULL method */
	void *arg;
};

struct http_options {
	const struct http_routes
		*routes; /* ends with a NULL table; the first route that matches a path and method is taken */
	size_t body_max;
	/* Counts uploads, and replies that wait to be read: handlers ask request_reply_max. Requests wait for memory, and
	 * connections that take nothing of their reply are cut to free it. */
	struct quotas *quotas;
	int connections_max;
	int64_t timeout_ms;       /* for the next head on a connection, and three times that for a body; see http_conn.h */
	size_t connection_memory; /* for the head of a request, and for the bytes being sent */
	bool once;                /* a connection ends with its first reply, unless the reply is an endless stream */
	const struct request_guard *guard;
	/* A connection that came in by http_add_take has ended. */
	void (*on_close)(void *arg, uint64_t peer);
	void *on_close_arg;
	/* A WebSocket request gets an HTTP response instead. */
	void (*on_unopened)(void *arg);
	void *on_unopened_arg;
};

enum err http_create(struct pool *pool, struct http_options options, struct http **out, struct fault *fault);
/* Answers 503 to new requests. When it returns, nothing more is handed to the pool. */
void http_refuse(struct http *h);
/* All requests must be done, and none may be waiting. NULL is fine. */
void http_destroy(struct http *h);

/* Call it every few hundred milliseconds: ends connections whose client has vanished, or is too slow. */
void http_sweep(struct http *h);
/* http_idle_since: since when the connection that has been without a request longest is idle (monotonic ms; INT64_MAX:
 * none is). http_end_idle ends it; false: there is none. Any thread. */
int64_t http_idle_since(struct http *h);
bool http_end_idle(struct http *h);
/* Tokens were reloaded: ends requests whose token is no longer valid. Any thread. */
void http_recheck(struct http *h);
/* How many connections were ended for being slow or idle. Any thread. */
uint64_t http_slow(struct http *h);

/* Takes an accepted socket; closes it if the server is at its limit. Any thread. */
void http_add_take(struct http *h, struct accepted_socket *a);

#endif
