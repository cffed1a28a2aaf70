/* Looks at everything a store holds: SQLite's own structure, the log (no hole, sums, times), the archives
 * (verify_archives.c), the trailing index and the figures of the topics, all recounted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/db.h"
#include "store/recount.h"

enum { PROGRESS_EVERY = 4096 };

static enum err check_sqlite(struct reader *r, struct fault *fault)
{
	sqlite3_stmt *st;
	enum err err = db_prepare(r->db, "PRAGMA integrity_check(1)", &st, fault);
	if (err)
		return err;
	int rc = sqlite3_step(st);
	const char *text = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(st, 0) : NULL;
	if (rc != SQLITE_ROW)
		err = db_fault(r->db, rc, "checking the database", fault);
	else if (text == NULL || strcmp(text, "ok") != 0)
		err = fault_set(fault, ERR_CORRUPT, "the database is damaged: %.150s", text != NULL ? text : "");
	sqlite3_finalize(st);
	return err;
}

void recount_event(struct recount *c, uint32_t topic, uint64_t seq, uint64_t bytes)
{
	struct figures *f = &c->topics[topic];
	f->first = f->first == 0 ? seq : f->first;
	f->last = seq;
	f->count++;
	f->bytes += bytes;
}

static enum err check_row(struct recount *c, const struct row *row, uint64_t expected, int64_t time_ms)
{
	if (row->seq != expected)
		return fault_set(c->fault, ERR_CORRUPT, "event %llu is missing", (unsigned long long)expected);
	if (row->time_ms < time_ms)
		return fault_set(c->fault, ERR_CORRUPT, "event %llu is older than the one before it",
				 (unsigned long long)row->seq);
	if (row->seq > c->mark)
		return ERR_NONE;
	c->in_log[row->topic]++;
	recount_event(c, row->topic, row->seq, row->data.len);
	return ERR_NONE;
}

static enum err check_events(struct recount *c, uint64_t *checked)
{
	struct reader *r = c->reader;
	sqlite3_stmt *st;
	enum err err = db_prepare(r->db, "SELECT seq, time, topic, id, data, sum FROM event WHERE seq <= ? ORDER BY seq",
				  &st, c->fault);
	if (err)
		return err;
	sqlite3_bind_int64(st, 1, (sqlite3_int64)c->head);
	uint64_t expected = c->first;
	int64_t time_ms = INT64_MIN;
	int rc;
	while (!err && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct row row;
		err = reader_row(r, st, &row, c->fault);
		if (!err)
			err = check_row(c, &row, expected, time_ms);
		if (err)
			break;
		time_ms = row.time_ms;
		expected++;
		(*checked)++;
		if (c->progress != NULL && *checked % PROGRESS_EVERY == 0)
			c->progress(c->arg, *checked, c->all);
	}
	if (!err && rc != SQLITE_DONE)
		err = db_fault(r->db, rc, "reading events", c->fault);
	sqlite3_finalize(st);
	if (!err && expected != c->head + 1)
		err = fault_set(c->fault, ERR_CORRUPT, "event %llu is missing", (unsigned long long)expected);
	return err;
}

/* A posting row names only seqs of its own topic: counted, and each looked up. */
struct posting {
	struct recount *recount;
	uint32_t topic;
	sqlite3_stmt *topic_of;
	enum err err;
};

static void check_posted(void *arg, uint64_t seq)
{
	struct posting *p = arg;
	struct recount *c = p->recount;
	if (p->err || seq < c->first)
		return;
	sqlite3_bind_int64(p->topic_of, 1, (sqlite3_int64)seq);
	int rc = sqlite3_step(p->topic_of);
	if (rc != SQLITE_ROW || (uint32_t)sqlite3_column_int64(p->topic_of, 0) != p->topic)
		p->err = fault_set(c->fault, ERR_CORRUPT, "the posting of topic %u names event %llu, which is not its own",
				   p->topic, (unsigned long long)seq);
	sqlite3_reset(p->topic_of);
	c->posted[p->topic]++;
}

static enum err check_postings(struct recount *c)
{
	struct reader *r = c->reader;
	sqlite3_stmt *st = NULL;
	struct posting p = {.recount = c};
	enum err err = db_prepare(r->db, "SELECT topic, \"window\", seqs FROM posting WHERE \"window\" <= ?", &st, c->fault);
	if (!err)
		err = db_prepare(r->db, "SELECT topic FROM event WHERE seq = ?", &p.topic_of, c->fault);
	int rc = SQLITE_DONE;
	if (!err)
		sqlite3_bind_int64(st, 1, (sqlite3_int64)c->mark);
	while (!err && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		sqlite3_int64 topic = sqlite3_column_int64(st, 0);
		uint64_t window = (uint64_t)sqlite3_column_int64(st, 1);
		p.topic = (uint32_t)topic;
		if (topic < 0 || topic >= c->topic_count ||
		    !postings_decode(sqlite3_column_blob(st, 2), (size_t)sqlite3_column_bytes(st, 2), window, check_posted,
				     &p))
			err = fault_set(c->fault, ERR_CORRUPT, "the posting of topic %lld in window %llu is damaged", topic,
					(unsigned long long)window);
		if (!err)
			err = p.err;
	}
	if (!err && rc != SQLITE_DONE)
		err = db_fault(r->db, rc, "reading postings", c->fault);
	sqlite3_finalize(st);
	sqlite3_finalize(p.topic_of);
	return err;
}

static enum err check_figures(struct recount *c)
{
	struct reader *r = c->reader;
	sqlite3_stmt *st;
	enum err err = db_prepare(r->db, "SELECT id, first, last, count, bytes FROM topic ORDER BY id", &st, c->fault);
	int rc = SQLITE_DONE;
	while (!err && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		sqlite3_int64 id = sqlite3_column_int64(st, 0);
		if (id < 0) {
			err = fault_set(c->fault, ERR_CORRUPT, "a topic has the number %lld", id);
			break;
		}
		if (id >= c->topic_count)
			break; /* made after we began */
		struct figures *f = &c->topics[id];
		bool same = f->first == (uint64_t)sqlite3_column_int64(st, 1) &&
			    f->last == (uint64_t)sqlite3_column_int64(st, 2) &&
			    f->count == (uint64_t)sqlite3_column_int64(st, 3) &&
			    f->bytes == (uint64_t)sqlite3_column_int64(st, 4);
		if (!same && !c->holes)
			err = fault_set(c->fault, ERR_CORRUPT, "the figures of topic %lld do not match its %llu events", id,
					(unsigned long long)f->count);
		else if (c->posted[id] != c->in_log[id])
			err = fault_set(c->fault, ERR_CORRUPT, "topic %lld has %llu events, its postings name %llu", id,
					(unsigned long long)c->in_log[id], (unsigned long long)c->posted[id]);
	}
	if (!err && rc != SQLITE_DONE && rc != SQLITE_ROW)
		err = db_fault(r->db, rc, "reading topics", c->fault);
	sqlite3_finalize(st);
	return err;
}

/* The ids of the log up to the mark must all be found by their keys. */
static enum err check_keys(struct recount *c)
{
	sqlite3_int64 missing;
	const struct db_value values[] = {DB_NUMBER(c->mark), DB_NUMBER(c->first)};
	enum err err = db_integer_with(c->reader->db,
				       "SELECT (SELECT count(*) FROM event WHERE id IS NOT NULL AND seq <= ?1) - "
				       "(SELECT count(*) FROM id_key WHERE seq BETWEEN ?2 AND ?1)",
				       2, values, 0, &missing, c->fault);
	if (!err && missing != 0)
		err = fault_set(c->fault, ERR_CORRUPT, "the id keys are incomplete: %lld differ", missing);
	return err;
}

enum err history_verify(struct reader *r, void (*progress)(void *arg, uint64_t done, uint64_t all), void *arg,
			uint64_t *checked, struct fault *fault)
{
	struct recount c = {.reader = r,
			    .first = store_hot(r->store),
			    .head = store_head(r->store),
			    .progress = progress,
			    .arg = arg,
			    .fault = fault};
	c.all = c.head + 1 - store_first(r->store);
	c.topic_count = catalog_topics(store_catalog(r->store));
	c.topics = calloc(c.topic_count + 1, sizeof *c.topics);
	c.posted = calloc(c.topic_count + 1, sizeof *c.posted);
	c.in_log = calloc(c.topic_count + 1, sizeof *c.in_log);
	*checked = 0;
	/* One transaction over it all: a running server goes on, and what is compared belongs together. */
	enum err err = c.topics != NULL && c.posted != NULL && c.in_log != NULL
			       ? db_exec(r->db, "BEGIN", fault)
			       : fault_set(fault, ERR_NOMEM, "out of memory");
	sqlite3_int64 mark = 0;
	if (!err)
		err = db_integer(r->db, "SELECT value FROM meta WHERE key = 'trail'", 0, &mark, fault);
	c.mark = (uint64_t)mark;
	if (!err && c.mark != trail_mark(store_trail(r->store)))
		err = fault_set(fault, ERR_BUSY, "the store has moved on since it was opened");
	sqlite3_int64 first = 0;
	if (!err)
		err = db_integer(r->db, "SELECT min(seq) FROM event", (sqlite3_int64)c.first, &first, fault);
	if (!err && (uint64_t)first > c.first)
		err = fault_set(fault, ERR_BUSY, "events have left the log since it was opened");
	if (!err)
		err = check_sqlite(r, fault);
	if (!err)
		err = verify_archives(&c, checked);
	if (!err)
		err = check_events(&c, checked);
	if (!err)
		err = check_postings(&c);
	if (!err)
		err = check_figures(&c);
	if (!err)
		err = check_keys(&c);
	if (r->db != NULL)
		db_rollback(r->db);
	free(c.topics);
	free(c.posted);
	free(c.in_log);
	return err;
}
