/* What waits, in the order that is fair: what is of one client comes one after the other, of several clients in turns. Not
 * locked. */
#ifndef ENGINE_WORK_FAIR_QUEUE_H
#define ENGINE_WORK_FAIR_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

/* Clients share lanes while more of them wait; nobody then waits for ever, only longer. */
enum { LANES = 64 };

struct fair_queue {
	struct list lane[LANES];
	uint64_t filled;       /* a bit for each lane that has something */
	uint64_t owner[LANES]; /* whose those are */
	bool crowded; /* some wait in the lane of another: then, until nothing waits, their hash says where clients go */
};

void fair_queue_init(struct fair_queue *l);
static inline bool fair_queue_empty(const struct fair_queue *l)
{
	return l->filled == 0;
}
/* How many of them have something. */
static inline int fair_queue_filled(const struct fair_queue *l)
{
	return __builtin_popcountll(l->filled);
}
/* Returns the lane it went to. */
const struct list *fair_queue_append(struct fair_queue *l, uint64_t client, struct list *item);
/* Whoever takes keeps a number of whose turn it is. This lane's, the next one that has something: its first item can be
 * removed with fair_queue_remove. */
struct list *fair_queue_current(struct fair_queue *l, unsigned *turn);
void fair_queue_remove(struct fair_queue *l, unsigned turn, struct list *item);
/* It is the next one's turn. */
static inline void fair_queue_next(unsigned *turn)
{
	*turn = (*turn + 1) % LANES;
}
/* All that waits, lane by lane. */
void fair_queue_take_all(struct fair_queue *l, struct list *out);

#endif
