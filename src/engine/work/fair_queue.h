/* A fair queue: items of one client come in order, and clients take turns (round robin over hashed buckets, as in stochastic
 * fair queueing). Not locked. */
#ifndef ENGINE_WORK_FAIR_QUEUE_H
#define ENGINE_WORK_FAIR_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

/* With more waiting clients than buckets some share one: they wait longer, never for ever. */
enum { FAIR_QUEUE_BUCKETS = 64 };

struct fair_queue {
	struct list bucket[FAIR_QUEUE_BUCKETS];
	uint64_t filled;                    /* a bit for each bucket that is not empty */
	uint64_t owner[FAIR_QUEUE_BUCKETS]; /* the client of each bucket that is not empty */
	bool collided; /* clients share a bucket: until the queue is empty, the hash alone chooses the bucket */
};

void fair_queue_init(struct fair_queue *l);
static inline bool fair_queue_empty(const struct fair_queue *l)
{
	return l->filled == 0;
}
/* How many buckets are not empty. */
static inline int fair_queue_filled(const struct fair_queue *l)
{
	return __builtin_popcountll(l->filled);
}
/* Returns the bucket that the item was put into. */
const struct list *fair_queue_append(struct fair_queue *l, uint64_t client, struct list *item);
/* `turn`, kept by the caller (0 at first), is the bucket whose turn it is. Moves it on to the next bucket that is not empty,
 * and returns that; its first item can be removed with fair_queue_remove. The queue is not empty. */
struct list *fair_queue_current(struct fair_queue *l, unsigned *turn);
void fair_queue_remove(struct fair_queue *l, unsigned turn, struct list *item);
/* Ends the turn of a bucket. */
static inline void fair_queue_next(unsigned *turn)
{
	*turn = (*turn + 1) % FAIR_QUEUE_BUCKETS;
}
/* Moves all items to `out`, bucket by bucket. */
void fair_queue_take_all(struct fair_queue *l, struct list *out);

#endif
