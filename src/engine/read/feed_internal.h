/* The part of the feed that only cursors and subscriptions use. */
#ifndef ENGINE_READ_FEED_INTERNAL_H
#define ENGINE_READ_FEED_INTERNAL_H

#include <pthread.h>

#include "engine/read/feed.h"
#include "event/page_build.h"
#include "store/index/selection.h"

/* A page that is being read from the store, and the cursors that wait for it. */
struct load {
	struct pool_job job;
	struct list link;    /* in feed.loads */
	struct list waiters; /* cursors */
	struct feed *feed;
	uint64_t after;
	enum encoding encoding;
	/* A load with a filter is for one cursor, and its page is not cached. The selection belongs to the load while it
	 * runs, so that the cursor may be destroyed meanwhile. */
	struct selection *select;
	bool filtered;
	bool submitted; /* to the pool */
};

/* The part of a cursor that a load refers to. */
struct load_waiter {
	struct list link;         /* in load.waiters */
	struct page *page;        /* loaded, not yet used */
	struct selection *select; /* returned with the page */
	enum err err;
	struct fault fault;
	void (*wake)(void *arg);
	void *arg;
};

pthread_mutex_t *feed_lock(struct feed *f);

/* All with the lock held. */

uint64_t feed_head_locked(const struct feed *f);
/* The pages of the ring that follow `after`, each with a reference. 0: the ring begins later, or nothing follows. */
int feed_ring_pages(struct feed *f, uint64_t after, struct page **pages, int max, size_t bytes_max);
/* A page from the cache that holds what follows `after`, with a reference; NULL. */
struct page *feed_cached(struct feed *f, uint64_t after);
/* Reads the page that follows `after`, for a waiter or (NULL) for the cache. `select` (NULL: everything) is lent to the load
 * until the waiter gets it back with the page. ERR_NOMEM, ERR_CLOSED. */
enum err feed_load(struct feed *f, uint64_t after, enum encoding encoding, struct selection *select,
		   struct load_waiter *waiter, struct fault *fault);
/* Starts loads of the pages after `after` that are neither in the ring nor cached. */
void feed_prefetch(struct feed *f, uint64_t after, enum encoding encoding);

#endif
