#include "engine/read/feed.h"

#include <assert.h>
#include <stdlib.h>

#include "base/system/clock.h"
#include "engine/read/feed_internal.h"
#include "store/read/history.h"

enum {
	FIRST_PAGES = 256, /* a power of two */
	CACHE_PAGES_MAX = 1024,
	/* Pages from the store end at multiples of this wherever they begin, so that readers soon share them. */
	PAGE_EVENTS = 512,
	LOADS_AT_ONCE = 8,  /* in the pool, so that requests do not wait there behind the loads of many readers */
	PREFETCH_PAGES = 3, /* so that the pool has work while a reader sends */
	PAGE_BYTES = 256 * 1024,
	/* Pages for a filter are private to a reader: small. */
	FILTERED_EVENTS = 256,
	FILTERED_BYTES = 64 * 1024,
};

struct cached {
	struct page *page;
	uint64_t used; /* by the feed's own clock: the least is evicted */
};

struct commit_listener {
	feed_listener *call;
	void *arg;
};

struct feed {
	pthread_mutex_t lock;
	struct store *store;
	struct pool *pool;
	struct feed_options options;

	struct page **ring; /* a circle of `cap` (a power of two) */
	uint32_t cap;
	uint32_t start;
	uint32_t count;
	size_t ring_bytes;
	uint64_t ring_after; /* the ring holds all events after this seq */
	uint64_t head;

	struct cached cache[CACHE_PAGES_MAX];
	int cache_count;
	size_t cache_bytes;
	uint64_t cache_clock;

	struct list loads; /* under way, then those that wait for one of them to end, oldest first */
	int loads_under_way;
	bool closed; /* feed_close */
	uint64_t load_count;

	struct spread deliveries;

	struct commit_listener listeners[FEED_LISTENERS_MAX];
	int listener_count;
};

enum err feed_create(struct store *store, struct pool *pool, struct feed_options options, struct feed **out,
		     struct fault *fault)
{
	*out = NULL;
	struct feed *f = calloc(1, sizeof *f);
	struct page **ring = malloc(FIRST_PAGES * sizeof *ring);
	if (f == NULL || ring == NULL) {
		free(f);
		free(ring);
		return fault_nomem(fault);
	}
	pthread_mutex_init(&f->lock, NULL);
	spread_init(&f->deliveries);
	list_init(&f->loads);
	f->store = store;
	f->pool = pool;
	f->options = options;
	f->ring = ring;
	f->cap = FIRST_PAGES;
	f->head = f->ring_after = store_head(store);
	*out = f;
	return ERR_NONE;
}

void feed_destroy(struct feed *f)
{
	if (f == NULL)
		return;
	assert(f->loads_under_way == 0);
	assert(list_empty(&f->loads));
	for (uint32_t i = 0; i < f->count; i++)
		page_unref(f->ring[(f->start + i) & (f->cap - 1)]);
	for (int i = 0; i < f->cache_count; i++)
		page_unref(f->cache[i].page);
	free(f->ring);
	spread_finish(&f->deliveries);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

pthread_mutex_t *feed_lock(struct feed *f)
{
	return &f->lock;
}

uint64_t feed_head_locked(const struct feed *f)
{
	return f->head;
}

uint64_t feed_head(struct feed *f)
{
	pthread_mutex_lock(&f->lock);
	uint64_t head = f->head;
	pthread_mutex_unlock(&f->lock);
	return head;
}

void feed_listen(struct feed *f, feed_listener *listener, void *arg)
{
	assert(f->listener_count < FEED_LISTENERS_MAX);
	f->listeners[f->listener_count++] = (struct commit_listener){listener, arg};
}

/* --- the ring --- */

static struct page *ring_at(const struct feed *f, uint32_t i)
{
	return f->ring[(f->start + i) & (f->cap - 1)];
}

static void drop_oldest(struct feed *f)
{
	struct page *oldest = ring_at(f, 0);
	assert(f->count > 0 && page_after(oldest) == f->ring_after && f->ring_bytes >= page_weight(oldest));
	f->ring_after = page_last(oldest);
	f->ring_bytes -= page_weight(oldest);
	f->start++;
	f->count--;
	page_unref(oldest);
}

/* Doubles the ring; without memory the oldest page makes room. */
static void ring_room(struct feed *f)
{
	if (f->count < f->cap)
		return;
	struct page **ring = malloc((size_t)f->cap * 2 * sizeof *ring);
	if (ring == NULL) {
		drop_oldest(f);
		return;
	}
	for (uint32_t i = 0; i < f->count; i++)
		ring[i] = ring_at(f, i);
	free(f->ring);
	f->ring = ring;
	f->start = 0;
	f->cap *= 2;
}

static void ring_add(struct feed *f, struct page *page)
{
	assert(page_after(page) == f->head);
	ring_room(f);
	f->ring[(f->start + f->count++) & (f->cap - 1)] = page_ref(page);
	f->ring_bytes += page_weight(page);
	f->head = page_last(page);
	while (f->count > 1 && f->ring_bytes > f->options.ring_bytes)
		drop_oldest(f);
}

void feed_publish_take(struct feed *f, struct committed *c, int64_t submitted_us)
{
	pthread_mutex_lock(&f->lock);
	for (uint32_t i = 0; i < committed_pages(c); i++) {
		page_set_submitted(committed_page(c, i), submitted_us);
		ring_add(f, committed_page(c, i));
	}
	pthread_mutex_unlock(&f->lock);
	committed_destroy(c);
	for (int i = 0; i < f->listener_count; i++)
		f->listeners[i].call(f->listeners[i].arg);
}

void feed_delivered(struct feed *f, const struct page *page, uint64_t events)
{
	int64_t submitted_us = page_submitted(page);
	if (events > 0 && submitted_us > 0)
		spread_add(&f->deliveries, clock_mono_us() - submitted_us, events);
}

void feed_read_deliveries(struct feed *f, struct spread_histogram *out)
{
	spread_read_histogram(&f->deliveries, out);
}

int feed_ring_pages(struct feed *f, uint64_t after, struct page **pages, int max, size_t bytes_max)
{
	if (after < f->ring_after || after >= f->head)
		return 0;
	uint32_t low = 0;
	uint32_t high = f->count;
	while (low < high) { /* the first page whose last is past `after` */
		uint32_t middle = low + (high - low) / 2;
		if (page_last(ring_at(f, middle)) <= after)
			low = middle + 1;
		else
			high = middle;
	}
	assert(low < f->count); /* for the ring ends with the head */
	int n = 0;
	size_t bytes = 0;
	for (; low < f->count && n < max && bytes < bytes_max; low++) {
		pages[n] = page_ref(ring_at(f, low));
		bytes += page_weight(pages[n++]);
	}
	return n;
}

/* --- the cache --- */

/* The page that holds the event after `after`; NULL. */
static struct cached *in_cache(struct feed *f, uint64_t after)
{
	for (int i = 0; i < f->cache_count; i++)
		if (page_after(f->cache[i].page) <= after && after < page_last(f->cache[i].page))
			return &f->cache[i];
	return NULL;
}

struct page *feed_cached(struct feed *f, uint64_t after)
{
	struct cached *c = in_cache(f, after);
	if (c == NULL)
		return NULL;
	c->used = ++f->cache_clock;
	return page_ref(c->page);
}

static void cache_evict(struct feed *f)
{
	assert(f->cache_count > 0);
	int oldest = 0;
	for (int i = 1; i < f->cache_count; i++)
		if (f->cache[i].used < f->cache[oldest].used)
			oldest = i;
	assert(f->cache_bytes >= page_weight(f->cache[oldest].page));
	f->cache_bytes -= page_weight(f->cache[oldest].page);
	page_unref(f->cache[oldest].page);
	f->cache[oldest] = f->cache[--f->cache_count];
}

static void cache_add(struct feed *f, struct page *page)
{
	if (f->cache_count == CACHE_PAGES_MAX)
		cache_evict(f);
	f->cache[f->cache_count++] = (struct cached){page_ref(page), ++f->cache_clock};
	f->cache_bytes += page_weight(page);
	while (f->cache_count > 1 && f->cache_bytes > f->options.cache_bytes)
		cache_evict(f);
}

/* --- loads --- */

/* Hands the result to every waiter. With the lock. */
static void deliver(struct load *l, struct page *page, enum err err, const struct fault *fault)
{
	LIST_EACH (link, &l->waiters) {
		struct load_waiter *w = LIST_ITEM(link, struct load_waiter, link);
		list_remove(link);
		w->page = page != NULL ? page_ref(page) : NULL;
		w->err = err;
		if (err)
			w->fault = *fault;
		w->select = l->select;
		l->select = NULL;
		w->wake(w->arg);
	}
}

/* `select` is set only when the cursor that lent it was destroyed meanwhile. */
static void load_destroy(struct load *l)
{
	selection_destroy(l->select);
	free(l);
}

/* With the lock. */
static void submit_loads(struct feed *f)
{
	for (struct list *link = f->loads.next; link != &f->loads && f->loads_under_way < LOADS_AT_ONCE; link = link->next) {
		struct load *l = LIST_ITEM(link, struct load, link);
		if (l->submitted)
			continue;
		l->submitted = true;
		f->loads_under_way++;
		pool_submit(f->pool, &l->job);
	}
}

/* The store knows an event a moment before the feed does, so a page must end at the feed's head: else a cursor would be past
 * the head, perhaps in the middle of a record. */
static void run_load(struct pool_job *job, struct reader *reader)
{
	struct load *l = LIST_ITEM(job, struct load, job);
	struct feed *f = l->feed;
	struct history_query q = {.after = l->after, .before = feed_head(f) + 1, .select = l->select};
	q.count_max = l->filtered ? FILTERED_EVENTS : PAGE_EVENTS - (uint32_t)(l->after % PAGE_EVENTS);
	q.bytes_max = l->filtered ? FILTERED_BYTES : PAGE_BYTES;
	struct page *page;
	struct fault fault;
	enum err err = history_page_as(reader, &q, l->encoding, &page, &fault);
	pthread_mutex_lock(&f->lock);
	assert(l->submitted && f->loads_under_way > 0);
	list_remove(&l->link);
	f->loads_under_way--;
	f->load_count++;
	submit_loads(f);
	if (!err && !l->filtered)
		cache_add(f, page);
	deliver(l, page, err, &fault);
	pthread_mutex_unlock(&f->lock);
	page_unref(page);
	load_destroy(l);
}

static enum err refuse_load(struct fault *fault)
{
	return fault_set(fault, ERR_CLOSED, "the server is shutting down");
}

void feed_close(struct feed *f)
{
	struct fault fault;
	enum err err = refuse_load(&fault);
	pthread_mutex_lock(&f->lock);
	f->closed = true;
	LIST_EACH (link, &f->loads) {
		struct load *l = LIST_ITEM(link, struct load, link);
		if (l->submitted)
			continue;
		list_remove(link);
		deliver(l, NULL, err, &fault);
		load_destroy(l);
	}
	pthread_mutex_unlock(&f->lock);
}

enum err feed_load(struct feed *f, uint64_t after, enum encoding encoding, struct selection *select,
		   struct load_waiter *waiter, struct fault *fault)
{
	assert(select == NULL || waiter != NULL); /* it has to come back */
	if (f->closed)
		return refuse_load(fault);
	if (select == NULL)
		LIST_EACH (link, &f->loads) {
			struct load *l = LIST_ITEM(link, struct load, link);
			if (l->filtered || l->after != after)
				continue;
			if (waiter != NULL)
				list_append(&l->waiters, &waiter->link);
			return ERR_NONE;
		}
	struct load *l = calloc(1, sizeof *l);
	if (l == NULL)
		return fault_nomem(fault);
	l->job.run = run_load;
	l->feed = f;
	l->after = after;
	l->encoding = encoding;
	l->select = select;
	l->filtered = select != NULL;
	list_init(&l->waiters);
	if (waiter != NULL)
		list_append(&l->waiters, &waiter->link);
	list_append(&f->loads, &l->link);
	submit_loads(f);
	return ERR_NONE;
}

void feed_prefetch(struct feed *f, uint64_t after, enum encoding encoding)
{
	/* A page that ends before a multiple is full of large events: where the page after the next begins is not known. */
	int pages = after % PAGE_EVENTS == 0 ? PREFETCH_PAGES : 1;
	for (; pages > 0 && after < f->ring_after; pages--) {
		/* When this fails, the reader loads the page itself. */
		if (in_cache(f, after) == NULL)
			(void)feed_load(f, after, encoding, NULL, NULL, NULL);
		after += PAGE_EVENTS - after % PAGE_EVENTS;
	}
}

/* --- asking --- */

uint64_t feed_first(struct feed *f)
{
	return store_first(f->store);
}

uint64_t feed_next(struct feed *f, uint64_t after)
{
	return store_next(f->store, after);
}

struct store *feed_store(const struct feed *f)
{
	return f->store;
}

void feed_read(struct feed *f, struct feed_figures *out)
{
	pthread_mutex_lock(&f->lock);
	*out = (struct feed_figures){f->ring_after + 1, f->ring_bytes, f->count, f->cache_bytes, f->load_count};
	pthread_mutex_unlock(&f->lock);
}
