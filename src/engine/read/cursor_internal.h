/* The inside of a cursor: cursor.c (where it is) and cursor_chunks.c (what is sent of a page) share it. */
#ifndef ENGINE_READ_CURSOR_INTERNAL_H
#define ENGINE_READ_CURSOR_INTERNAL_H

#include "engine/read/cursor.h"
#include "engine/read/feed_internal.h"

struct cursor {
	struct feed *feed;
	uint64_t after;  /* everything up to here is sent, or does not match */
	uint64_t sent;   /* the last event that was sent whole */
	uint64_t before; /* where it ends; 0: never */
	size_t skip;     /* bytes of the next record that are sent already */
	enum encoding form;
	struct selection *select; /* NULL while it is lent to a load */
	bool filtered;
	bool has_gap;
	struct gap gap;
	int64_t max_age_ms; /* 0: none */
	bool aged;          /* what follows `aged_from` was passed over for its age, and that is not told yet */
	uint64_t aged_from;
	const struct fault *fault; /* why it has failed; there are many cursors, and hardly any has */
	struct load_waiter waiter;
};

/* What cursor_fill is putting together. */
struct filling {
	struct chunk *chunks;
	int count;
	int max;
	size_t bytes;
	size_t bytes_max;
};

/* What follows `after` is passed over for its age. */
void cursor_note_aged(struct cursor *c);
/* Makes a gap of what was passed over for its age. */
bool cursor_tell_aged(struct cursor *c);
/* Goes past events that are too old; *young: one that is not follows in these pages. */
enum err cursor_pass_old(struct cursor *c, struct page **pages, int count, bool *young);
/* Goes through consecutive pages. What was looked at in vain is behind the cursor at once; what follows a chunk is behind it
 * when the chunk is sent. */
enum err cursor_add_pages(struct cursor *c, struct filling *f, struct page **pages, int count);

#endif
