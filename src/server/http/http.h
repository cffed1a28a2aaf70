/* HTTP over libmicrohttpd: sockets come in from the listener, requests (request.h) go out to handlers. Only the files of
 * this room know libmicrohttpd. */
#ifndef SERVER_HTTP_HTTP_H
#define SERVER_HTTP_HTTP_H

#include "engine/work/quota.h"
#include "server/access/request_guard.h"
#include "server/http/http_loop.h"
#include "server/http/request.h"

struct http;

enum http_route_flag {
	ROUTE_DIRECT = 1 << 0,   /* runs on the network thread, without a reader: must not wait for anything */
	ROUTE_CATCHALL = 1 << 1, /* may find nothing at the path: other methods get a 404, not a 405 */
	ROUTE_OPEN = 1 << 2,     /* pages of any web origin may read it (CORS); those of --allow-origin may read all */
	ROUTE_HELD = 1 << 4, /* its reply may be large, and is in memory until it is read: waits for room (request_room) */
	/* Where there is no room for that, it may be made if it comes to QUOTA_SMALL_REPLY bytes; if it comes to more, it is
	 * made once more when there is: request_state is what it was left as. */
	ROUTE_BRIEF = 1 << 5,
	ROUTE_PACKED = 1 << 6, /* what it answers on the pool is packed where the request takes that (Accept-Encoding) */
	ROUTE_PARAMS = 1 << 7, /* its handler reads the query parameters; all other routes refuse any (400) */
	ROUTE_SOCKET = 1 << 3, /* a WebSocket: only pages of our own may ask for it, though it is a GET */
};

struct http_route {
	const char *method;
	const char *path;           /* a segment {} stands for any one, a last {+} for all that is left */
	enum permission permission; /* what a request's token must be good for */
	http_handler *handle;
	unsigned flags;
};

/* Routes whose handlers get the same `arg`. */
struct http_routes {
	const struct http_route *table; /* ends with a NULL method */
	void *arg;
};

struct http_options {
	const struct http_routes *routes; /* ends with a NULL table; the first route that fits a path has it */
	size_t body_max;
	/* Of uploads, and of replies that wait to be read: handlers ask request_room. Requests wait for room, and
	 * connections that take nothing of their reply are cut off for it. */
	struct quotas *quotas;
	int connections_max;
	int64_t patience_ms;      /* for a head that follows another, and three times that for a body; see http_conn.h */
	size_t connection_memory; /* for the head of a request, and for what is on its way out */
	bool once;                /* a connection ends with its first reply, unless that has no end */
	const struct request_guard *guard;
	/* A connection that came in by http_add has ended. */
	void (*on_close)(void *arg, uint64_t peer);
	void *on_close_arg;
	/* A request for a WebSocket gets an answer instead. */
	void (*on_unopened)(void *arg);
	void *on_unopened_arg;
};

enum err http_create(struct pool *pool, struct http_options options, struct http **out, struct fault *fault);
/* Answers 503 to new requests. When it returns, nothing more is handed to the pool. */
void http_refuse(struct http *h);
/* All exchanges are done and nothing is parked. */
void http_destroy(struct http *h);

/* To be called now and then: lets go of clients that went away without our noticing, or take too long. */
void http_sweep(struct http *h);
/* Of the connections without a request: since when the first of them is idle (monotonic; INT64_MAX: there is none), and ends
 * that one. False: there was none. */
int64_t http_idle_since(struct http *h);
bool http_end_idle(struct http *h);
/* Tokens were reloaded: ends what is under way for those that are no longer good. */
void http_recheck(struct http *h);
/* How many were let go for taking too long, or for being idle. */
uint64_t http_slow(struct http *h);

/* Takes an accepted socket; closes it where there is no room. */
void http_add_take(struct http *h, struct arrival *a);

#endif
