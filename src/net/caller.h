/* The connections that the HTTP server has: who is at the other end, what they were granted, and how long they may take to
 * say what they want. libmicrohttpd waits for ever for a client that sends a byte now and then, and (0.9.75, epoll) does not
 * see the end of a connection that arrived together with the last bytes; both are looked for here. Any thread. */
#ifndef NET_CALLER_H
#define NET_CALLER_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "net/access.h"

struct callers {
	pthread_mutex_t lock;
	struct list all;
	struct list idle; /* that have had an answer, and have asked nothing since: for longest first */
	int64_t head_ms;
	int64_t body_ms;
	uint64_t slow; /* cut off for taking too long */
};

/* As long as libmicrohttpd has the connection. */
struct caller {
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

/* For the next head a client has `head_ms`, and `body_ms` for each CALLER_PROGRESS bytes of a body, or what is left of it.
 */
enum { CALLER_PROGRESS = 16 * 1024 };
void callers_init(struct callers *cs, int64_t head_ms, int64_t body_ms);
void callers_finish(struct callers *cs);

/* NULL: no memory. */
struct caller *callers_add(struct callers *cs, int fd);
void callers_remove(struct callers *cs, struct caller *c);
/* A request's head has come. */
void caller_reads(struct callers *cs, struct caller *c);
/* Bytes of its body have. */
void caller_got(struct callers *cs, struct caller *c, size_t bytes);
/* It is being answered, or has been: then the next head is awaited. */
void caller_answers(struct callers *cs, struct caller *c, bool answering);
/* What the request under way was granted; NULL: nothing any more. False when it does not hold any longer. */
bool caller_holds(struct callers *cs, struct caller *c, const struct grant *grant);

/* Has its peer said that nothing more will come, or gone? Only while it is being answered. */
bool caller_has_ended(const struct caller *c);
/* Since when the one is idle that has been so for longest; INT64_MAX: none is. Monotonic. */
int64_t callers_idle_since(struct callers *cs);
/* Ends it, to make room for another: false when there is none. */
bool callers_end_idle(struct callers *cs);

/* To be called now and then: cuts off connections whose peer has gone, or takes too long. `short_of`: requests wait for so
 * many bytes that replies hold; connections that have taken nothing of theirs for CALLER_STUCK_MS are cut off until as much
 * is free. */
enum { CALLER_STUCK_MS = 2000 };
void callers_sweep(struct callers *cs, size_t short_of);
/* Tokens were reloaded: cuts off whose grant does not hold any longer. */
void callers_recheck(struct callers *cs);
uint64_t callers_slow(struct callers *cs);

#endif
