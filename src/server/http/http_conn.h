/* The connections that the HTTP server has: who is at the other end, what they were granted, and how long they may take to
 * say what they want. libmicrohttpd waits for ever for a client that sends a byte now and then, and (0.9.75, epoll) does not
 * see the end of a connection that arrived together with the last bytes; both are looked for here. Any thread. */
#ifndef SERVER_HTTP_HTTP_CONN_H
#define SERVER_HTTP_HTTP_CONN_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "server/access/access.h"

struct http_conns {
	pthread_mutex_t lock;
	struct list all;
	struct list idle; /* that have had an answer, and have asked nothing since: for longest first */
	int64_t head_ms;
	int64_t body_ms;
	uint64_t slow; /* cut off for taking too long */
};

/* As long as libmicrohttpd has the connection. */
struct http_conn {
	struct list link;
	struct list in_idle;
	int64_t idle_ms; /* monotonic: since when it is there */
	int fd;
	bool local;                /* came in over the loopback */
	bool answering;            /* a handler runs, or its reply is on its way */
	atomic_size_t held;        /* bytes of the reply that are in memory until the peer takes them */
	uint64_t progress;         /* what the socket has said of that, when it was last looked at */
	int64_t progress_ms;       /* monotonic: when that last changed */
	bool taken;                /* the socket is a WebSocket's: `fd` is a stub (the network thread's own) */
	const struct grant *grant; /* of the request under way, which owns it; NULL: none */
	int64_t deadline_ms;       /* monotonic: for the next head, or the body under way */
	size_t received;           /* bytes of the body under way, since the deadline was last put off */
};

/* For the next head a client has `head_ms`, and `body_ms` for each HTTP_CONN_PROGRESS bytes of a body, or what is left of
 * it.
 */
enum { HTTP_CONN_PROGRESS = 16 * 1024 };
void http_conns_init(struct http_conns *cs, int64_t head_ms, int64_t body_ms);
void http_conns_finish(struct http_conns *cs);

/* NULL: no memory. */
struct http_conn *http_conns_add(struct http_conns *cs, int fd);
void http_conns_remove(struct http_conns *cs, struct http_conn *c);
/* A request's head has come. */
void http_conn_reads(struct http_conns *cs, struct http_conn *c);
/* Bytes of its body have. */
void http_conn_got(struct http_conns *cs, struct http_conn *c, size_t bytes);
/* It is being answered, or has been: then the next head is awaited. */
void http_conn_answers(struct http_conns *cs, struct http_conn *c, bool answering);
/* What the request under way was granted; NULL: nothing any more. False when it does not hold any longer. */
bool http_conn_holds(struct http_conns *cs, struct http_conn *c, const struct grant *grant);

/* Has its peer said that nothing more will come, or gone? Only while it is being answered. */
bool http_conn_has_ended(const struct http_conn *c);
/* Since when the one is idle that has been so for longest; INT64_MAX: none is. Monotonic. */
int64_t http_conns_idle_since(struct http_conns *cs);
/* Ends it, to make room for another: false when there is none. */
bool http_conns_end_idle(struct http_conns *cs);

/* To be called now and then: cuts off connections whose peer has gone, or takes too long. `short_of`: requests wait for so
 * many bytes that replies hold; connections that have taken nothing of theirs for HTTP_CONN_STUCK_MS are cut off until as
 * much is free. */
enum { HTTP_CONN_STUCK_MS = 2000 };
void http_conns_sweep(struct http_conns *cs, size_t short_of);
/* Tokens were reloaded: cuts off whose grant does not hold any longer. */
void http_conns_recheck(struct http_conns *cs);
uint64_t http_conns_slow(struct http_conns *cs);

#endif
