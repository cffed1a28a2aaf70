/* Where a reader starts, and what it misses. */
#ifndef ENGINE_READ_POSITION_H
#define ENGINE_READ_POSITION_H

#include "base/buf.h"
#include "store/log/store.h"

struct selection;

/* Why a reader misses events. */
enum gap_reason { GAP_RETENTION, GAP_EPOCH, GAP_DIVERGED, GAP_AHEAD, GAP_AGE };
struct gap {
	uint64_t requested;
	uint64_t first; /* the event that reading goes on with */
	enum gap_reason reason;
};
const char *gap_reason_name(enum gap_reason reason);
/* {"op":"gap",…} */
void gap_write(struct buf *out, const struct gap *gap);

/* Where to start. */
struct position {
	uint64_t after;
	bool from_head;  /* at the head; `after` is ignored */
	bool from_first; /* before the first event; `after` is ignored */
	bool by_time;    /* `after` was found by a time: a gap reports 0 as the requested position */
	/* The line of history of the reader's position; empty: not known. If this store has no such line, reading starts at
	 * the first event, with a gap; if the line ended before `after`, reading starts at its end, with a gap. */
	char epoch[LINE_EPOCH_LEN + 1];
};

/* Sets the epoch that a client sent; a text that cannot be one becomes "?", which no line has. */
void position_set_epoch(struct position *p, struct slice epoch);
/* Is it on a line of another store? */
bool position_is_foreign(const struct position *p, const struct store *s);
/* *after: the seq to read after; `head` is the last event of the feed. True: the position is not one of this store's
 * history, and `gap` says why. Whether events after it are missing is not checked. */
bool position_find(struct store *s, uint64_t head, const struct position *start, uint64_t *after, struct gap *gap);
/* The same, and skips missing events. That is a gap only if events that pass `select` (NULL: all) may be among them. */
bool position_resolve(struct store *s, uint64_t head, struct position start, struct selection *select, uint64_t *after,
		      struct gap *gap);

#endif
