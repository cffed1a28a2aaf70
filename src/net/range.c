#include "net/range.h"

enum err range_set(struct range *out, struct store *store, struct reader *reader, const struct query *q,
		   struct selection *select, struct fault *fault)
{
	struct position start = q->start;
	if (!q->has_after)
		start.from_first = true;
	uint64_t after;
	uint64_t head = store_head(store);
	*out = (struct range){0};
	out->head = head;
	out->has_gap = position_resolve(store, head, start, select, &after, &out->gap);
	struct history_query *range = &out->query;
	*range = (struct history_query){.after = after, .before = head + 1, .descending = q->descending, .select = select};
	if (q->before != 0 && q->before < range->before)
		range->before = q->before;
	enum err err = ERR_NONE;
	uint64_t seq;
	if (q->has_since)
		err = history_seek_since(reader, q->since_ms, &seq, fault);
	if (!err && q->has_since && seq > range->after)
		range->after = seq;
	if (!err && q->has_until)
		err = history_seek_time(reader, q->until_ms, &seq, fault);
	if (!err && q->has_until && seq + 1 < range->before)
		range->before = seq + 1;
	return err;
}
