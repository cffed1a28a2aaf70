/* The inside of the index tail, shared by index_tail.c (in memory) and index_tail_flush.c (writing it). */
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
	pthread_mutex_t lock;      /* guards indexed_upto, events, count */
	uint64_t indexed_upto;     /* everything up to here is in the tables */
	struct event_note *events; /* indexed_upto + 1, indexed_upto + 2, … */
	size_t count;
	size_t cap;
	size_t flushing; /* events that the open flush has written */

	/* The first event of each topic: an open-addressing table of indexes in `events`, each plus one. Used by the writer
	 * only. */
	uint32_t *firsts;
	unsigned firsts_log; /* log2 of its size, which is at least twice `cap` */

	/* Keys in order, in blocks that do not move. Used by the writer only. */
	struct key_entry **key_blocks;
	size_t key_block_count;
	size_t key_count;
	size_t keys_flushing;
	struct map keys;
};

struct key_entry *index_tail_key_at(const struct index_tail *t, size_t i);
/* The slot of a topic in `firsts`: where it is, or where it would go. */
uint32_t *index_tail_first_at(const struct index_tail *t, uint32_t topic);

#endif
