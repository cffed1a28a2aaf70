#include "store/stream_order.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
	MANY = 50000,     /* new names take longer to sort than another thread may wait */
	RECENT_PART = 16, /* of all: as many may be in the second run */
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

/* Streams from `first` on, sorted. */
static enum err sort_new(struct stream_order *o, uint32_t first, uint32_t count, struct run *out)
{
	struct named *named = malloc(count * sizeof *named);
	*out = (struct run){malloc(count * sizeof *out->items), count};
	if (named == NULL || out->items == NULL) {
		free(named);
		free(out->items);
		return ERR_NOMEM;
	}
	for (uint32_t i = 0; i < count; i++)
		named[i] = (struct named){catalog_stream_name(o->catalog, first + i), first + i};
	qsort(named, count, sizeof *named, by_name);
	for (uint32_t i = 0; i < count; i++)
		out->items[i] = named[i].stream;
	o->steps += count;
	free(named);
	return ERR_NONE;
}

/* Adds the items of `more` to `into`. */
static enum err merge(struct stream_order *o, struct run *into, const struct run *more)
{
	struct run merged = {malloc(((size_t)into->count + more->count + 1) * sizeof *merged.items), 0};
	if (merged.items == NULL)
		return ERR_NOMEM;
	uint32_t i = 0;
	uint32_t k = 0;
	while (i < into->count && k < more->count) {
		bool older = slice_compare(catalog_stream_name(o->catalog, into->items[i]),
					   catalog_stream_name(o->catalog, more->items[k])) < 0;
		merged.items[merged.count++] = older ? into->items[i++] : more->items[k++];
	}
	while (i < into->count)
		merged.items[merged.count++] = into->items[i++];
	while (k < more->count)
		merged.items[merged.count++] = more->items[k++];
	o->steps += merged.count;
	free(into->items);
	*into = merged;
	return ERR_NONE;
}

/* Takes in the streams that came since the last time. Where memory fails, some may wait for the next time, none is lost. */
static enum err bring_up_to_date(struct stream_order *o)
{
	uint32_t known = o->all.count + o->recent.count;
	uint32_t count = catalog_streams_known(o->catalog) - known;
	struct run more;
	if (count == 0)
		return ERR_NONE;
	atomic_store(&o->sorting_many, count >= MANY);
	enum err err = sort_new(o, known, count, &more);
	if (!err) {
		err = merge(o, &o->recent, &more);
		free(more.items);
	}
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

/* The first item whose name is `from` or (`after`) past it. */
static uint32_t find_in(const struct stream_order *o, const struct run *r, struct slice from, bool after)
{
	uint32_t low = 0;
	uint32_t high = r->count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int order = slice_compare(catalog_stream_name(o->catalog, r->items[middle]), from);
		if (order < 0 || (after && order == 0))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

enum err stream_order_find(struct stream_order *o, struct slice from, bool after, uint32_t *stream, bool *there)
{
	*there = false;
	if (atomic_load(&o->sorting_many))
		return ERR_BUSY;
	pthread_mutex_lock(&o->lock);
	enum err err = bring_up_to_date(o);
	const struct run *runs[] = {&o->all, &o->recent};
	for (int i = 0; !err && i < 2; i++) {
		uint32_t at = find_in(o, runs[i], from, after);
		if (at == runs[i]->count)
			continue;
		uint32_t found = runs[i]->items[at];
		if (!*there ||
		    slice_compare(catalog_stream_name(o->catalog, found), catalog_stream_name(o->catalog, *stream)) < 0)
			*stream = found;
		*there = true;
	}
	pthread_mutex_unlock(&o->lock);
	return err;
}

uint64_t stream_order_steps(const struct stream_order *o)
{
	return o->steps;
}
