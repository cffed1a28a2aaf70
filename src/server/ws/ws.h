/* WebSockets over libwebsockets: sockets come from the listener and from HTTP, readers are cursors on the feed. One
 * thread serves all connections and blocks on nothing but sockets. */
#ifndef SERVER_WS_WS_H
#define SERVER_WS_WS_H

#include "engine/read/cursor.h"
#include "engine/read/session.h"
#include "engine/write/writer.h"
#include "server/access/rate.h"
#include "server/access/request_guard.h"
#include "server/message/request_peek.h"
#include "server/stream/reader_query.h"

enum { WS_QUERY = Q_AFTER | Q_SINCE | Q_FILTER | Q_WHERE | Q_MAX_AGE | Q_SPEED | Q_SESSION };

/* A request for a WebSocket, with everything needed to open it. */
struct ws_request;

/* Makes a request from a head that no check has passed yet; `input` holds what the head and the socket tell.
 * ERR_NOT_FOUND: no WebSocket has this path; ERR_INVALID names the parameter; ERR_DENIED. Any thread. */
enum err ws_request_create(const struct request_peek *head, const struct request_guard *guard, struct guard_input *input,
			   struct ws_request **out, struct fault *fault);
/* Makes a request that the request guard has passed, for the path of a WebSocket; `head` need not be an upgrade. Takes
 * the URL, also on failure. Any thread. */
enum err ws_request_create_passed(const struct request_peek *head, struct url *url, const struct grant *grant, uint64_t peer,
				  struct ws_request **out, struct fault *fault);
void ws_request_destroy(struct ws_request *r); /* NULL is fine */

struct ws;
struct ws_metrics;

struct ws_options {
	struct feed *feed;
	struct writer *writer;
	struct sessions *sessions;
	struct pool *pool;
	struct ws_metrics *metrics; /* borrowed; NULL: the server's own */
	struct rates *rates;
	int port; /* of the first listener; /health names the server by it */
	struct batch_limits limits;
	const char *base;           /* prefix of the types of problems; see request_guard.h */
	size_t message_max;         /* bytes */
	struct quotas *quotas;      /* of incoming messages, replies with stored events, and unread replies to publishers */
	int64_t reply_ms;           /* a client that takes nothing of such a reply for this long is closed */
	int64_t ping_ms;            /* idle connections are pinged after this time, and closed after twice this time */
	int64_t message_timeout_ms; /* a message may take three times this long, and longer while more of it arrives */
	int64_t silence_ms;         /* a publisher at /events without a message for this long is closed */
	int64_t idle_ms;            /* counters of a named session are dropped after this long without a change */
	int64_t save_ms;            /* a clean close waits at most this long for the commit of its acknowledgements */
	uint64_t lag_max;           /* events; a live reader that lags further is closed; 0: no limit */
	void (*on_close)(void *arg,
			 uint64_t peer); /* a connection from ws_add_take has ended; `peer` is its `counted_peer` */
	void *on_close_arg;
};

enum { WS_SAVE_MS = 500 };

enum err ws_create(struct ws_options options, struct ws **out, struct fault *fault);
/* Closes all connections with 1001 and ends the thread. */
void ws_close(struct ws *w);
/* The writer must have ended. NULL is fine. */
void ws_destroy(struct ws *w);

/* Counts the request against its client's requests and long requests, until it or its connection ends. ERR_RATE: its
 * client has too many; ERR_BUSY: there are too many in total. Any thread. */
enum err ws_reserve(struct ws *w, struct ws_request *request, struct fault *fault);
/* Takes a socket and its request; `head.len` bytes of the request head are still in the socket. Any thread. */
void ws_add_take(struct ws *w, int fd, struct ws_request *request, uint64_t counted_peer);

/* Counts a WebSocket request that failed elsewhere. Any thread. */
void ws_count_unopened(void *ws);

/* Tokens were reloaded: closes connections whose token is no longer valid with 4401. Any thread. */
void ws_recheck(struct ws *w);

enum { WS_FIGURES_S = 1 }; /* some of these figures are updated at least this often */

struct ws_figures {
	uint64_t connections;
	uint64_t delivered;   /* events */
	uint64_t lag_max;     /* events, of any reader; up to a second old */
	uint64_t lag_sum;     /* of all readers; up to a second old */
	uint64_t left;        /* events that readers had not been sent when the server closed them; 0 before */
	uint64_t left_behind; /* readers with such events */
	uint64_t loop_lag_ms; /* delay of the thread's last tick, or of the next one if it is late already */
};
void ws_read(struct ws *w, struct ws_figures *out);
/* The counters; they live as long as `w`. */
struct ws_metrics *ws_figures_of(const struct ws *w);

#endif
