/* What waits, for push.c (the thread that wakes), sse.c (streams) and poll.c (long polls). */
#ifndef NET_PUSH_INSIDE_H
#define NET_PUSH_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>

#include "hub/subscription.h"
#include "net/push.h"

/* Something that waits for a commit or for a time. */
struct parked {
	struct list link; /* in push.parked while it waits */
	struct subscription subscription;
	struct cursor *cursor; /* waits for a commit that concerns it; NULL: waits for the time only */
	int64_t deadline_ms;   /* monotonic */
	bool look;             /* something may have come already */
	atomic_bool urgent;    /* push_urge has been called since it was last woken */
	/* With the lock, after the item was taken out. False: park it again. */
	bool (*wake)(struct parked *item, bool time_is_up);
};

struct push {
	pthread_mutex_t lock;
	pthread_cond_t signal;
	pthread_t thread;
	bool running;
	struct push_options options;
	struct subscriptions *subscriptions;
	struct list parked;
	struct list streams; /* all, for the figures */
	int64_t next_ms;     /* the next deadline, or before it */
	bool committed;      /* since the thread last looked */
	bool closing;
	uint64_t long_polls;
	atomic_ullong delivered;
	uint64_t left; /* push_figures has these two */
	uint64_t left_behind;
};

void push_park(struct push *p, struct parked *item);
/* Wakes an item at once, or as soon as it is parked. Any thread. */
void push_urge(struct push *p, struct parked *item);

/* sse.c, with the lock */

/* Cuts off the streams that do not even read. */
void sse_cut_laggards(struct push *p);
/* The streams end: what they have not been sent is counted. */
void sse_count_left(struct push *p);
/* Adds its figures. */
void sse_read(struct push *p, struct push_figures *out);

#endif
