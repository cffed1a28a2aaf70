/* Flushing the index tail: postings, keys and figures. */
#include "store/index/index_tail.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/data/map.h"
#include "store/index/index_tail_internal.h"
#include "store/sqlite/db.h"
#include "store/sqlite/meta.h"

/* A row of id_key. */
struct key_row {
	int64_t key;
	uint64_t seq;
};

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

/* The events in memory by topic: chains of offsets from indexed_upto + 1, each stored plus one, so that 0 ends a chain. */
struct by_topic {
	uint32_t *next;   /* of each event: the next one of its topic */
	uint32_t *last;   /* of each first event of a topic: the last one in its chain so far */
	uint32_t *topics; /* topics of which something has to be written, ascending */
	size_t topic_count;
};

static size_t drop_written(struct by_topic *m, const struct index_tail *t)
{
	size_t kept = 0;
	for (size_t i = 0; i < m->topic_count; i++) {
		uint32_t first = *index_tail_first_at(t, m->topics[i]);
		assert(first > 0 && first <= t->count);
		if (!t->events[first - 1].in_row || m->next[first - 1] != 0)
			m->topics[kept++] = m->topics[i];
	}
	return kept;
}

/* Arrays by event, not by topic: there may be many more topics, with any numbers. */
static enum err by_topic_init(struct by_topic *m, const struct index_tail *t)
{
	*m = (struct by_topic){.next = calloc(t->count + 1, sizeof *m->next),
			       .last = malloc((t->count + 1) * sizeof *m->last),
			       .topics = malloc((t->count + 1) * sizeof *m->topics)};
	if (m->next == NULL || m->last == NULL || m->topics == NULL)
		return ERR_NOMEM;
	for (uint32_t i = 0; i < t->count; i++) {
		uint32_t first = *index_tail_first_at(t, t->events[i].topic) - 1;
		assert(first <= i);
		if (first == i)
			m->topics[m->topic_count++] = t->events[i].topic;
		else
			m->next[m->last[first]] = i + 1;
		m->last[first] = i;
	}
	/* New topics with one event, of which there may be many, are complete in their rows. */
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

/* Writes one row for a topic. The topic's very first event is left out: its figures have it (postings.h). */
static enum err write_posting(struct index_tail *t, sqlite3_stmt *s, const struct by_topic *m, uint32_t topic,
			      uint64_t first, struct fault *fault)
{
	struct buf seqs;
	buf_init(&seqs);
	uint64_t before = 0;
	for (uint32_t i = *index_tail_first_at(t, topic); i != 0; i = m->next[i - 1]) {
		uint64_t seq = t->indexed_upto + i;
		if (seq == first)
			continue;
		postings_encode(&seqs, before, seq);
		before = seq;
	}
	enum err err = buf_failed(&seqs) ? fault_nomem(fault) : ERR_NONE;
	if (!err && seqs.len > 0) {
		sqlite3_bind_int64(s, 1, topic);
		sqlite3_bind_int64(s, 2, (sqlite3_int64)index_tail_end(t));
		sqlite3_bind_blob(s, 3, seqs.data, (int)seqs.len, SQLITE_STATIC);
		err = step_done(sqlite3_db_handle(s), s, "writing a posting", fault);
	}
	buf_finish(&seqs);
	return err;
}

static const char update_figures[] = "UPDATE topic SET first = ?, last = ?, count = ?, bytes = ? WHERE id = ?";

struct figures index_tail_figures(sqlite3_stmt *row, int column, uint64_t indexed_upto)
{
	struct figures f = {.first = (uint64_t)sqlite3_column_int64(row, column),
			    .last = (uint64_t)sqlite3_column_int64(row, column + 1),
			    .count = (uint64_t)sqlite3_column_int64(row, column + 2),
			    .bytes = (uint64_t)sqlite3_column_int64(row, column + 3)};
	return f.first <= indexed_upto ? f : (struct figures){0};
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
		err = write_posting(t, posting, &m, m.topics[i], f.first, fault);
		if (!err)
			err = write_figures(db, figures, m.topics[i], &f, fault);
	}
	sqlite3_finalize(posting);
	sqlite3_finalize(figures);
	by_topic_finish(&m);
	return err;
}

/* Sorted, so that the B-tree is walked once. NULL: no memory. */
static struct key_row *sorted_keys(const struct index_tail *t)
{
	struct key_row *keys = malloc(t->key_count * sizeof *keys);
	if (keys == NULL)
		return NULL;
	for (size_t i = 0; i < t->key_count; i++)
		keys[i] = (struct key_row){index_tail_key_at(t, i)->disk, index_tail_key_at(t, i)->seq};
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
		return fault_nomem(fault);
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

static enum err write_indexed_upto(sqlite3 *db, uint64_t indexed_upto, struct fault *fault)
{
	enum err err = meta_put(db, "trail", (int64_t)indexed_upto, fault);
	return err ? err : meta_put(db, "head", (int64_t)indexed_upto, fault);
}

enum err index_tail_flush(struct index_tail *t, sqlite3 *db, struct catalog *catalog, struct fault *fault)
{
	t->flushing = t->count;
	t->keys_flushing = t->key_count;
	enum err err = write_postings(t, db, catalog, fault);
	if (!err)
		err = write_keys(t, db, fault);
	if (!err)
		err = write_indexed_upto(db, index_tail_end(t), fault);
	return err;
}

static void forget(struct index_tail *t)
{
	pthread_mutex_lock(&t->lock);
	t->indexed_upto += t->count;
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

bool index_tail_agree(struct index_tail *t, uint64_t indexed_upto)
{
	if (indexed_upto != t->indexed_upto && indexed_upto == index_tail_end(t))
		forget(t);
	return indexed_upto == t->indexed_upto;
}
