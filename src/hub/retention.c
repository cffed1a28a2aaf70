#include "hub/retention.h"

#include "base/clock.h"

enum {
	SLACK = 8 /* a limit is acted on when it is passed by this part of it */,
	PAGE_EVENTS = 1000,
	PAGE_BYTES = 1024 * 1024
};

static uint64_t max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t cut_by_number(uint64_t hot, uint64_t head, uint64_t limit)
{
	uint64_t events = head + 1 - hot;
	return limit > 0 && events > limit + limit / SLACK ? head - limit : 0;
}

/* As if all events had the same size; what that leaves over goes the next time. */
static uint64_t cut_by_size(uint64_t hot, uint64_t head, uint64_t limit, uint64_t used)
{
	if (limit == 0 || used <= limit + limit / SLACK)
		return 0;
	double share = (double)(used - limit) / (double)used;
	return hot - 1 + (uint64_t)((double)(head + 1 - hot) * share);
}

/* --- by age --- */

static int64_t age_of(const struct keeper_options *o, struct slice stream)
{
	for (int i = 0; i < o->stream_count; i++)
		if (slice_eq(o->streams[i].name, stream))
			return o->streams[i].age_ms;
	return o->age_ms;
}

/* The first event of a stream after `after`; head + 1 where there is none. */
static enum err next_of(struct store *store, struct reader *reader, struct slice stream, uint64_t after, uint64_t *seq,
			struct fault *fault)
{
	struct filter *f = filter_create();
	bool fine = f != NULL && filter_add_stream(f, stream) == ERR_NONE;
	struct history_query q = {.after = after, .count_max = 1, .bytes_max = 1};
	q.select = fine ? history_select_take(store, f) : NULL;
	if (q.select == NULL) {
		if (!fine)
			filter_destroy(f);
		return fault_set(fault, ERR_NOMEM, "out of memory");
	}
	struct page *page;
	enum err err = history_page(reader, &q, &page, fault);
	if (!err)
		*seq = page_count(page) > 0 ? page_entry(page, 0).seq : page_last(page) + 1;
	page_unref(page);
	selection_destroy(q.select);
	return err;
}

/* Streams that are kept longer hold the log at their first event that is not due. */
static enum err hold(struct store *store, struct reader *reader, const struct keeper_options *o, int64_t now, uint64_t *cut,
		     struct fault *fault)
{
	enum err err = ERR_NONE;
	for (int i = 0; !err && i < o->stream_count; i++) {
		uint64_t after = store_hot(store) - 1;
		uint64_t held = 0;
		if (o->age_ms > 0 && o->streams[i].age_ms <= o->age_ms)
			continue;
		if (o->streams[i].age_ms > 0)
			err = history_seek_time(reader, now - o->streams[i].age_ms, &after, fault);
		if (!err)
			err = next_of(store, reader, o->streams[i].name, after, &held, fault);
		if (!err && held <= *cut)
			*cut = held - 1;
	}
	return err;
}

/* What follows may leave, too, as long as it is of streams that are kept for a shorter time, and due. */
static enum err extend(struct store *store, struct reader *reader, const struct keeper_options *o, int64_t now,
		       uint64_t *cut, struct fault *fault)
{
	bool due = false;
	for (int i = 0; i < o->stream_count; i++)
		due = due || (o->streams[i].age_ms > 0 && (o->age_ms == 0 || o->streams[i].age_ms < o->age_ms));
	while (due && *cut < store_head(store)) {
		struct page *page;
		struct history_query q = {.after = *cut, .count_max = PAGE_EVENTS, .bytes_max = PAGE_BYTES};
		enum err err = history_page(reader, &q, &page, fault);
		if (err)
			return err;
		for (uint32_t i = 0; due && i < page_count(page); i++) {
			struct page_entry e = page_entry(page, i);
			int64_t age = age_of(o, store_topic_stream(store, e.topic));
			due = age > 0 && e.time_ms < now - age;
			*cut = due ? e.seq : *cut;
		}
		page_unref(page);
	}
	return ERR_NONE;
}

static int64_t shortest(const struct keeper_options *o)
{
	int64_t age = o->age_ms;
	for (int i = 0; i < o->stream_count; i++)
		if (o->streams[i].age_ms > 0 && (age == 0 || o->streams[i].age_ms < age))
			age = o->streams[i].age_ms;
	return age;
}

static enum err due_at(struct store *store, struct reader *reader, const struct keeper_options *o, int64_t now,
		       uint64_t *cut, struct fault *fault)
{
	*cut = store_hot(store) - 1;
	enum err err = o->age_ms > 0 ? history_seek_time(reader, now - o->age_ms, cut, fault) : ERR_NONE;
	*cut = max(*cut, store_hot(store) - 1);
	if (!err)
		err = hold(store, reader, o, now, cut, fault);
	return err ? err : extend(store, reader, o, now, cut, fault);
}

static enum err cut_by_age(struct store *store, struct reader *reader, const struct keeper_options *o, uint64_t *cut,
			   struct fault *fault)
{
	*cut = 0;
	if (shortest(o) == 0)
		return ERR_NONE;
	/* Is anything due for long enough? */
	int64_t now = clock_wall_ms();
	enum err err = due_at(store, reader, o, now - shortest(o) / SLACK, cut, fault);
	if (err || *cut < store_hot(store))
		return err;
	return due_at(store, reader, o, now, cut, fault);
}

enum err retention_cut(struct store *store, struct reader *reader, const struct keeper_options *limits, uint64_t used,
		       uint64_t *cut, struct fault *fault)
{
	uint64_t hot = store_hot(store);
	uint64_t head = store_head(store);
	*cut = 0;
	if (hot >= head) /* the newest event stays: the time goes on from it */
		return ERR_NONE;
	enum err err = cut_by_age(store, reader, limits, cut, fault);
	*cut = max(*cut, cut_by_number(hot, head, limits->events));
	*cut = max(*cut, cut_by_size(hot, head, limits->bytes, used));
	if (*cut >= head)
		*cut = head - 1;
	return err;
}
