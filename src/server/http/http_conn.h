/* The connections of the HTTP server: their peers, the grants of their requests, and their timeouts. libmicrohttpd waits
 * for ever for a client that sends a byte now and then, and (0.9.75, epoll) misses the end of a connection that arrives
 * together with the last bytes; both are detected here. All functions may be called on any thread. */
#ifndef SERVER_HTTP_HTTP_CONN_H
#define SERVER_HTTP_HTTP_CONN_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "server/access/access.h"

struct http_conns {
	pthread_mutex_t lock;
	struct list all;
	struct list idle; /* have had a response and sent no request since; longest idle first */
	int64_t head_ms;
	int64_t body_ms;
	uint64_t slow; /* cut for being too slow */
};

/* Lives as long as libmicrohttpd has the connection. */
struct http_conn {
	struct list link;
	struct list in_idle;
	int64_t idle_ms; /* monotonic: when it became idle */
	int fd;
	bool local;                /* came in over the loopback */
	bool answering;            /* a handler runs, or its reply is being sent */
	atomic_size_t held;        /* bytes of the reply in memory that the peer has not taken */
	uint64_t progress;         /* the last value of progress_of */
	int64_t progress_ms;       /* monotonic: when `progress` last changed */
	bool taken;                /* the socket was handed over to ws: `fd` is a stub (network thread only) */
	const struct grant *grant; /* borrowed from the request under way; NULL: none */
	int64_t deadline_ms;       /* monotonic: for the next head, or for the body under way */
	size_t received;           /* bytes of the body since the deadline was last extended */
};

/* A client has `head_ms` for the next head, and `body_ms` for each HTTP_CONN_PROGRESS bytes of a body. */
enum { HTTP_CONN_PROGRESS = 16 * 1024 };
void http_conns_init(struct http_conns *cs, int64_t head_ms, int64_t body_ms);
void http_conns_finish(struct http_conns *cs);

/* NULL: no memory. */
struct http_conn *http_conns_add(struct http_conns *cs, int fd);
void http_conns_remove(struct http_conns *cs, struct http_conn *c);
/* The head of a request has arrived. */
void http_conn_reads(struct http_conns *cs, struct http_conn *c);
/* `bytes` of its body have arrived. */
void http_conn_received(struct http_conns *cs, struct http_conn *c, size_t bytes);
/* `answering`: a handler runs or the reply is being sent; false: the reply is sent, and the next head is awaited. */
void http_conn_answers(struct http_conns *cs, struct http_conn *c, bool answering);
/* Notes the grant of the request under way; NULL: it has ended. False: the grant is no longer valid. */
bool http_conn_holds(struct http_conns *cs, struct http_conn *c, const struct grant *grant);

/* Has the peer closed its sending side, or vanished? Only while a request is being answered. */
bool http_conn_has_ended(const struct http_conn *c);
/* Since when the longest idle connection is idle; INT64_MAX: none is. Monotonic ms. */
int64_t http_conns_idle_since(struct http_conns *cs);
/* Ends the longest idle connection; false: there is none. */
bool http_conns_end_idle(struct http_conns *cs);

/* Call it every few hundred milliseconds: cuts connections whose peer has vanished or is too slow. `short_of`: bytes of
 * reply memory that waiting requests need; connections that have taken nothing of their reply for HTTP_CONN_STUCK_MS are
 * cut until that much is free. */
enum { HTTP_CONN_STUCK_MS = 2000 };
void http_conns_sweep(struct http_conns *cs, size_t short_of);
/* Tokens were reloaded: cuts connections whose grant is no longer valid. */
void http_conns_recheck(struct http_conns *cs);
uint64_t http_conns_slow(struct http_conns *cs);

#endif
