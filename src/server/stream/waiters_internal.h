/* Waiters, shared by waiters.c (the thread that wakes them), sse.c (streams) and long_poll.c (long polls). */
#ifndef SERVER_STREAM_WAITERS_INTERNAL_H
#define SERVER_STREAM_WAITERS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/system/thread.h"
#include "engine/read/subscription.h"
#include "server/stream/waiters.h"

/* A request that waits for a commit or for a time. */
struct waiter {
	struct list link; /* in waiters.waiting while it waits */
	struct subscription subscription;
	struct cursor *cursor; /* waits for a commit that matches it; NULL: waits for the time only */
	int64_t deadline_ms;   /* monotonic */
	bool check_now;        /* an event may be there already */
	atomic_bool urgent;    /* waiters_urge was called since it was last woken */
	/* Called with the lock, after the waiter was removed. False: wait again. */
	bool (*wake)(struct waiter *item, bool time_is_up);
};

/* The part of an event stream that the waiters' thread and the figures use. */
struct waiter_stream {
	struct list link; /* in waiters.streams */
	struct waiter waiter;
	struct http_request *request;
	atomic_ullong after; /* a copy of its cursor's position, for other threads */
	atomic_bool live;    /* has been at the head */
};
/* Was it live, and has it fallen too far behind? A replay does not count as lag. */
bool waiter_stream_lags(const struct waiter_stream *s, uint64_t lag_max, uint64_t head);

struct waiters {
	pthread_mutex_t lock;
	pthread_cond_t signal;
	struct thread thread;
	struct waiters_options options;
	struct subscriptions *subscriptions;
	struct list waiting;
	struct list streams; /* all waiter_stream */
	int64_t next_ms;     /* not later than the next deadline */
	bool committed;      /* a commit happened since the thread last looked */
	bool closing;
	uint64_t long_polls;
	atomic_ullong delivered;
	uint64_t left; /* see waiters_figures */
	uint64_t left_behind;
};

void waiters_wait(struct waiters *p, struct waiter *item);
/* Wakes a waiter at once, or as soon as it waits. Any thread. */
void waiters_urge(struct waiters *p, struct waiter *item);

#endif
