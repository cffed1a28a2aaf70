/* What waits, for waiters.c (the thread that wakes), sse.c (streams) and long_poll.c (long polls). */
#ifndef SERVER_STREAM_WAITERS_INTERNAL_H
#define SERVER_STREAM_WAITERS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/system/thread.h"
#include "engine/read/subscription.h"
#include "server/stream/waiters.h"

/* Something that waits for a commit or for a time. */
struct waiter {
	struct list link; /* in waiters.waiting while it waits */
	struct subscription subscription;
	struct cursor *cursor; /* waits for a commit that concerns it; NULL: waits for the time only */
	int64_t deadline_ms;   /* monotonic */
	bool look;             /* something may have come already */
	atomic_bool urgent;    /* waiters_urge has been called since it was last woken */
	/* With the lock, after the item was taken out. False: park it again. */
	bool (*wake)(struct waiter *item, bool time_is_up);
};

/* A stream of events, as far as the waking thread and the figures look at it. */
struct waiter_stream {
	struct list link; /* in waiters.streams */
	struct waiter waiter;
	struct http_request *request;
	atomic_ullong after; /* a copy of its cursor's, for the other threads */
	atomic_bool live;    /* has been at the head */
};
/* Was it live, and has it fallen too far behind? Replaying is not lagging. */
bool waiter_stream_lags(const struct waiter_stream *s, uint64_t lag_max, uint64_t head);

struct waiters {
	pthread_mutex_t lock;
	pthread_cond_t signal;
	struct thread thread;
	struct waiters_options options;
	struct subscriptions *subscriptions;
	struct list waiting;
	struct list streams; /* waiter_stream, all of them */
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

#endif
