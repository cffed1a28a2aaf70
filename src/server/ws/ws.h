/* WebSockets over libwebsockets: sockets come in from the door and from HTTP, readers are cursors on the feed. One thread
 * serves them all and waits for nothing but sockets. */
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

/* A WebSocket that was asked for, with all that it needs to be opened. */
struct ws_request;

/* Of a request that has passed no check yet: `visit` holds what the head and the socket say. ERR_NOT_FOUND where the path is
 * no WebSocket's; ERR_INVALID names the parameter; ERR_DENIED. Any thread. */
enum err ws_request_create(const struct request_peek *head, const struct request_guard *guard, struct guard_input *visit,
			   struct ws_request **out, struct fault *fault);
/* Of one that has passed the gate, to a path of a WebSocket; `head` need not be an upgrade. Takes the URL, also where it
 * fails. */
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
	struct ws_metrics *metrics; /* borrowed; NULL: its own */
	struct rates *rates;
	int port; /* of the first listener: what health calls this server */
	struct batch_limits limits;
	const char *base;   /* of problem types; see request_guard.h */
	size_t message_max; /* bytes */
	struct quotas
		*quotas;  /* of messages on their way in, answers from the past, answers that publishers have not read */
	int64_t reply_ms; /* who takes nothing of such an answer for so long is closed */
	int64_t ping_ms;  /* idle connections are pinged after so long, and closed after twice that */
	int64_t message_timeout_ms; /* a message may take three times that, and more as more of it comes */
	int64_t silence_ms;         /* a publisher at /events without a message for so long is closed */
	int64_t idle_ms;            /* what was counted of a named session is forgotten when nothing more was for so long */
	int64_t save_ms;            /* a clean close waits for the commit of what it has acknowledged, but not for longer */
	uint64_t lag_max;           /* events; a reader further behind is closed; 0: never */
	void (*on_close)(void *arg, uint64_t peer); /* a connection from ws_add_take has ended: `entered` */
	void *on_close_arg;
};

enum { WS_SAVE_MS = 500 };

enum err ws_create(struct ws_options options, struct ws **out, struct fault *fault);
/* Closes everybody with 1001 and ends the thread. */
void ws_close(struct ws *w);
/* The writer has ended. */
void ws_destroy(struct ws *w);

/* Counts it among the requests that are under way, and among those that stay, as long as there is the request, or its
 * connection. ERR_RATE, ERR_BUSY: its client has as many as it may, or there are too many. Any thread. */
enum err ws_reserve(struct ws *w, struct ws_request *request, struct fault *fault);
/* Takes a socket and the request that came on it, of whose head `head.len` bytes are still in the socket. Any thread. */
void ws_add_take(struct ws *w, int fd, struct ws_request *request, uint64_t entered);

/* A request for a WebSocket that comes to nothing elsewhere. Any thread. */
void ws_count_unopened(void *ws);

/* Tokens were reloaded: closes with 4401 whose grant does not hold any longer. Any thread. */
void ws_recheck(struct ws *w);

enum { WS_FIGURES_S = 1 }; /* at least so often some of these are made anew */

struct ws_figures {
	uint64_t connections;
	uint64_t delivered;   /* events */
	uint64_t lag_max;     /* events, of any reader; up to a second old */
	uint64_t lag_sum;     /* of all readers; as old */
	uint64_t left;        /* events that readers had not been sent when the server closed them; 0 before */
	uint64_t left_behind; /* such readers */
	uint64_t loop_lag_ms; /* how late the thread's last tick came, or how late the next one is by now */
};
void ws_read(struct ws *w, struct ws_figures *out);
/* The counters; they live as long as `w`. */
struct ws_metrics *ws_figures_of(const struct ws *w);

#endif
