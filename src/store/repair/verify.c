/* Looks at everything a store holds: SQLite's own structure (verify_structure.c), the archives (verify_archives.c), the log
 * (no hole, sums, times), the trailing index and the figures of the topics, all recounted. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/data/hash.h"
#include "store/repair/verify_internal.h"
#include "store/sqlite/db.h"
#include "store/sqlite/meta.h"

/* The part of the log that one read transaction reads. */
enum { SLICE_EVENTS = 4096, SLICE_BYTES = 8 * 1024 * 1024 };

typedef unsigned long long ull;

static enum err list_topics(struct verify_counts *c)
{
	struct catalog *catalog = store_catalog(c->reader->store);
	uint32_t most = catalog_topics(catalog);
	c->topics = calloc((size_t)most + 1, sizeof *c->topics);
	if (c->topics == NULL)
		return fault_nomem(c->fault);
	map_expect(&c->by_number, most);
	for (uint32_t i = 0; c->topic_count < most && catalog_next(catalog, &i); i++) {
		struct verify_topic *t = &c->topics[c->topic_count++];
		t->number = i;
		map_add(&c->by_number, hash_number(i), &t->link);
	}
	return ERR_NONE;
}

/* --- what must be read together --- */

static enum err read_figures(struct verify_counts *c)
{
	sqlite3 *db = c->reader->db;
	sqlite3_stmt *st;
	enum err err = db_prepare(db, "SELECT id, first, last, count, bytes FROM topic ORDER BY id", &st, c->fault);
	int rc = SQLITE_DONE;
	while (!err && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		sqlite3_int64 id = sqlite3_column_int64(st, 0);
		struct verify_topic *t = verify_count_find(c, id);
		if (id < 0)
			err = fault_set(c->fault, ERR_CORRUPT, "a topic has the number %" PRId64, (int64_t)id);
		if (t != NULL) /* NULL: made after the store was opened */
			t->stored = index_tail_figures(st, 1, c->indexed_upto);
	}
	if (!err && rc != SQLITE_DONE && rc != SQLITE_ROW)
		err = db_fault(db, rc, "reading topics", c->fault);
	sqlite3_finalize(st);
	return err;
}

/* Reads index position and figures in one transaction. */
static enum err read_metadata(struct verify_counts *c)
{
	sqlite3 *db = c->reader->db;
	int64_t indexed_upto = 0;
	sqlite3_int64 first = 0;
	enum err err = db_exec(db, "BEGIN", c->fault);
	if (!err)
		err = meta_get(db, "trail", 0, &indexed_upto, c->fault);
	c->indexed_upto = (uint64_t)indexed_upto;
	if (!err && c->indexed_upto != index_tail_upto(store_index_tail(c->reader->store)))
		err = fault_set(c->fault, ERR_BUSY, "the store has moved on since it was opened");
	if (!err)
		err = db_integer(db, "SELECT min(seq) FROM event", (sqlite3_int64)c->first, &first, c->fault);
	if (!err && (uint64_t)first > c->first)
		err = fault_set(c->fault, ERR_BUSY, "events have left the log since it was opened");
	if (!err)
		meta_get_short(db, "chain", c->chain, sizeof c->chain);
	if (!err)
		err = read_figures(c);
	db_rollback(db);
	return err;
}

/* --- the log --- */

/* The events of one flush of the index tail, or those that were not flushed yet. */
struct window {
	uint64_t first; /* in the log */
	uint64_t last;
	uint32_t *topics; /* of each */
	size_t cap;
	uint64_t firsts; /* events that are the first of their topics: postings may leave them out */
	uint64_t named;  /* other events that postings have */
	sqlite3_stmt *key;
};

/* Event `next` is not in the log: retention has evicted it meanwhile, or it is missing. */
static enum err follow(struct verify_counts *c)
{
	struct store *s = c->reader->store;
	enum err err = store_refresh(s, c->reader->db, c->fault);
	if (err)
		return err;
	if (store_log_first(s) <= c->next)
		return fault_set(c->fault, ERR_CORRUPT, "event %" PRIu64 " is missing", c->next);
	c->first = store_log_first(s);
	return verify_archives(c);
}

static bool has_left(struct verify_counts *c, uint64_t seq)
{
	return store_refresh(c->reader->store, c->reader->db, NULL) == ERR_NONE && store_log_first(c->reader->store) > seq;
}

static enum err find_window(struct verify_counts *c, struct window *w)
{
	const struct db_value next = DB_NUMBER(c->next);
	sqlite3_int64 last = 0;
	w->first = c->next;
	w->last = c->head;
	w->firsts = 0;
	w->named = 0;
	if (c->next > c->indexed_upto)
		return ERR_NONE;
	enum err err = db_integer_with(c->reader->db, "SELECT min(\"window\") FROM posting WHERE \"window\" >= ?", &next, 0,
				       &last, c->fault);
	if (!err && (last == 0 || (uint64_t)last > c->indexed_upto)) /* the last window ends with indexed_upto */
		last = (sqlite3_int64)c->indexed_upto;
	w->last = !err && (uint64_t)last < c->head ? (uint64_t)last : c->head;
	assert(w->first <= w->last);
	return err;
}

static enum err note_topic(struct window *w, uint64_t seq, uint32_t topic)
{
	size_t at = seq - w->first;
	assert(seq >= w->first && at <= w->cap); /* they come one after the other */
	if (at == w->cap) {
		size_t cap = w->cap * 2 + SLICE_EVENTS;
		uint32_t *grown = realloc(w->topics, cap * sizeof *grown);
		if (grown == NULL)
			return ERR_NOMEM;
		w->topics = grown;
		w->cap = cap;
	}
	w->topics[at] = topic;
	return ERR_NONE;
}

/* The id of an event must have a key, in the transaction that the event is read in. */
static enum err check_key(struct verify_counts *c, struct window *w, const struct row *row)
{
	if (row->id.p == NULL || row->seq > c->indexed_upto)
		return ERR_NONE;
	char text[EVENT_NAME_MAX];
	struct slice stream = store_topic_stream(c->reader->store, row->topic, text);
	sqlite3_bind_int64(w->key, 1, id_key_of(stream, row->id).disk);
	sqlite3_bind_int64(w->key, 2, (sqlite3_int64)row->seq);
	int rc = sqlite3_step(w->key);
	sqlite3_reset(w->key);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return db_fault(c->reader->db, rc, "looking for an id", c->fault);
	return rc == SQLITE_ROW ? ERR_NONE
				: fault_set(c->fault, ERR_CORRUPT, "the id of event %" PRIu64 " has no key", row->seq);
}

static enum err check_row(struct verify_counts *c, struct window *w, const struct row *row)
{
	if (row->time_ms < c->time_ms)
		return fault_set(c->fault, ERR_CORRUPT, "event %" PRIu64 " is older than the one before it", row->seq);
	enum err err = check_key(c, w, row);
	if (!err && note_topic(w, row->seq, row->topic) != ERR_NONE)
		err = fault_nomem(c->fault);
	if (err)
		return err;
	struct verify_topic *t = verify_count_find(c, row->topic);
	if (t == NULL)
		return fault_set(c->fault, ERR_CORRUPT, "event %" PRIu64 " names a topic that does not exist", row->seq);
	w->firsts += t->stored.first == row->seq;
	c->time_ms = row->time_ms;
	verify_count_event(c, t, row->seq, row->data.len);
	return ERR_NONE;
}

/* *there is false if `next` was not in the log. */
static enum err check_slice(struct verify_counts *c, struct window *w, bool *there)
{
	struct reader *r = c->reader;
	sqlite3_stmt *st = r->statements[R_UP];
	uint64_t end = c->next + SLICE_EVENTS <= w->last ? c->next + SLICE_EVENTS : w->last + 1;
	size_t bytes = 0;
	int rc = SQLITE_ROW;
	enum err err = ERR_NONE;
	sqlite3_bind_int64(st, 1, (sqlite3_int64)c->next - 1);
	sqlite3_bind_int64(st, 2, (sqlite3_int64)end);
	sqlite3_bind_int64(st, 3, SLICE_EVENTS);
	*there = true;
	while (!err && *there && c->next < end && bytes < SLICE_BYTES) {
		struct row row;
		rc = sqlite3_step(st);
		*there = rc == SQLITE_ROW && (uint64_t)sqlite3_column_int64(st, 0) == c->next;
		if (rc != SQLITE_ROW && rc != SQLITE_DONE)
			err = db_fault(r->db, rc, "reading events", c->fault);
		else if (*there)
			err = reader_row(r, st, &row, c->fault);
		if (!err && *there)
			err = check_row(c, w, &row);
		bytes += !err && *there ? row.data.len : 0;
	}
	sqlite3_reset(st);
	return err;
}

/* A posting row may have seqs of its own topic only. */
struct posting {
	struct window *window;
	uint32_t topic;
	uint64_t first;   /* of the topic */
	uint64_t foreign; /* a seq of another topic; 0: none */
};

static void check_posted(void *arg, uint64_t seq)
{
	struct posting *p = arg;
	struct window *w = p->window;
	if (seq < w->first)
		return;
	assert(seq <= w->last && seq - w->first < w->cap);
	if (w->topics[seq - w->first] != p->topic)
		p->foreign = seq;
	w->named += seq != p->first;
}

static enum err check_postings(struct verify_counts *c, struct window *w)
{
	sqlite3 *db = c->reader->db;
	sqlite3_stmt *st = NULL;
	enum err err = db_prepare(db, "SELECT topic, seqs FROM posting WHERE \"window\" = ?", &st, c->fault);
	int rc = SQLITE_DONE;
	if (!err)
		sqlite3_bind_int64(st, 1, (sqlite3_int64)w->last);
	while (!err && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct posting p = {.window = w, .topic = (uint32_t)sqlite3_column_int64(st, 0)};
		const struct verify_topic *t = verify_count_find(c, p.topic);
		p.first = t != NULL ? t->stored.first : 0;
		if (!postings_decode(sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1), w->last, check_posted,
				     &p))
			err = fault_set(c->fault, ERR_CORRUPT, "the posting of topic %u in window %" PRIu64 " is damaged",
					p.topic, w->last);
		else if (p.foreign != 0)
			err = fault_set(c->fault, ERR_CORRUPT,
					"the posting of topic %u has event %" PRIu64 ", which belongs to another topic",
					p.topic, p.foreign);
	}
	if (!err && rc != SQLITE_DONE)
		err = db_fault(db, rc, "reading postings", c->fault);
	sqlite3_finalize(st);
	uint64_t wanted = w->last - w->first + 1 - w->firsts;
	if (!err && w->named != wanted)
		err = fault_set(c->fault, ERR_CORRUPT,
				"the postings of events %" PRIu64 " to %" PRIu64 " name %" PRIu64 " of the %" PRIu64
				" that are not the first of their topics",
				w->first, w->last, w->named, wanted);
	return err;
}

static enum err check_window(struct verify_counts *c, struct window *w)
{
	enum err err = find_window(c, w);
	bool there = true;
	while (!err && c->next <= w->last) {
		err = check_slice(c, w, &there);
		if (!err && c->progress != NULL)
			c->progress(c->arg, c->out->events, c->all);
		if (!err && !there)
			return follow(c);
	}
	if (err || w->last > c->indexed_upto)
		return err;
	err = check_postings(c, w);
	return err == ERR_CORRUPT && has_left(c, w->last) ? ERR_NONE : err;
}

static enum err check_log(struct verify_counts *c)
{
	struct window w = {0};
	enum err err = db_prepare(c->reader->db, "SELECT 1 FROM id_key WHERE key = ? AND seq = ?", &w.key, c->fault);
	while (!err && c->next <= c->head)
		err = check_window(c, &w);
	sqlite3_finalize(w.key);
	free(w.topics);
	return err;
}

static enum err check_figures(struct verify_counts *c)
{
	for (uint32_t i = 0; !c->holes && i < c->topic_count; i++) {
		const struct figures *a = &c->topics[i].stored;
		const struct figures *b = &c->topics[i].counted;
		if (a->first != b->first || a->last != b->last || a->count != b->count || a->bytes != b->bytes)
			return fault_set(c->fault, ERR_CORRUPT,
					 "the figures of topic %u do not match its %" PRIu64 " events", c->topics[i].number,
					 b->count);
	}
	return ERR_NONE;
}

enum err history_verify(struct reader *r, void (*progress)(void *arg, uint64_t done, uint64_t all), void *arg,
			struct history_verified *out, struct fault *fault)
{
	*out = (struct history_verified){0};
	struct verify_counts c = {.reader = r,
				  .next = 1,
				  .first = store_log_first(r->store),
				  .head = store_head(r->store),
				  .time_ms = INT64_MIN,
				  .out = out,
				  .progress = progress,
				  .arg = arg,
				  .fault = fault};
	c.all = c.head + 1 - store_first(r->store);
	map_init(&c.by_number);
	enum err err = list_topics(&c);
	if (!err)
		err = read_metadata(&c);
	if (!err)
		err = verify_structure(&c);
	if (!err)
		err = verify_archives(&c);
	if (!err)
		err = verify_chain(&c);
	if (!err)
		err = check_log(&c);
	if (!err)
		err = check_figures(&c);
	map_finish(&c.by_number, NULL);
	free(c.topics);
	return err;
}
