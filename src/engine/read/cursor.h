/* A reader is a cursor: a position in the log, a filter, and an encoding. It holds no events, so a reader that has fallen
 * behind costs no more than a live one.
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

/* With up to this many topics, a page's index is asked for each topic; with more, its events are walked. */
enum { CURSOR_NARROW_TOPICS = 16 };

/* The load that cursor_load began has ended. Called with the feed locked, from any thread: it must only wake the cursor's
 * owner. */
typedef void cursor_wake(void *arg);

struct cursor_options {
	struct position start;
	uint64_t before;          /* where the cursor ends, exclusive; 0: nowhere */
	struct selection *select; /* taken, also on failure; NULL: everything */
	enum encoding encoding;
	cursor_wake *wake; /* NULL for a cursor that never loads */
	void *arg;
};

/* ERR_NOMEM. */
enum err cursor_create(struct feed *f, const struct cursor_options *options, struct cursor **out);
/* Events older than max_age_ms when they would be sent are skipped, and reported as a gap. `older`: all events up to this
 * seq are known to be older; 0: none are. Before the first fill. */
void cursor_set_max_age(struct cursor *c, int64_t max_age_ms, uint64_t older);
/* `wake` is not called after this. NULL is fine. */
void cursor_destroy(struct cursor *c);

enum cursor_state { CURSOR_READY, CURSOR_GAP, CURSOR_LOAD, CURSOR_LIVE, CURSOR_END, CURSOR_FAILED };

/* Bytes to send: whole records, except that the first chunk may begin inside a record that was sent in part. */
struct chunk {
	struct page *page;
	const char *bytes;
	size_t len;
	uint32_t index;      /* of its first record in the page */
	uint32_t count;      /* records */
	uint64_t done_after; /* the cursor's position once all of it is sent */
};

/* What to send next: at most `max` chunks, and none after bytes_max is reached. *count is 0 unless READY. */
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
/* Moves the cursor, forward or back; not while a load runs, nor inside a record. */
void cursor_seek(struct cursor *c, struct position start);
/* Does it skip events? Then its position moves between two matches without anything being sent. */
bool cursor_is_filtered(const struct cursor *c);
/* Nothing up to `seq` matches: goes on after it. Not inside a record. */
void cursor_pass(struct cursor *c, uint64_t seq);
/* The events it selects, borrowed; NULL: all. Not while a load runs. */
struct selection *cursor_selection(const struct cursor *c);
/* True in the middle of a record: nothing else may be written to the connection. */
bool cursor_is_inside(const struct cursor *c);
/* The gap to report after CURSOR_GAP. The call marks it as reported. */
const struct gap *cursor_gap(struct cursor *c);
/* The reason after CURSOR_FAILED. */
const struct fault *cursor_fault(const struct cursor *c);

#endif
