#include "engine/work/fair_queue.h"

#include <assert.h>

void fair_queue_init(struct fair_queue *l)
{
	*l = (struct fair_queue){0};
	for (int i = 0; i < FAIR_QUEUE_BUCKETS; i++)
		list_init(&l->bucket[i]);
}

/* FNV-1a. Not keyed: at most FAIR_QUEUE_BUCKETS buckets are looked at, whatever clients choose, and the order of turns
 * should not differ from one process to the next. */
static unsigned hash(uint64_t client)
{
	uint64_t h = UINT64_C(14695981039346656037);
	for (int i = 0; i < 8; i++)
		h = (h ^ (client >> 8 * i & 0xff)) * UINT64_C(1099511628211);
	return (unsigned)(h % FAIR_QUEUE_BUCKETS);
}

/* The bucket that the client has, else one that is free. */
static unsigned bucket_of(struct fair_queue *l, uint64_t client)
{
	unsigned bucket = hash(client);
	for (uint64_t left = l->filled; left != 0; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctzll(left);
		if (l->owner[i] == client)
			return i;
	}
	/* After a collision the client may have items in another's bucket: in a free one, new items would overtake them. */
	l->collided = l->filled != 0 && (l->collided || l->filled == UINT64_MAX);
	while (!l->collided && (l->filled >> bucket & 1) != 0)
		bucket = (bucket + 1) % FAIR_QUEUE_BUCKETS;
	if ((l->filled >> bucket & 1) == 0)
		l->owner[bucket] = client;
	return bucket;
}

const struct list *fair_queue_append(struct fair_queue *l, uint64_t client, struct list *item)
{
	unsigned bucket = bucket_of(l, client);
	list_append(&l->bucket[bucket], item);
	l->filled |= UINT64_C(1) << bucket;
	return &l->bucket[bucket];
}

struct list *fair_queue_current(struct fair_queue *l, unsigned *turn)
{
	assert(!fair_queue_empty(l));
	while ((l->filled >> *turn & 1) == 0)
		fair_queue_next(turn);
	return &l->bucket[*turn];
}

void fair_queue_remove(struct fair_queue *l, unsigned turn, struct list *item)
{
	assert((l->filled >> turn & 1) != 0);
	list_remove(item);
	if (list_empty(&l->bucket[turn]))
		l->filled &= ~(UINT64_C(1) << turn);
}

void fair_queue_take_all(struct fair_queue *l, struct list *out)
{
	for (int i = 0; i < FAIR_QUEUE_BUCKETS; i++)
		list_move_all(out, &l->bucket[i]);
	l->filled = 0;
}
