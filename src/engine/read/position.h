/* Where a reader starts, and what it misses. */
#ifndef ENGINE_READ_POSITION_H
#define ENGINE_READ_POSITION_H

#include "base/buf.h"
#include "store/log/store.h"

struct selection;

/* Why a reader does not get what it asked for. */
enum gap_reason { GAP_RETENTION, GAP_EPOCH, GAP_DIVERGED, GAP_AHEAD, GAP_AGE };
struct gap {
	uint64_t requested;
	uint64_t first; /* the first event there is */
	enum gap_reason reason;
};
const char *gap_reason_name(enum gap_reason reason);
/* {"op":"gap",…} */
void gap_write(struct buf *out, const struct gap *gap);

/* Where to start. */
struct position {
	uint64_t after;
	bool from_head;  /* at the head; `after` does not count */
	bool from_first; /* before the first event there is; neither does it here */
	bool by_time;    /* `after` was found by a time: a gap says that no position was asked for */
	/* The line of history that the reader knows; empty: it does not say. Where this store has none of that name, reading
	 * starts at the first event, with a gap; where that line ended before `after`, where it ended. */
	char epoch[LINE_EPOCH_LEN + 1];
};

/* Notes the epoch that a reader knows, whatever text it is. */
void position_set_epoch(struct position *p, struct slice epoch);
/* Is it on a line of another store? */
bool position_is_foreign(const struct position *p, const struct store *s);
/* Turns a position into a seq to read after, where `head` is the last event there is. True when that is none of this
 * store's: then `gap` says why. What is missing behind it is left alone. */
bool position_find(struct store *s, uint64_t head, const struct position *start, uint64_t *after, struct gap *gap);
/* The same, and goes past what is missing: that is no gap where nothing that passes `select` (NULL: everything does) can be
 * missing. */
bool position_resolve(struct store *s, uint64_t head, struct position start, struct selection *select, uint64_t *after,
		      struct gap *gap);

#endif
