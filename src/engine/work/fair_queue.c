#include "engine/work/fair_queue.h"

#include <assert.h>

void fair_queue_init(struct fair_queue *l)
{
	*l = (struct fair_queue){0};
	for (int i = 0; i < LANES; i++)
		list_init(&l->lane[i]);
}

/* FNV-1a. Not keyed: no more than LANES places are ever looked at, whatever clients choose, and the turns that they get
 * should not differ from one process to the next. */
static unsigned hash(uint64_t client)
{
	uint64_t h = UINT64_C(14695981039346656037);
	for (int i = 0; i < 8; i++)
		h = (h ^ (client >> 8 * i & 0xff)) * UINT64_C(1099511628211);
	return (unsigned)(h % LANES);
}

/* In the lane that the client has, else in one that is free. */
static unsigned lane_of(struct fair_queue *l, uint64_t client)
{
	unsigned lane = hash(client);
	for (uint64_t left = l->filled; left != 0; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctzll(left);
		if (l->owner[i] == client)
			return i;
	}
	/* Once somebody had to share, a free lane could be one that its requests overtake their earlier ones in. */
	l->crowded = l->filled != 0 && (l->crowded || l->filled == UINT64_MAX);
	while (!l->crowded && (l->filled >> lane & 1) != 0)
		lane = (lane + 1) % LANES;
	if ((l->filled >> lane & 1) == 0)
		l->owner[lane] = client;
	return lane;
}

const struct list *fair_queue_append(struct fair_queue *l, uint64_t client, struct list *item)
{
	unsigned lane = lane_of(l, client);
	list_append(&l->lane[lane], item);
	l->filled |= UINT64_C(1) << lane;
	return &l->lane[lane];
}

struct list *fair_queue_current(struct fair_queue *l, unsigned *turn)
{
	assert(!fair_queue_empty(l));
	while ((l->filled >> *turn & 1) == 0)
		fair_queue_next(turn);
	return &l->lane[*turn];
}

void fair_queue_remove(struct fair_queue *l, unsigned turn, struct list *item)
{
	assert((l->filled >> turn & 1) != 0);
	list_remove(item);
	if (list_empty(&l->lane[turn]))
		l->filled &= ~(UINT64_C(1) << turn);
}

void fair_queue_take_all(struct fair_queue *l, struct list *out)
{
	for (int i = 0; i < LANES; i++)
		list_move_all(out, &l->lane[i]);
	l->filled = 0;
}
