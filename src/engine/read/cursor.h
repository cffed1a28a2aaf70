/* A reader is a cursor: a position in the log, a filter, and a wire form. It holds no events: how far behind it is
 * costs nothing.
 *
 *     for (;;) switch (cursor_fill(c, chunks, …)) {
 *     case CURSOR_READY: send; cursor_advance(c, chunks, n, sent); cursor_release(chunks, n); break;
 *     case CURSOR_GAP:   tell the reader c->gap; break;
 *     case CURSOR_LOAD:  cursor_load(c); … wake … break;
 *     case CURSOR_LIVE:  wait (subscription.h, or the feed's listener); break;
 *     case CURSOR_FAILED: give up: cursor_fault(c); }
 *
 * Owned by one thread; only `wake` comes from another. */
#ifndef ENGINE_READ_CURSOR_H
#define ENGINE_READ_CURSOR_H

#include "engine/read/feed.h"
#include "engine/read/position.h"
#include "event/encoding.h"

struct cursor;

/* Up to so many topics, a page is asked for each; beyond, it is walked. */
enum { CURSOR_NARROW_TOPICS = 16 };

/* A page is there for a cursor that asked with cursor_load. Called with the feed locked, from any thread: it must only
 * wake the cursor's owner. */
typedef void cursor_wake(void *arg);

/* `select` may be NULL; it is taken, also on failure. `before` (exclusive, 0: none) is where it ends. `wake` may be NULL for
 * a cursor that never loads. */
enum err cursor_create(struct feed *f, struct position start, uint64_t before, struct selection *select, enum encoding form,
		       cursor_wake *wake, void *arg, struct cursor **out);
/* Events that are older when their turn comes are passed over, which is told as a gap. `older`: up to this seq all are; 0:
 * that is not known of any. Before the first fill. */
void cursor_set_max_age(struct cursor *c, int64_t max_age_ms, uint64_t older);
/* After this no wake comes any more. */
void cursor_destroy(struct cursor *c);

enum cursor_state { CURSOR_READY, CURSOR_GAP, CURSOR_LOAD, CURSOR_LIVE, CURSOR_END, CURSOR_FAILED };

/* Bytes to send: whole records, but for the first chunk of a cursor that stopped within one. */
struct chunk {
	struct page *page;
	const char *bytes;
	size_t len;
	uint32_t index;      /* of its first record in the page */
	uint32_t count;      /* records */
	uint64_t done_after; /* the cursor's position once all of it is sent */
};

/* What to send next; at most `max` chunks, and no more once `bytes_max` is reached. *count is set when READY. */
enum cursor_state cursor_fill(struct cursor *c, struct chunk *chunks, int max, size_t bytes_max, int *count);
/* `sent` bytes of the chunks have gone out. Returns how many events were completed. */
uint64_t cursor_advance(struct cursor *c, const struct chunk *chunks, int count, size_t sent);
/* After `sent` bytes of the chunks: the bytes that complete the record which they end in. 0 at the end of one. */
size_t cursor_record_rest(const struct cursor *c, const struct chunk *chunks, int count, size_t sent, const char **bytes);
void cursor_release(struct chunk *chunks, int count);
/* Fetches the page that cursor_fill asked for; `wake` follows, perhaps before this returns. */
void cursor_load(struct cursor *c);

uint64_t cursor_after(const struct cursor *c);
/* The last event that was sent; 0: none was. With a filter, cursor_after may be past it. */
uint64_t cursor_sent(const struct cursor *c);
/* Goes on from there instead, back as well; not while a load runs, nor inside a record. */
void cursor_seek(struct cursor *c, struct position start);
/* Does it pass over events? Then its position moves unseen between two matches. */
bool cursor_is_filtered(const struct cursor *c);
/* At the head: nothing up to `seq` matches. It goes on behind that. */
void cursor_pass(struct cursor *c, uint64_t seq);
/* What it reads; NULL: everything. Not while a load runs. */
struct selection *cursor_selection(const struct cursor *c);
/* True in the middle of a record: nothing else may be written in between. */
bool cursor_is_inside(const struct cursor *c);
/* The gap to tell after CURSOR_GAP: asking for it means that it was told. */
const struct gap *cursor_gap(struct cursor *c);
/* The reason after CURSOR_FAILED. */
const struct fault *cursor_fault(const struct cursor *c);

#endif
