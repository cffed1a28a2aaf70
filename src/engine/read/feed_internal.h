/* What the feed shows to its cursors and to nobody else. */
#ifndef ENGINE_READ_FEED_INTERNAL_H
#define ENGINE_READ_FEED_INTERNAL_H

#include <pthread.h>

#include "engine/read/feed.h"
#include "event/page_build.h"
#include "store/index/selection.h"

/* A page on its way from the store, for everybody who waits for it. */
struct load {
	struct pool_job job;
	struct list link;    /* in feed.loads */
	struct list waiters; /* cursors */
	struct feed *feed;
	uint64_t after;
	enum encoding form;
	/* A load for a filter is for one cursor, and its page is kept nowhere else. The selection belongs to the load
	 * while it runs, so that the cursor may go away meanwhile. */
	struct selection *select;
	bool filtered;
	bool submitted; /* to the pool */
};

/* The part of a cursor that a load knows. */
struct load_waiter {
	struct list link;         /* in load.waiters */
	struct page *page;        /* arrived, not yet used */
	struct selection *select; /* comes back with the page */
	enum err err;
	struct fault fault;
	void (*wake)(void *arg);
	void *arg;
};

pthread_mutex_t *feed_lock(struct feed *f);

/* All with the lock held. */

uint64_t feed_head_locked(const struct feed *f);
/* Pages from the ring that follow `after`, each with a reference; 0 when it begins later, or nothing follows. */
int feed_ring_pages(struct feed *f, uint64_t after, struct page **pages, int max, size_t bytes_max);
/* A page from the cache that holds what follows `after`, with a reference; NULL. */
struct page *feed_cached(struct feed *f, uint64_t after);
/* Reads the page that follows `after`, for a waiter or (NULL) for whoever comes. `select` (NULL: everything) is lent
 * to the load. ERR_NOMEM, ERR_CLOSED. */
enum err feed_load(struct feed *f, uint64_t after, enum encoding form, struct selection *select, struct load_waiter *waiter,
		   struct fault *fault);
/* Starts reading what follows `after` if a reader is going to need it and nobody has. */
void feed_prefetch(struct feed *f, uint64_t after, enum encoding form);

#endif
