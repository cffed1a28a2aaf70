#include "server/stream/history_range.h"

#include <inttypes.h>

#include "server/stream/reader_start.h"
#include "store/index/selection.h"

/* Does the query ask for events before the first one? Then their absence is a gap. */
static bool asks_for_missing(const struct reader_query *q, const struct selection *select)
{
	return q->before != 0 || reader_start_has_times(q) || q->has_until || q->descending || !selection_is_open(select);
}

/* May (after, upto] contain an event that the query asks for? */
static bool may_hold(struct reader *reader, const struct history_query *q, uint64_t upto)
{
	struct history_query query = {
		.after = q->after, .before = upto + 1, .count_max = 1, .bytes_max = 1, .select = q->select};
	struct page *page;
	struct fault fault;
	if (history_page(reader, &query, &page, &fault) != ERR_NONE)
		return true;
	bool may = page_count(page) > 0 || page_last(page) < upto;
	page_unref(page);
	return may;
}

/* Skips the events up to `older`, which exceed the maximum age. */
static void skip_old(struct history_range *r, struct reader *reader, uint64_t older)
{
	struct gap gap = {r->asked, older + 1, GAP_AGE};
	if (older <= r->query.after)
		return;
	bool asked_for = may_hold(reader, &r->query, older);
	r->query.after = older;
	if (asked_for && r->query.descending) {
		r->ends_with_gap = true;
		r->end_gap = gap;
	} else if (asked_for && (!r->has_gap || r->gap.reason == GAP_RETENTION)) {
		r->has_gap = true;
		r->gap = gap;
	}
}

enum err history_range_set(struct history_range *out, struct store *store, struct reader *reader,
			   const struct reader_query *q, struct selection *select, struct fault *fault)
{
	struct reader_query from = {.start = q->start,
				    .has_after = q->has_after,
				    .has_since = q->has_since,
				    .since_ms = q->since_ms,
				    .max_age_ms = q->max_age_ms};
	bool named = q->has_after && (q->start.from_head || q->start.from_first);
	uint64_t head = store_head(store);
	uint64_t until = 0;
	from.start.from_first = q->has_after ? q->start.from_first : !asks_for_missing(q, select);
	enum err err = reader_start_apply_times(reader, &from, fault);
	if (!err && q->has_until)
		err = history_seek_time(reader, q->until_ms, &until, fault);
	if (err)
		return err;
	uint64_t after;
	*out = (struct history_range){.head = head};
	out->has_gap = q->descending ? position_find(store, head, &from.start, &after, &out->gap)
				     : position_resolve(store, head, from.start, select, &after, &out->gap);
	out->asked = from.start.by_time || !q->has_after ? 0 : after;
	out->query =
		(struct history_query){.after = after, .before = head + 1, .descending = q->descending, .select = select};
	if (q->before != 0 && q->before < out->query.before)
		out->query.before = q->before;
	if (q->has_until && until + 1 < out->query.before)
		out->query.before = until + 1;
	if (named && q->before != 0 && q->before <= after + 1)
		return fault_set(fault, ERR_INVALID,
				 "before: there is no seq after %s, which is %" PRIu64 ", and before %" PRIu64,
				 q->start.from_head ? "head" : "first", after, q->before);
	skip_old(out, reader, from.older);
	return ERR_NONE;
}

/* The seq below the missing events at the end of `rest`, which is read in descending order; before - 1 if none are
 * missing. */
static uint64_t below(struct store *store, const struct history_query *rest)
{
	uint64_t there = store_previous(store, rest->before);
	return there > rest->after ? there : rest->after;
}

bool history_range_missing(struct store *store, const struct history_query *rest, uint64_t asked, struct gap *gap,
			   bool *matters)
{
	uint64_t low = rest->descending ? below(store, rest) : rest->after;
	bool is_end = rest->descending && low == rest->after;
	*gap = (struct gap){is_end ? asked : low, store_next(store, low), GAP_RETENTION};
	bool missing = rest->after + 1 < rest->before && (rest->descending ? low + 1 < rest->before : gap->first > low + 1);
	*matters = missing && history_may_miss(store, rest->select, low);
	return missing;
}

void history_range_skip(struct store *store, struct history_query *rest)
{
	if (rest->descending)
		rest->before = below(store, rest) + 1;
	else
		rest->after = store_next(store, rest->after) - 1;
}
