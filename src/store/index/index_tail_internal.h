/* The inside of the index tail: index_tail.c (what it holds in memory) and index_tail_flush.c (how that is written) share
 * it. */
#ifndef STORE_INDEX_INDEX_TAIL_INTERNAL_H
#define STORE_INDEX_INDEX_TAIL_INTERNAL_H

#include <pthread.h>

#include "base/data/map.h"
#include "store/index/index_tail.h"

enum { KEY_BLOCK = 1024, OVERDUE = 4 };

struct key_entry {
	struct map_link link; /* by the key's `memory` */
	int64_t disk;
	uint64_t seq;
};

/* A committed event. */
struct event_note {
	uint32_t topic;
	bool in_row; /* see index_tail_add */
};

struct index_tail {
	size_t every;              /* never changes */
	pthread_mutex_t lock;      /* guards mark, events, count */
	uint64_t mark;             /* everything up to here is in the tables */
	struct event_note *events; /* mark + 1, mark + 2, … */
	size_t count;
	size_t cap;
	size_t flushing; /* events that the open flush has written */

	/* The first event of each topic: places in `events`, each one more than it is, by a hash of the topic. The writer's
	 * alone. */
	uint32_t *firsts;
	unsigned firsts_log; /* of how many there are, twice `cap` at least */

	/* Keys in the order they came, in blocks that do not move. The writer's alone. */
	struct key_entry **key_blocks;
	size_t key_block_count;
	size_t key_count;
	size_t keys_flushing;
	struct map keys;
};

struct key_entry *index_tail_key_at(const struct index_tail *t, size_t i);
/* The place of a topic in `firsts`: where it is, or where it goes. */
uint32_t *index_tail_first_at(const struct index_tail *t, uint32_t topic);

#endif
