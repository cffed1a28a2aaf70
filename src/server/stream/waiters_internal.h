/* What waits, for waiters.c (the thread that wakes), sse.c (streams) and long_poll.c (long polls). */
#ifndef SERVER_STREAM_WAITERS_INTERNAL_H
#define SERVER_STREAM_WAITERS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/read/subscription.h"
#include "server/stream/waiters.h"

/* Something that waits for a commit or for a time. */
struct waiter {
	struct list link; /* in push.parked while it waits */
	struct subscription subscription;
	struct cursor *cursor; /* waits for a commit that concerns it; NULL: waits for the time only */
	int64_t deadline_ms;   /* monotonic */
	bool look;             /* something may have come already */
	atomic_bool urgent;    /* waiters_urge has been called since it was last woken */
	/* With the lock, after the item was taken out. False: park it again. */
	bool (*wake)(struct waiter *item, bool time_is_up);
};

struct waiters {
	pthread_mutex_t lock;
	pthread_cond_t signal;
	pthread_t thread;
	bool running;
	struct waiters_options options;
	struct subscriptions *subscriptions;
	struct list waiting;
	struct list streams; /* all, for the figures */
	int64_t next_ms;     /* the next deadline, or before it */
	bool committed;      /* since the thread last looked */
	bool closing;
	uint64_t long_polls;
	atomic_ullong delivered;
	uint64_t left; /* waiters_figures has these two */
	uint64_t left_behind;
};

void waiters_park(struct waiters *p, struct waiter *item);
/* Wakes an item at once, or as soon as it is parked. Any thread. */
void waiters_urge(struct waiters *p, struct waiter *item);

/* sse.c, with the lock */

/* Cuts off the streams that do not even read. */
void sse_cut_laggards(struct waiters *p);
/* The streams end: what they have not been sent is counted. */
void sse_count_left(struct waiters *p);
/* Adds its figures. */
void sse_read(struct waiters *p, struct waiters_figures *out);

#endif
