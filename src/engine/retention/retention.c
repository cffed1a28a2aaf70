#include "engine/retention/retention.h"

#include <assert.h>

#include "engine/retention/age_clock.h"

enum {
	SLACK = 8 /* a limit is acted on when it is exceeded by this fraction (an eighth) */,
	PAGE_EVENTS = 1000,
	PAGE_BYTES = 1024 * 1024
};

static uint64_t max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t cut_by_number(uint64_t log_first, uint64_t head, uint64_t limit)
{
	uint64_t events = head + 1 - log_first;
	return limit > 0 && events > limit + limit / SLACK ? head - limit : 0;
}

/* Assumes that all events have the same size; the next round corrects the error. */
static uint64_t cut_by_size(uint64_t log_first, uint64_t head, uint64_t limit, uint64_t used)
{
	if (limit == 0 || used <= limit + limit / SLACK)
		return 0;
	assert(log_first <= head);
	double share = (double)(used - limit) / (double)used;
	return log_first - 1 + (uint64_t)((double)(head + 1 - log_first) * share);
}

/* --- by age --- */

static enum err seek(const struct retention *r, int64_t ms, uint64_t *seq, struct fault *fault)
{
	return age_clock_seek(r->ages, r->reader, ms, seq, fault);
}

/* The first event of a stream after `after`; head + 1 where there is none. */
static enum err next_of(const struct retention *r, struct slice stream, uint64_t after, uint64_t *seq, struct fault *fault)
{
	struct filter *f = filter_create();
	bool fine = f != NULL && filter_add_stream(f, stream) == ERR_NONE;
	struct history_query q = {.after = after, .count_max = 1, .bytes_max = 1};
	q.select = fine ? history_select_take(r->store, f) : NULL;
	if (q.select == NULL) {
		if (!fine)
			filter_destroy(f);
		return fault_nomem(fault);
	}
	struct page *page;
	enum err err = history_page(r->reader, &q, &page, fault);
	if (!err)
		*seq = page_count(page) > 0 ? page_entry(page, 0).seq : page_last(page) + 1;
	page_unref(page);
	selection_destroy(q.select);
	return err;
}

/* Streams that are kept longer stop the cut at their first event that is not due. */
static enum err hold(const struct retention *r, int64_t now, uint64_t *cut, struct fault *fault)
{
	const struct archiver_options *o = r->limits;
	enum err err = ERR_NONE;
	for (int i = 0; !err && i < o->stream_count; i++) {
		uint64_t after = store_log_first(r->store) - 1;
		uint64_t held = 0;
		if (o->age_ms > 0 && o->streams[i].age_ms <= o->age_ms)
			continue;
		if (o->streams[i].age_ms > 0)
			err = seek(r, now - o->streams[i].age_ms, &after, fault);
		if (!err)
			err = next_of(r, o->streams[i].name, after, &held, fault);
		assert(err || held > after);
		if (!err && held <= *cut)
			*cut = held - 1;
	}
	return err;
}

/* Up to which seq events are due: of each stream with its own limit, and of all others; 0: none are. */
struct due {
	uint64_t upto[ARCHIVER_STREAMS_MAX];
	uint64_t others;
};

static enum err find_due(const struct retention *r, int64_t now, struct due *due, struct fault *fault)
{
	const struct archiver_options *o = r->limits;
	enum err err = ERR_NONE;
	*due = (struct due){.others = 0};
	if (o->age_ms > 0)
		err = seek(r, now - o->age_ms, &due->others, fault);
	for (int i = 0; !err && i < o->stream_count; i++)
		if (o->streams[i].age_ms > 0)
			err = seek(r, now - o->streams[i].age_ms, &due->upto[i], fault);
	return err;
}

static bool is_due(const struct retention *r, const struct due *due, struct page_entry e)
{
	char text[EVENT_NAME_MAX];
	struct slice stream = store_topic_stream(r->store, e.topic, text);
	for (int i = 0; i < r->limits->stream_count; i++)
		if (slice_eq(r->limits->streams[i].name, stream))
			return e.seq <= due->upto[i];
	return e.seq <= due->others;
}

/* The events that follow are cut too, as long as they belong to streams with a shorter limit and are due. */
static enum err extend(const struct retention *r, int64_t now, uint64_t *cut, struct fault *fault)
{
	const struct archiver_options *o = r->limits;
	struct due due;
	bool more = false;
	for (int i = 0; i < o->stream_count; i++)
		more = more || (o->streams[i].age_ms > 0 && (o->age_ms == 0 || o->streams[i].age_ms < o->age_ms));
	enum err err = more ? find_due(r, now, &due, fault) : ERR_NONE;
	while (!err && more && *cut < store_head(r->store)) {
		struct page *page;
		struct history_query q = {.after = *cut, .count_max = PAGE_EVENTS, .bytes_max = PAGE_BYTES};
		err = history_page(r->reader, &q, &page, fault);
		if (err)
			return err;
		for (uint32_t i = 0; more && i < page_count(page); i++) {
			more = is_due(r, &due, page_entry(page, i));
			*cut = more ? page_entry(page, i).seq : *cut;
		}
		page_unref(page);
	}
	return err;
}

static int64_t shortest(const struct archiver_options *o)
{
	int64_t age = o->age_ms;
	for (int i = 0; i < o->stream_count; i++)
		if (o->streams[i].age_ms > 0 && (age == 0 || o->streams[i].age_ms < age))
			age = o->streams[i].age_ms;
	return age;
}

bool retention_has_age(const struct archiver_options *limits)
{
	return shortest(limits) > 0;
}

static enum err due_at(const struct retention *r, int64_t now, uint64_t *cut, struct fault *fault)
{
	*cut = store_log_first(r->store) - 1;
	enum err err = r->limits->age_ms > 0 ? seek(r, now - r->limits->age_ms, cut, fault) : ERR_NONE;
	*cut = max(*cut, store_log_first(r->store) - 1);
	if (!err)
		err = hold(r, now, cut, fault);
	return err ? err : extend(r, now, cut, fault);
}

static enum err cut_by_age(const struct retention *r, uint64_t *cut, struct fault *fault)
{
	*cut = 0;
	if (!retention_has_age(r->limits))
		return ERR_NONE;
	/* Nothing is cut until the limit is exceeded by an eighth. */
	int64_t now = age_clock_now(r->ages);
	enum err err = due_at(r, now - shortest(r->limits) / SLACK, cut, fault);
	if (err || *cut < store_log_first(r->store))
		return err;
	return due_at(r, now, cut, fault);
}

enum err retention_cut(const struct retention *r, uint64_t used, uint64_t *cut, struct fault *fault)
{
	uint64_t log_first = store_log_first(r->store);
	uint64_t head = store_head(r->store);
	*cut = 0;
	if (log_first >= head) /* the newest event stays: the time goes on from it */
		return ERR_NONE;
	enum err err = cut_by_age(r, cut, fault);
	*cut = max(*cut, cut_by_number(log_first, head, r->limits->events));
	*cut = max(*cut, cut_by_size(log_first, head, r->limits->bytes, used));
	if (*cut >= head)
		*cut = head - 1;
	return err;
}
