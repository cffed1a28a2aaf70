/* Readers that wait at the head, indexed by the topics or the conditions on payloads that they wait for: a commit wakes only
 * readers with a match, so its cost grows with the matches and not with the number of waiting readers.
 *
 *     add ─▶ waits ─▶ subscriptions_dispatch finds an event for it (or remove) ─▶ reads on, and is added again
 *
 * While a reader waits its cursor stays where it was; removing it moves the cursor past all events that were dispatched
 * meanwhile. A table belongs to one thread, or is guarded by its owner's lock. */
#ifndef ENGINE_READ_SUBSCRIPTION_H
#define ENGINE_READ_SUBSCRIPTION_H

#include "base/list.h"
#include "engine/read/cursor.h"

struct subscriptions;
struct subscription_link;
struct condition;

/* A waiting reader. Zeroed, then subscription_init. */
struct subscription {
	struct list all;  /* in the table; empty while it does not wait */
	struct list wide; /* readers that every commit wakes */
	struct list same; /* readers with the same conditions */
	struct condition *condition;
	struct subscription_link *links;
	uint32_t link_count;
	uint32_t link_cap;
	struct cursor *cursor; /* borrowed while it waits */
};

enum err subscriptions_create(struct feed *f, struct subscriptions **out);
/* No reader waits. NULL is fine. */
void subscriptions_destroy(struct subscriptions *t);

void subscription_init(struct subscription *s);
/* The reader does not wait. */
void subscription_finish(struct subscription *s);

/* After CURSOR_LIVE: waits for the next match. False: events were dispatched since; fill the cursor again. */
bool subscription_add(struct subscriptions *t, struct subscription *s, struct cursor *c);
void subscription_remove(struct subscriptions *t, struct subscription *s);
bool subscription_waits(const struct subscription *s);
/* The position of the reader: of its cursor, or, while it waits, after all events that were dispatched. */
uint64_t subscription_after(const struct subscriptions *t, const struct subscription *s, const struct cursor *c);

/* Skips what was committed so far; no reader waits. For owners that do not dispatch while nothing waits. */
void subscriptions_catch_up(struct subscriptions *t);

/* Goes through the commits since the last call, and calls back for each reader with a match, which does not wait any more.
 */
typedef void subscription_wake(void *arg, struct subscription *s);
void subscriptions_dispatch(struct subscriptions *t, subscription_wake *wake, void *arg);

#endif
