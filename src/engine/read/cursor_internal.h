/* The inside of a cursor: cursor.c (where it is) and cursor_chunks.c (what is sent of a page) share it. */
#ifndef ENGINE_READ_CURSOR_INTERNAL_H
#define ENGINE_READ_CURSOR_INTERNAL_H

#include "engine/read/cursor.h"
#include "engine/read/feed_internal.h"

struct cursor {
	struct feed *feed;
	uint64_t after;  /* everything up to this seq was sent, or does not match */
	uint64_t sent;   /* the last event that was sent whole */
	uint64_t before; /* where it ends; 0: never */
	size_t skip;     /* bytes of the next record that are sent already */
	enum encoding encoding;
	struct selection *select; /* NULL while it is lent to a load */
	bool filtered;
	bool has_gap;
	struct gap gap;
	int64_t max_age_ms; /* 0: none */
	bool aged;          /* events after `aged_from` were skipped as too old, and the gap is not reported yet */
	uint64_t aged_from;
	const struct fault *fault; /* why it has failed; a pointer, because there are many cursors and few fail */
	struct load_waiter waiter;
};

/* What cursor_fill is putting together. */
struct filling {
	struct chunk *chunks;
	int count;
	int max;
	size_t bytes;
	size_t bytes_max;
	/* The page whose records are added. */
	struct page *page;
	const struct page_encoding *encoding;
};

/* Events after `after` are skipped because of their age. */
void cursor_note_aged(struct cursor *c);
/* If events were skipped as too old: makes the gap that reports it, and returns true. */
bool cursor_tell_aged(struct cursor *c);
/* Skips events that are too old; *young: these pages hold one that is not. */
enum err cursor_pass_old(struct cursor *c, struct page **pages, int count, bool *young);
/* Adds chunks from consecutive pages. The cursor moves over events that do not match at once, or, where they follow a chunk,
 * when that chunk is sent. */
enum err cursor_add_pages(struct cursor *c, struct filling *f, struct page **pages, int count);

#endif
