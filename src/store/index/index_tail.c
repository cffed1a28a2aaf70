#include "store/index/index_tail.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/data/checksum.h"
#include "base/data/hash.h"
#include "base/data/map.h"
#include "store/sqlite/db.h"

enum { FIRST_EVENTS = 1024, KEY_BLOCK = 1024, OVERDUE = 4 };

struct key_entry {
	struct map_link link; /* by the key's `memory` */
	int64_t disk;
	uint64_t seq;
};

/* As it is written. */
struct key_row {
	int64_t key;
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

struct index_tail *index_tail_create(uint64_t mark, uint32_t every)
{
	struct index_tail *t = calloc(1, sizeof *t);
	if (t == NULL)
		return NULL;
	t->mark = mark;
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

static struct key_entry *key_at(const struct index_tail *t, size_t i)
{
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
	if (t->key_count == t->key_block_count * KEY_BLOCK && !add_key_block(t))
		return ERR_NOMEM;
	struct key_entry *e = key_at(t, t->key_count++);
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
	for (; t->key_count > keep; t->key_count--)
		map_remove(&t->keys, &key_at(t, t->key_count - 1)->link);
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

/* Where in `firsts` a topic is looked for first. */
static size_t first_place(const struct index_tail *t, uint32_t topic)
{
	return (size_t)(hash_number(topic) >> (64 - t->firsts_log));
}

/* The place of a topic in `firsts`: where it is, or where it goes. */
static uint32_t *first_at(const struct index_tail *t, uint32_t topic)
{
	size_t mask = ((size_t)1 << t->firsts_log) - 1;
	size_t at = first_place(t, topic);
	while (t->firsts[at] != 0 && t->events[t->firsts[at] - 1].topic != topic)
		at = (at + 1) & mask;
	return &t->firsts[at];
}

static void note_first(struct index_tail *t, size_t i)
{
	uint32_t *first = first_at(t, t->events[i].topic);
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
	uint32_t first = *first_at(t, topic);
	return first != 0 ? t->mark + first : 0;
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
	return t->mark;
}

uint64_t index_tail_end(const struct index_tail *t)
{
	return t->mark + t->count;
}

bool index_tail_lags(const struct index_tail *t)
{
	return t->count > 0;
}

/* --- flush --- */

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static int by_key(const void *a, const void *b)
{
	const struct key_row *x = a;
	const struct key_row *y = b;
	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->seq < y->seq ? -1 : 1;
}

static enum err step_done(sqlite3 *db, sqlite3_stmt *s, const char *what, struct fault *fault)
{
	int rc = sqlite3_step(s);
	sqlite3_reset(s);
	return rc == SQLITE_DONE ? ERR_NONE : db_fault(db, rc, what, fault);
}

static enum err write_figures(sqlite3 *db, sqlite3_stmt *s, uint32_t topic, const struct figures *f, struct fault *fault)
{
	sqlite3_bind_int64(s, 1, (sqlite3_int64)f->first);
	sqlite3_bind_int64(s, 2, (sqlite3_int64)f->last);
	sqlite3_bind_int64(s, 3, (sqlite3_int64)f->count);
	sqlite3_bind_int64(s, 4, (sqlite3_int64)f->bytes);
	sqlite3_bind_int64(s, 5, topic);
	return step_done(db, s, "updating a topic", fault);
}

/* The events in memory by their topics: chains of offsets from mark + 1, each number one more than it is, so that 0 ends
 * them. */
struct by_topic {
	uint32_t *next;   /* of each event: the next one of its topic */
	uint32_t *last;   /* of each first event of a topic: the last one in its chain so far */
	uint32_t *topics; /* those met that anything has to be written of, ascending */
	size_t topic_count;
};

static size_t drop_written(struct by_topic *m, const struct index_tail *t)
{
	size_t kept = 0;
	for (size_t i = 0; i < m->topic_count; i++) {
		uint32_t first = *first_at(t, m->topics[i]);
		if (!t->events[first - 1].in_row || m->next[first - 1] != 0)
			m->topics[kept++] = m->topics[i];
	}
	return kept;
}

/* As large as there are events in memory: topics may be many more, and have any numbers. */
static enum err by_topic_init(struct by_topic *m, const struct index_tail *t)
{
	*m = (struct by_topic){.next = calloc(t->count + 1, sizeof *m->next),
			       .last = malloc((t->count + 1) * sizeof *m->last),
			       .topics = malloc((t->count + 1) * sizeof *m->topics)};
	if (m->next == NULL || m->last == NULL || m->topics == NULL)
		return ERR_NOMEM;
	for (uint32_t i = 0; i < t->count; i++) {
		uint32_t first = *first_at(t, t->events[i].topic) - 1;
		if (first == i)
			m->topics[m->topic_count++] = t->events[i].topic;
		else
			m->next[m->last[first]] = i + 1;
		m->last[first] = i;
	}
	/* New topics of one event are many at times, and wholly said by their rows. */
	m->topic_count = drop_written(m, t);
	qsort(m->topics, m->topic_count, sizeof *m->topics, by_number);
	return ERR_NONE;
}

static void by_topic_finish(struct by_topic *m)
{
	free(m->next);
	free(m->last);
	free(m->topics);
}

/* One row for a topic; none where the first event of all is its only one: its figures say it (postings.h). */
static enum err write_posting(struct index_tail *t, sqlite3 *db, sqlite3_stmt *s, const struct by_topic *m, uint32_t topic,
			      uint64_t first, struct fault *fault)
{
	struct buf seqs;
	buf_init(&seqs);
	uint64_t before = 0;
	for (uint32_t i = *first_at(t, topic); i != 0; i = m->next[i - 1]) {
		uint64_t seq = t->mark + i;
		if (seq == first)
			continue;
		postings_encode(&seqs, before, seq);
		before = seq;
	}
	enum err err = buf_failed(&seqs) ? fault_set(fault, ERR_NOMEM, "out of memory") : ERR_NONE;
	if (!err && seqs.len > 0) {
		sqlite3_bind_int64(s, 1, topic);
		sqlite3_bind_int64(s, 2, (sqlite3_int64)index_tail_end(t));
		sqlite3_bind_blob(s, 3, seqs.data, (int)seqs.len, SQLITE_STATIC);
		err = step_done(db, s, "writing a posting", fault);
	}
	buf_finish(&seqs);
	return err;
}

static const char update_figures[] = "UPDATE topic SET first = ?, last = ?, count = ?, bytes = ? WHERE id = ?";

struct figures index_tail_figures(sqlite3_stmt *row, int column, uint64_t mark)
{
	struct figures f = {.first = (uint64_t)sqlite3_column_int64(row, column),
			    .last = (uint64_t)sqlite3_column_int64(row, column + 1),
			    .count = (uint64_t)sqlite3_column_int64(row, column + 2),
			    .bytes = (uint64_t)sqlite3_column_int64(row, column + 3)};
	return f.first <= mark ? f : (struct figures){0};
}

enum err index_tail_write_figures(sqlite3 *db, struct catalog *catalog, struct fault *fault)
{
	sqlite3_stmt *s;
	enum err err = db_prepare(db, update_figures, &s, fault);
	for (uint32_t i = 0; !err && catalog_next(catalog, &i); i++) {
		struct figures f;
		catalog_topic_figures(catalog, i, &f);
		err = write_figures(db, s, i, &f, fault);
	}
	sqlite3_finalize(s);
	return err;
}

static enum err write_postings(struct index_tail *t, sqlite3 *db, struct catalog *catalog, struct fault *fault)
{
	sqlite3_stmt *posting = NULL;
	sqlite3_stmt *figures = NULL;
	struct by_topic m;
	enum err err = by_topic_init(&m, t);
	if (err)
		fault_set(fault, err, "out of memory");
	if (!err)
		err = db_prepare(db, "INSERT INTO posting(topic, \"window\", seqs) VALUES (?, ?, ?)", &posting, fault);
	if (!err)
		err = db_prepare(db, update_figures, &figures, fault);
	for (size_t i = 0; !err && i < m.topic_count; i++) {
		struct figures f;
		catalog_topic_figures(catalog, m.topics[i], &f);
		err = write_posting(t, db, posting, &m, m.topics[i], f.first, fault);
		if (!err)
			err = write_figures(db, figures, m.topics[i], &f, fault);
	}
	sqlite3_finalize(posting);
	sqlite3_finalize(figures);
	by_topic_finish(&m);
	return err;
}

/* So that the B-tree is walked once. NULL: no memory. */
static struct key_row *sorted_keys(const struct index_tail *t)
{
	struct key_row *keys = malloc(t->key_count * sizeof *keys);
	if (keys == NULL)
		return NULL;
	for (size_t i = 0; i < t->key_count; i++)
		keys[i] = (struct key_row){key_at(t, i)->disk, key_at(t, i)->seq};
	qsort(keys, t->key_count, sizeof *keys, by_key);
	return keys;
}

static enum err write_keys(struct index_tail *t, sqlite3 *db, struct fault *fault)
{
	if (t->key_count == 0)
		return ERR_NONE;
	sqlite3_stmt *s;
	struct key_row *keys = sorted_keys(t);
	if (keys == NULL)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	enum err err = db_prepare(db, "INSERT OR IGNORE INTO id_key(key, seq) VALUES (?, ?)", &s, fault);
	for (size_t i = 0; !err && i < t->key_count; i++) {
		sqlite3_bind_int64(s, 1, keys[i].key);
		sqlite3_bind_int64(s, 2, (sqlite3_int64)keys[i].seq);
		err = step_done(db, s, "writing an id key", fault);
	}
	sqlite3_finalize(s);
	free(keys);
	return err;
}

static enum err write_mark(sqlite3 *db, uint64_t mark, struct fault *fault)
{
	sqlite3_stmt *s;
	enum err err =
		db_prepare(db, "INSERT OR REPLACE INTO meta(key, value) VALUES ('trail', ?1), ('head', ?1)", &s, fault);
	if (err)
		return err;
	sqlite3_bind_int64(s, 1, (sqlite3_int64)mark);
	err = step_done(db, s, "writing the mark", fault);
	sqlite3_finalize(s);
	return err;
}

enum err index_tail_flush(struct index_tail *t, sqlite3 *db, struct catalog *catalog, struct fault *fault)
{
	t->flushing = t->count;
	t->keys_flushing = t->key_count;
	enum err err = write_postings(t, db, catalog, fault);
	if (!err)
		err = write_keys(t, db, fault);
	if (!err)
		err = write_mark(db, index_tail_end(t), fault);
	return err;
}

static void forget(struct index_tail *t)
{
	pthread_mutex_lock(&t->lock);
	t->mark += t->count;
	t->count = 0;
	pthread_mutex_unlock(&t->lock);
	if (t->firsts != NULL)
		memset(t->firsts, 0, sizeof *t->firsts << t->firsts_log);
	t->key_count = 0;
	map_finish(&t->keys, NULL);
}

void index_tail_flushed(struct index_tail *t)
{
	assert(t->flushing == t->count && t->keys_flushing == t->key_count);
	forget(t);
}

bool index_tail_agree(struct index_tail *t, uint64_t mark)
{
	if (mark != t->mark && mark == index_tail_end(t))
		forget(t);
	return mark == t->mark;
}

/* --- find --- */

/* Between lock and unlock. */
static void find_in_memory(const struct index_tail *t, const struct selection *s, struct seq_query query, uint64_t *seqs,
			   uint32_t *count)
{
	uint64_t from = query.after > t->mark ? query.after - t->mark : 0;
	uint64_t to = query.before <= t->mark + 1 ? 0 : query.before - t->mark - 1;
	if (to > t->count)
		to = t->count;
	for (uint64_t i = from; i < to && *count < query.max; i++) {
		uint64_t offset = query.descending ? to - 1 - (i - from) : i;
		if (selection_has(s, t->events[offset].topic))
			seqs[(*count)++] = t->mark + 1 + offset;
	}
}

static struct seq_query up_to_mark(struct seq_query query, uint64_t mark)
{
	if (query.before > mark + 1)
		query.before = mark + 1;
	return query;
}

enum err index_tail_find(struct index_tail *t, struct postings *p, struct selection *s, struct catalog *catalog,
			 struct seq_query query, uint64_t *seqs, uint32_t *count, struct fault *fault)
{
	*count = 0;
	enum err err = selection_refresh(s);
	if (err)
		return fault_set(fault, err, "out of memory");
	/* What was flushed is visible in the tables before the mark says so, hence up to the mark the tables are complete.
	 * Ascending, the mark may have moved on meanwhile: then the tables are asked once more for what lies between. */
	for (;;) {
		pthread_mutex_lock(&t->lock);
		uint64_t mark = t->mark;
		if (query.descending || query.after >= mark)
			find_in_memory(t, s, query, seqs, count);
		pthread_mutex_unlock(&t->lock);
		if (!query.descending && query.after >= mark)
			return ERR_NONE;
		struct seq_query stored = up_to_mark(query, mark);
		if (*count < query.max && stored.after + 1 < stored.before)
			err = postings_find(p, s, catalog, stored, seqs, count, fault);
		if (err || query.descending || *count == query.max || query.before <= mark + 1)
			return err;
		query.after = mark;
	}
}
