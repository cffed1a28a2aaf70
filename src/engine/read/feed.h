/* The feed: where the events after a position are. The newest are in a ring of pages, as they were committed; older
 * ones are read from the store, a page at a time, by the pool, and shared by all readers at that position. Readers are
 * cursors (cursor.h), and cannot tell the difference.
 *
 *     store ……………………… │ ring: page page page │ ◀─ feed_publish_take ◀─ commit
 *                                                 head
 *
 * Any thread. */
#ifndef ENGINE_READ_FEED_H
#define ENGINE_READ_FEED_H

#include "engine/work/meter.h"
#include "engine/work/pool.h"
#include "store/log/store.h"

struct feed;

struct feed_options {
	size_t ring_bytes;  /* of recent events kept in memory */
	size_t cache_bytes; /* of older pages kept for other readers */
};

enum err feed_create(struct store *store, struct pool *pool, struct feed_options options, struct feed **out,
		     struct fault *fault);
/* Before the pool ends: loads that wait fail with ERR_CLOSED, and so do later ones. */
void feed_close(struct feed *f);
/* After the last cursor, and after the pool. NULL is fine. */
void feed_destroy(struct feed *f);

/* Called after each commit, without locks, on the writer's thread: it must only wake another thread. At most
 * FEED_LISTENERS_MAX, all registered before the first publish. */
enum { FEED_LISTENERS_MAX = 8 };
typedef void feed_listener(void *arg);
void feed_listen(struct feed *f, feed_listener *listener, void *arg);

/* Delivers a committed batch. `submitted_us` (monotonic): when the request that has waited longest was submitted; 0: not
 * known. */
void feed_publish_take(struct feed *f, struct committed *c, int64_t submitted_us);
/* `events` events of a page were sent to a live reader: counts the time since they were submitted. */
void feed_delivered(struct feed *f, const struct page *page, uint64_t events);
/* Those times. */
void feed_read_deliveries(struct feed *f, struct spread_histogram *out);

uint64_t feed_head(struct feed *f);
/* The lowest seq that can be read, head + 1 where there is none. */
uint64_t feed_first(struct feed *f);
/* The lowest seq after `after` that can be read: see store_next. */
uint64_t feed_next(struct feed *f, uint64_t after);
struct store *feed_store(const struct feed *f);

struct feed_figures {
	uint64_t ring_first; /* seq */
	uint64_t ring_bytes;
	uint64_t ring_pages;
	uint64_t cache_bytes;
	uint64_t loads; /* pages read from the store */
};
void feed_read(struct feed *f, struct feed_figures *out);

#endif
