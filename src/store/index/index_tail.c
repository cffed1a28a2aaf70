#include "store/index/index_tail.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/data/checksum.h"
#include "base/data/hash.h"
#include "base/data/map.h"
#include "store/index/index_tail_internal.h"

enum { FIRST_EVENTS = 1024 };

struct index_tail *index_tail_create(uint64_t indexed_upto, uint32_t every)
{
	struct index_tail *t = calloc(1, sizeof *t);
	if (t == NULL)
		return NULL;
	t->indexed_upto = indexed_upto;
	t->every = every > 0 ? every : INDEX_TAIL_FLUSH;
	pthread_mutex_init(&t->lock, NULL);
	map_init(&t->keys);
	return t;
}

void index_tail_destroy(struct index_tail *t)
{
	if (t == NULL)
		return;
	pthread_mutex_destroy(&t->lock);
	free(t->events);
	free(t->firsts);
	map_finish(&t->keys, NULL);
	for (size_t i = 0; i < t->key_block_count; i++)
		free(t->key_blocks[i]);
	free(t->key_blocks);
	free(t);
}

struct id_key id_key_of(struct slice stream, struct slice id)
{
	return (struct id_key){checksum_key(stream, id), hash_texts(stream, id)};
}

struct key_entry *index_tail_key_at(const struct index_tail *t, size_t i)
{
	assert(i < t->key_block_count * KEY_BLOCK);
	return &t->key_blocks[i / KEY_BLOCK][i % KEY_BLOCK];
}

static bool add_key_block(struct index_tail *t)
{
	struct key_entry **blocks = realloc(t->key_blocks, (t->key_block_count + 1) * sizeof *blocks);
	if (blocks == NULL)
		return false;
	t->key_blocks = blocks;
	blocks[t->key_block_count] = malloc(KEY_BLOCK * sizeof **blocks);
	if (blocks[t->key_block_count] == NULL)
		return false;
	t->key_block_count++;
	return true;
}

enum err index_tail_add_key(struct index_tail *t, struct id_key key, uint64_t seq)
{
	assert(t->key_count == 0 || index_tail_key_at(t, t->key_count - 1)->seq < seq);
	if (t->key_count == t->key_block_count * KEY_BLOCK && !add_key_block(t))
		return ERR_NOMEM;
	struct key_entry *e = index_tail_key_at(t, t->key_count++);
	e->disk = key.disk;
	e->seq = seq;
	map_add(&t->keys, key.memory, &e->link);
	return ERR_NONE;
}

size_t index_tail_keys(const struct index_tail *t)
{
	return t->key_count;
}

void index_tail_forget_keys(struct index_tail *t, size_t keep)
{
	assert(keep <= t->key_count);
	for (; t->key_count > keep; t->key_count--)
		map_remove(&t->keys, &index_tail_key_at(t, t->key_count - 1)->link);
}

bool index_tail_key(const struct index_tail *t, struct id_key key, unsigned k, uint64_t *seq)
{
	MAP_EACH(link, &t->keys, key.memory)
	{
		if (k-- > 0)
			continue;
		*seq = MAP_ITEM(link, struct key_entry, link)->seq;
		return true;
	}
	return false;
}

uint64_t index_tail_steps(const struct index_tail *t)
{
	return map_steps(&t->keys);
}

/* The slot in `firsts` where the search for a topic begins. */
static size_t first_place(const struct index_tail *t, uint32_t topic)
{
	return (size_t)(hash_number(topic) >> (64 - t->firsts_log));
}

uint32_t *index_tail_first_at(const struct index_tail *t, uint32_t topic)
{
	assert(t->firsts != NULL);
	size_t mask = ((size_t)1 << t->firsts_log) - 1;
	size_t at = first_place(t, topic);
	while (t->firsts[at] != 0 && t->events[t->firsts[at] - 1].topic != topic)
		at = (at + 1) & mask;
	return &t->firsts[at];
}

static void note_first(struct index_tail *t, size_t i)
{
	uint32_t *first = index_tail_first_at(t, t->events[i].topic);
	if (*first == 0)
		*first = (uint32_t)i + 1;
}

static bool grow_firsts(struct index_tail *t, size_t cap)
{
	unsigned log = 1;
	while (((size_t)1 << log) < 2 * cap)
		log++;
	uint32_t *firsts = calloc((size_t)1 << log, sizeof *firsts);
	if (firsts == NULL)
		return false;
	free(t->firsts);
	t->firsts = firsts;
	t->firsts_log = log;
	for (size_t i = 0; i < t->count; i++)
		note_first(t, i);
	return true;
}

enum err index_tail_reserve(struct index_tail *t, size_t n)
{
	assert(t->count <= t->cap);
	if (t->count + n <= t->cap)
		return ERR_NONE;
	size_t cap = t->cap ? t->cap : FIRST_EVENTS;
	while (cap < t->count + n)
		cap *= 2;
	if (!grow_firsts(t, cap))
		return ERR_NOMEM;
	pthread_mutex_lock(&t->lock);
	struct event_note *events = realloc(t->events, cap * sizeof *events);
	if (events != NULL) {
		t->events = events;
		t->cap = cap;
	}
	pthread_mutex_unlock(&t->lock);
	return events != NULL ? ERR_NONE : ERR_NOMEM;
}

void index_tail_lock(struct index_tail *t)
{
	pthread_mutex_lock(&t->lock);
}

void index_tail_add(struct index_tail *t, uint32_t topic, bool in_row)
{
	assert(t->count < t->cap);
	t->events[t->count] = (struct event_note){topic, in_row};
	note_first(t, t->count++);
}

void index_tail_unlock(struct index_tail *t)
{
	pthread_mutex_unlock(&t->lock);
}

uint64_t index_tail_first(const struct index_tail *t, uint32_t topic)
{
	if (t->count == 0)
		return 0;
	uint32_t first = *index_tail_first_at(t, topic);
	return first != 0 ? t->indexed_upto + first : 0;
}

uint64_t index_tail_first_steps(const struct index_tail *t)
{
	uint64_t steps = 0;
	size_t mask = ((size_t)1 << t->firsts_log) - 1;
	for (size_t at = 0; t->firsts != NULL && at <= mask; at++)
		if (t->firsts[at] != 0)
			steps += ((at - first_place(t, t->events[t->firsts[at] - 1].topic)) & mask) + 1;
	return steps;
}

bool index_tail_is_due(const struct index_tail *t)
{
	return t->count >= t->every;
}

bool index_tail_is_overdue(const struct index_tail *t)
{
	return t->count / OVERDUE >= t->every;
}

uint64_t index_tail_upto(const struct index_tail *t)
{
	return t->indexed_upto;
}

uint64_t index_tail_end(const struct index_tail *t)
{
	return t->indexed_upto + t->count;
}

bool index_tail_lags(const struct index_tail *t)
{
	return t->count > 0;
}

/* --- find --- */

/* Between lock and unlock. */
static void find_in_memory(const struct index_tail *t, const struct selection *s, struct seq_query query,
			   struct seq_list *found)
{
	uint64_t from = query.after > t->indexed_upto ? query.after - t->indexed_upto : 0;
	uint64_t to = query.before <= t->indexed_upto + 1 ? 0 : query.before - t->indexed_upto - 1;
	if (to > t->count)
		to = t->count;
	for (uint64_t i = from; i < to && found->count < query.max; i++) {
		uint64_t offset = query.descending ? to - 1 - (i - from) : i;
		if (selection_has(s, t->events[offset].topic))
			found->seqs[found->count++] = t->indexed_upto + 1 + offset;
	}
}

static struct seq_query up_to_indexed(struct seq_query query, uint64_t indexed_upto)
{
	if (query.before > indexed_upto + 1)
		query.before = indexed_upto + 1;
	return query;
}

enum err index_tail_find(struct index_tail *t, struct postings *p, struct selection *s, struct seq_query query,
			 struct seq_list *found, struct fault *fault)
{
	found->count = 0;
	enum err err = selection_refresh(s);
	if (err)
		return fault_set(fault, err, "out of memory");
	/* A flush is committed before indexed_upto moves, so the tables are complete up to indexed_upto. Ascending, it may
	 * move between the two searches: then the tables are searched once more for the events in between. */
	for (;;) {
		pthread_mutex_lock(&t->lock);
		uint64_t indexed_upto = t->indexed_upto;
		if (query.descending || query.after >= indexed_upto)
			find_in_memory(t, s, query, found);
		pthread_mutex_unlock(&t->lock);
		if (!query.descending && query.after >= indexed_upto)
			return ERR_NONE;
		struct seq_query stored = up_to_indexed(query, indexed_upto);
		if (found->count < query.max && stored.after + 1 < stored.before)
			err = postings_find(p, s, stored, found, fault);
		assert(found->count <= query.max);
		if (err || query.descending || found->count == query.max || query.before <= indexed_upto + 1)
			return err;
		query.after = indexed_upto;
	}
}
