/* Requests that wait for a commit, and which of them the next one takes (docs/decisions/0013-fairness.md).
 *
 * Clients take turns. A request is *small* when it has few events, and its client has few waiting; a client that has many
 * waiting is *backlogged*, and its requests are large for a while. While several clients publish, small requests go first.
 *
 * Guarded by the writer's lock, but for publish_queue_has_small. */
#ifndef ENGINE_WRITE_PUBLISH_QUEUE_H
#define ENGINE_WRITE_PUBLISH_QUEUE_H

#include <stdatomic.h>

#include "engine/work/fair_queue.h"
#include "engine/write/write_op.h"

enum { BACKLOGGED_MAX = 64 };

/* A client whose small requests have piled up. */
struct backlogged_client {
	uint64_t client;
	int64_t until_ms; /* monotonic */
};

struct publish_queue {
	struct fair_queue queue;
	struct backlogged_client backlogged[BACKLOGGED_MAX];
	uint64_t last_client;
	int64_t shared_until_ms; /* monotonic: several clients publish until then */
	uint64_t requests;       /* that wait */
	unsigned turn;           /* the bucket whose turn it is */
	unsigned small_turn;     /* the same for small requests, whose turns come more often */
	bool small_last;         /* the last transaction had small requests only, while large ones waited */
	int64_t large_due_us;    /* monotonic: large requests wait until then */

	atomic_llong small_until_ms; /* monotonic: small requests are taken to arrive along with large ones until then. Set
					by the writing thread, read by any */
};

void publish_queue_init(struct publish_queue *q);
void publish_queue_add(struct publish_queue *q, struct write_op *op);
static inline bool publish_queue_empty(const struct publish_queue *q)
{
	return fair_queue_empty(&q->queue);
}
/* Is the first request of any client small? */
bool publish_queue_small_first(struct publish_queue *q);

/* Takes the requests of one transaction: at least one if there is any. A request is never split. */
void publish_queue_take(struct publish_queue *q, struct list *ops);
/* Takes small requests that arrived while the group was appended, for the same transaction. `is_large`: the group has a
 * large request. */
void publish_queue_take_late(struct publish_queue *q, struct list *ops, bool is_large);
/* Takes everything. */
void publish_queue_take_all(struct publish_queue *q, struct list *ops);

/* A transaction with a large request took `took_us`: the next large one waits for 1.5 times that. */
void publish_queue_put_off_large(struct publish_queue *q, int64_t took_us);
/* Until when large requests wait (monotonic; in the past: they need not). */
int64_t publish_queue_large_due_us(const struct publish_queue *q);
/* Do small requests arrive along with large ones? Any thread. */
bool publish_queue_has_small(struct publish_queue *q);
/* Large requests no longer wait for small ones. */
void publish_queue_forget_small(struct publish_queue *q);

#endif
