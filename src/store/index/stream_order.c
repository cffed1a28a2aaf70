#include "store/index/stream_order.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
	MANY = 50000,     /* sorting this many new names takes too long for other threads to wait */
	RECENT_PART = 16, /* the second run is merged when it exceeds 1/16 of the first */
};

/* Stream numbers by name. */
struct run {
	uint32_t *items;
	uint32_t count;
};

struct named {
	struct slice name;
	uint32_t stream;
};

struct stream_order {
	struct catalog *catalog;
	atomic_bool sorting_many;
	pthread_mutex_t lock; /* guards what follows */
	uint32_t seen;        /* streams below this are in one of the runs */
	uint64_t forgotten;   /* catalog_forgotten when forgotten streams were last dropped */
	struct run all;
	struct run recent;
	uint64_t steps;
};

struct stream_order *stream_order_create(struct catalog *c)
{
	struct stream_order *o = calloc(1, sizeof *o);
	if (o == NULL)
		return NULL;
	o->catalog = c;
	pthread_mutex_init(&o->lock, NULL);
	return o;
}

void stream_order_destroy(struct stream_order *o)
{
	if (o == NULL)
		return;
	free(o->all.items);
	free(o->recent.items);
	pthread_mutex_destroy(&o->lock);
	free(o);
}

static int by_name(const void *a, const void *b)
{
	return slice_compare(((const struct named *)a)->name, ((const struct named *)b)->name);
}

/* The streams that are new, sorted; at most `max`. */
static enum err sort_new(struct stream_order *o, uint32_t max, struct run *out)
{
	assert(max > 0);
	struct named *named = malloc(max * sizeof *named);
	*out = (struct run){malloc(max * sizeof *out->items), 0};
	if (named == NULL || out->items == NULL) {
		free(named);
		free(out->items);
		return ERR_NOMEM;
	}
	uint32_t stream = o->seen;
	for (uint32_t end = o->seen + max; stream < end && catalog_next_stream(o->catalog, &stream) && stream < end;
	     stream++) {
		struct slice name = catalog_stream_name(o->catalog, stream);
		if (name.p != NULL)
			named[out->count++] = (struct named){name, stream};
	}
	qsort(named, out->count, sizeof *named, by_name);
	for (uint32_t i = 0; i < out->count; i++)
		out->items[i] = named[i].stream;
	o->steps += out->count;
	free(named);
	return ERR_NONE;
}

/* The name of the first item from *at on that was not forgotten. `p` is NULL at the end of the run. */
static struct slice name_from(const struct stream_order *o, const struct run *r, uint32_t *at, uint32_t end)
{
	for (; *at < end; ++*at) {
		struct slice name = catalog_stream_name(o->catalog, r->items[*at]);
		if (name.p != NULL)
			return name;
	}
	return (struct slice){0};
}

/* Adds the items of `more` to `into`. */
static enum err merge(struct stream_order *o, struct run *into, const struct run *more)
{
	struct run merged = {malloc(((size_t)into->count + more->count + 1) * sizeof *merged.items), 0};
	if (merged.items == NULL)
		return ERR_NOMEM;
	uint32_t i = 0;
	uint32_t k = 0;
	struct slice a = name_from(o, into, &i, into->count);
	struct slice b = name_from(o, more, &k, more->count);
	while (a.p != NULL || b.p != NULL) {
		if (b.p == NULL || (a.p != NULL && slice_compare(a, b) < 0)) {
			merged.items[merged.count++] = into->items[i++];
			a = name_from(o, into, &i, into->count);
		} else {
			merged.items[merged.count++] = more->items[k++];
			b = name_from(o, more, &k, more->count);
		}
	}
	assert(merged.count <= into->count + more->count);
	o->steps += merged.count;
	free(into->items);
	*into = merged;
	return ERR_NONE;
}

static void drop_from(struct stream_order *o, struct run *r)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < r->count; i++)
		if (catalog_stream_name(o->catalog, r->items[i]).p != NULL)
			r->items[kept++] = r->items[i];
	o->steps += r->count;
	r->count = kept;
}

/* Forgotten streams have no name to compare. */
static void drop_forgotten(struct stream_order *o)
{
	uint64_t forgotten = catalog_forgotten(o->catalog);
	if (forgotten == o->forgotten)
		return;
	drop_from(o, &o->all);
	drop_from(o, &o->recent);
	o->forgotten = forgotten;
}

/* Adds the new streams. Without memory, the next call adds them. */
static enum err bring_up_to_date(struct stream_order *o)
{
	assert(catalog_streams_end(o->catalog) >= o->seen);
	uint32_t count = catalog_streams_end(o->catalog) - o->seen;
	struct run more;
	drop_forgotten(o);
	if (count == 0)
		return ERR_NONE;
	atomic_store(&o->sorting_many, count >= MANY);
	enum err err = sort_new(o, count, &more);
	if (!err) {
		err = merge(o, &o->recent, &more);
		free(more.items);
	}
	if (!err)
		o->seen += count;
	if (!err && o->recent.count > o->all.count / RECENT_PART) {
		err = merge(o, &o->all, &o->recent);
		if (!err) {
			free(o->recent.items);
			o->recent = (struct run){0};
		}
	}
	atomic_store(&o->sorting_many, false);
	return err;
}

/* The first name that is not before `from` (`after`: that is after it). */
static struct slice find_in(const struct stream_order *o, const struct run *r, struct slice from, bool after)
{
	uint32_t low = 0;
	uint32_t high = r->count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		uint32_t at = middle;
		struct slice name = name_from(o, r, &at, high);
		int order = name.p != NULL ? slice_compare(name, from) : 1;
		if (order < 0 || (after && order == 0))
			low = at + 1;
		else
			high = middle;
	}
	return name_from(o, r, &low, r->count);
}

static void find(struct stream_order *o, struct slice from, bool after, struct slice *out)
{
	struct slice a = find_in(o, &o->all, from, after);
	struct slice b = find_in(o, &o->recent, from, after);
	*out = a.p == NULL || (b.p != NULL && slice_compare(b, a) < 0) ? b : a;
}

enum err stream_order_find(struct stream_order *o, struct slice from, bool after, char name[EVENT_NAME_MAX], size_t *len)
{
	struct slice found;
	*len = 0;
	if (atomic_load(&o->sorting_many))
		return ERR_BUSY;
	pthread_mutex_lock(&o->lock);
	unsigned entered = catalog_enter(o->catalog);
	enum err err = bring_up_to_date(o);
	if (!err) {
		find(o, from, after, &found);
		slice_copy(name, found);
		*len = found.len;
	}
	catalog_leave(o->catalog, entered);
	pthread_mutex_unlock(&o->lock);
	return err;
}

uint64_t stream_order_steps(const struct stream_order *o)
{
	return o->steps;
}
