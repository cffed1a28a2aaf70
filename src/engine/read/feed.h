/* The feed: where the events after a position are. The newest are in a ring of pages, as they were committed; older
 * ones are read from the store, a page at a time, by the pool, and shared by all who want the same. Readers cannot
 * tell the difference: they are cursors (cursor.h).
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
	size_t cache_bytes; /* of older pages kept for those who come next */
};

enum err feed_create(struct store *store, struct pool *pool, struct feed_options options, struct feed **out,
		     struct fault *fault);
/* Before the pool ends: pages that wait for it are not read any more, nor those that are asked for from now on. */
void feed_close(struct feed *f);
/* No cursor is left. */
void feed_destroy(struct feed *f);

/* Called after each commit and with nothing locked, on the writer's thread: it must only wake somebody. At most
 * FEED_LISTENERS_MAX, all registered before the first publish. */
enum { FEED_LISTENERS_MAX = 8 };
typedef void feed_listener(void *arg);
void feed_listen(struct feed *f, feed_listener *listener, void *arg);

/* Delivers what was committed, and only that. The publisher that has waited longest came at `submitted_us` (monotonic); 0:
 * that is not known. */
void feed_publish_take(struct feed *f, struct committed *c, int64_t submitted_us);
/* So many events of a page were sent to a reader that was live: counts how long they took from their publisher. */
void feed_delivered(struct feed *f, const struct page *page, uint64_t events);
/* How long that was. */
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
