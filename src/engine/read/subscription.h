/* Readers that wait at the head, by the topics or the conditions on payloads that they wait for: a commit wakes those whom
 * it concerns, so that its cost grows with what matches and not with who waits.
 *
 *     park ─▶ waits ─▶ subscriptions_dispatch finds an event for it (or unpark) ─▶ reads on, and parks again
 *
 * While a reader waits its cursor stays where it was; unparking takes it past all that was dispatched without it. A table
 * belongs to one thread, or to whoever holds its owner's lock. */
#ifndef ENGINE_READ_SUBSCRIPTION_H
#define ENGINE_READ_SUBSCRIPTION_H

#include "base/list.h"
#include "engine/read/cursor.h"

struct subscriptions;
struct subscription_link;
struct condition;

/* A reader's place. Zeroed, then subscription_init. */
struct subscription {
	struct list all;  /* in the table; empty while it does not wait */
	struct list wide; /* among those that every commit concerns */
	struct list same; /* among those that wait for the same conditions */
	struct condition *condition;
	struct subscription_link *links;
	uint32_t link_count;
	uint32_t link_cap;
	struct cursor *cursor; /* borrowed while it waits */
};

enum err subscriptions_create(struct feed *f, struct subscriptions **out);
/* Nobody waits any more. */
void subscriptions_destroy(struct subscriptions *t);

void subscription_init(struct subscription *s);
/* After it was unparked. */
void subscription_finish(struct subscription *s);

/* After CURSOR_LIVE: waits for what follows. False when something has been dispatched since: look again. */
bool subscription_park(struct subscriptions *t, struct subscription *s, struct cursor *c);
void subscription_unpark(struct subscriptions *t, struct subscription *s);
bool subscription_waits(const struct subscription *s);
/* How far its cursor has come: while it waits, past all that was dispatched without it. */
uint64_t subscription_after(const struct subscriptions *t, const struct subscription *s, const struct cursor *c);

/* While nobody waits: what was committed so far concerns nobody. For an owner that does not dispatch meanwhile. */
void subscriptions_catch_up(struct subscriptions *t);

/* Goes through what was committed since the last time, and calls back for each reader that it concerns, unparked. */
typedef void subscription_wake(void *arg, struct subscription *s);
void subscriptions_dispatch(struct subscriptions *t, subscription_wake *wake, void *arg);

#endif
