/* What waits, in the order that is fair: what is of one client comes one after the other, of several clients in turns. Not
 * locked. */
#ifndef HUB_LANES_H
#define HUB_LANES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

/* Clients share lanes while more of them wait; nobody then waits for ever, only longer. */
enum { LANES = 64 };

struct lanes {
	struct list lane[LANES];
	uint64_t filled;       /* a bit for each lane that has something */
	uint64_t owner[LANES]; /* whose those are */
	bool crowded; /* some wait in the lane of another: then, until nothing waits, their hash says where clients go */
};

void lanes_init(struct lanes *l);
static inline bool lanes_empty(const struct lanes *l)
{
	return l->filled == 0;
}
/* How many of them have something. */
static inline int lanes_filled(const struct lanes *l)
{
	return __builtin_popcountll(l->filled);
}
/* Returns the lane it went to. */
const struct list *lanes_append(struct lanes *l, uint64_t client, struct list *item);
/* Whoever takes keeps a number of whose turn it is. This lane's, the next one that has something: its first item can be
 * removed with lanes_remove. */
struct list *lanes_current(struct lanes *l, unsigned *turn);
void lanes_remove(struct lanes *l, unsigned turn, struct list *item);
/* It is the next one's turn. */
static inline void lanes_next(unsigned *turn)
{
	*turn = (*turn + 1) % LANES;
}
/* All that waits, lane by lane. */
void lanes_take_all(struct lanes *l, struct list *out);

#endif
