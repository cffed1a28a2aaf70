#include "engine/read/position.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "store/read/history.h"

const char *gap_reason_name(enum gap_reason reason)
{
	static const char *const names[] = {"retention", "epoch", "diverged", "ahead", "age"};
	assert(reason <= GAP_AGE);
	return names[reason];
}

void gap_write(struct buf *out, const struct gap *gap)
{
	buf_printf(out, "{\"op\":\"gap\",\"requested\":%" PRIu64 ",\"first\":%" PRIu64 ",\"reason\":\"%s\"}", gap->requested,
		   gap->first, gap_reason_name(gap->reason));
}

void position_set_epoch(struct position *p, struct slice epoch)
{
	bool fits = epoch.len == LINE_EPOCH_LEN && memchr(epoch.p, '\0', epoch.len) == NULL;
	snprintf(p->epoch, sizeof p->epoch, "%.*s", fits ? (int)epoch.len : 1, fits ? epoch.p : "?");
}

bool position_is_foreign(const struct position *p, const struct store *s)
{
	uint64_t end;
	return p->epoch[0] != '\0' && !store_line_end(s, p->epoch, &end);
}

bool position_find(struct store *s, uint64_t head, const struct position *start, uint64_t *after, struct gap *gap)
{
	uint64_t first = store_first(s);
	*after = start->from_head ? head : start->from_first ? first - 1 : start->after;
	*gap = (struct gap){start->by_time ? 0 : start->after, first, GAP_RETENTION};
	uint64_t end = UINT64_MAX;
	if (start->epoch[0] != '\0' && !store_line_end(s, start->epoch, &end)) {
		gap->reason = GAP_EPOCH;
		*after = start->by_time && start->after >= first ? start->after : first - 1;
		return true;
	}
	if (!start->from_head && !start->from_first && !start->by_time && start->after > end) {
		gap->reason = GAP_DIVERGED;
		gap->first = store_next(s, end);
		*after = gap->first - 1;
		return true;
	}
	/* A page of history may hold an event a moment before the feed does: its position is valid. */
	if (*after > head && *after > store_head(s)) {
		gap->reason = GAP_AHEAD;
		*after = head;
		return true;
	}
	return false;
}

bool position_resolve(struct store *s, uint64_t head, struct position start, struct selection *select, uint64_t *after,
		      struct gap *gap)
{
	if (position_find(s, head, &start, after, gap))
		return true;
	gap->first = store_next(s, *after);
	bool missing = gap->first > *after + 1 && history_may_miss(s, select, *after);
	*after = gap->first - 1;
	return missing;
}
