#include "store/repair/repair.h"

#include "base/data/checksum.h"
#include "store/archive/archive_check.h"
#include "store/archive/archive_manifest.h"
#include "store/archives/lost_ranges.h"
#include "store/log/store_internal.h"
#include "store/repair/rebuild.h"
#include "store/sqlite/db.h"
#include "store/sqlite/meta.h"
#include "store/transfer/restore.h"

struct repair {
	struct store *store;
	struct repair_figures *figures;
	uint64_t first;     /* where the log should begin */
	bool countable;     /* no archive is missing below it */
	sqlite3_stmt *find; /* sum, seq */
	sqlite3_stmt *drop;
};

/* Is the event of the log the same as in the archive, with the right sum? */
static enum err is_whole(struct repair *r, const struct envelope *e, int64_t time_ms, bool *whole, struct fault *fault)
{
	struct restored_names names;
	struct event event;
	enum err err = restore_is(r->store, e, time_ms, whole, fault);
	if (err || !*whole)
		return err;
	err = restore_decode(e, &names, &event, fault);
	sqlite3_bind_int64(r->find, 1, (sqlite3_int64)e->seq);
	int rc = sqlite3_step(r->find);
	int32_t sum = checksum_event(e->seq, time_ms, checksum_names(event.stream, event.type), event.id, event.data);
	*whole = rc == SQLITE_ROW && (int32_t)sqlite3_column_int64(r->find, 0) == sum;
	sqlite3_reset(r->find);
	return err;
}

static enum err put_back(struct repair *r, const struct envelope *e, int64_t time_ms, struct fault *fault)
{
	struct store *s = r->store;
	struct restored_names names;
	struct event event;
	uint32_t topic;
	sqlite3_bind_int64(r->drop, 1, (sqlite3_int64)e->seq);
	int rc = sqlite3_step(r->drop);
	sqlite3_reset(r->drop);
	enum err err = rc == SQLITE_DONE ? restore_decode(e, &names, &event, fault)
					 : db_fault(s->db, rc, "removing a damaged event", fault);
	if (!err)
		err = store_topic_of(s, &event, &topic, fault);
	s->next_seq = e->seq;
	s->time_ms = time_ms;
	if (!err)
		err = store_insert(s, &event, topic, fault);
	if (!err)
		catalog_commit(s->catalog);
	r->figures->repaired += !err;
	return err;
}

static enum err on_event(void *arg, const struct envelope *e, struct slice text, int64_t time_ms, struct fault *fault)
{
	(void)text;
	struct repair *r = arg;
	bool whole;
	if (e->seq < r->first || e->seq > store_head(r->store))
		return ERR_NONE;
	r->figures->looked_at++;
	enum err err = is_whole(r, e, time_ms, &whole, fault);
	return err || whole ? err : put_back(r, e, time_ms, fault);
}

static enum err repair_from(struct repair *r, const char *path, struct fault *fault)
{
	struct manifest expected;
	struct manifest found;
	enum err err = archive_manifest_find(path, &expected, fault);
	bool has = err == ERR_NONE;
	if (err && err != ERR_NOT_FOUND)
		return err;
	if (has && !archive_set_owns(store_archives(r->store), &expected))
		return fault_set(fault, ERR_CONFLICT,
				 "%s is of another store, or another line of history: its epoch is %s, here it is %s", path,
				 expected.epoch, store_epoch(r->store));
	struct archive_check s = {.expected = has ? &expected : NULL, .each = on_event, .arg = r};
	return archive_check(path, &s, &found, fault);
}

/* --- the rows of the log --- */

struct extent {
	uint64_t run;    /* while no sound event was found: the first row of the current run of consecutive rows */
	uint64_t before; /* the previous row */
	uint64_t first;  /* the first row of the run that has the first sound event */
	uint64_t last;   /* the last sound event */
};

static bool row_is_event(const struct store *s, sqlite3_stmt *st)
{
	sqlite3_int64 number = sqlite3_column_int64(st, 2);
	struct slice id = {(const char *)sqlite3_column_text(st, 3), (size_t)sqlite3_column_bytes(st, 3)};
	struct slice data = {(const char *)sqlite3_column_text(st, 4), (size_t)sqlite3_column_bytes(st, 4)};
	struct topic topic = store_topic(s, number);
	return topic.stream.p != NULL &&
	       checksum_event((uint64_t)sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1),
			      checksum_names(topic.stream, topic.type), id, data) == (int32_t)sqlite3_column_int64(st, 5);
}

static void extend(struct extent *x, uint64_t seq, bool is_event)
{
	if (x->first == 0 && (x->run == 0 || seq != x->before + 1))
		x->run = seq;
	x->before = seq;
	if (!is_event)
		return;
	x->first = x->first == 0 ? x->run : x->first;
	x->last = seq;
}

static enum err read_rows(struct repair *r, struct extent *x, struct fault *fault)
{
	struct store *s = r->store;
	sqlite3_stmt *st;
	enum err err = db_prepare(s->db, "SELECT seq, time, topic, id, data, sum FROM event ORDER BY seq", &st, fault);
	if (err)
		return err;
	int rc;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		extend(x, (uint64_t)sqlite3_column_int64(st, 0), row_is_event(s, st));
	if (rc != SQLITE_DONE)
		err = db_fault(s->db, rc, "reading events", fault);
	sqlite3_finalize(st);
	return err;
}

/* Removes rows outside of the log: a row whose seq was damaged would move the ends of the log. */
static enum err drop_outside(struct repair *r, uint64_t first, uint64_t last, struct fault *fault)
{
	struct store *s = r->store;
	sqlite3_stmt *st;
	enum err err = db_prepare(s->db, "DELETE FROM event WHERE seq < ? OR seq > ?", &st, fault);
	if (err)
		return err;
	sqlite3_bind_int64(st, 1, (sqlite3_int64)first);
	sqlite3_bind_int64(st, 2, (sqlite3_int64)last);
	int rc = sqlite3_step(st);
	if (rc != SQLITE_DONE)
		err = db_fault(s->db, rc, "removing rows that are not events", fault);
	sqlite3_finalize(st);
	r->figures->dropped = (uint64_t)sqlite3_changes(s->db);
	return err;
}

static enum err find_ends(struct repair *r, struct fault *fault)
{
	struct store *s = r->store;
	struct extent x = {0};
	int64_t head_row = 0;
	enum err err = meta_get(s->db, "head", 0, &head_row, fault);
	if (!err)
		err = read_rows(r, &x, fault);
	if (err)
		return err;
	/* Events up to here were acknowledged. */
	uint64_t acknowledged = s->saved_head > (uint64_t)head_row ? s->saved_head : (uint64_t)head_row;
	uint64_t head = x.last > acknowledged ? x.last : acknowledged;
	uint64_t log_first = x.first != 0 ? x.first : head + 1;
	store_set_head(s, head);
	store_set_log_first(s, log_first);
	return drop_outside(r, log_first, head, fault);
}

/* Events that are missing right before the log were its beginning: they were not evicted. */
static enum err find_first(struct repair *r, struct fault *fault)
{
	struct lost_ranges lost;
	struct lost_range range = {0};
	uint64_t log_first = store_log_first(r->store);
	enum err err = lost_ranges_load(r->store->db, &lost, fault);
	r->first = log_first;
	r->countable = true;
	while (!err && lost_ranges_uncovered(&lost, store_archives(r->store), range.last + 1, log_first, &range)) {
		if (range.last == log_first - 1)
			r->first = range.first;
		else
			r->countable = false;
	}
	lost_ranges_finish(&lost);
	return err;
}

/* Rebuilds the index; the beginning of the log may have been restored. */
static enum err rebuild(struct repair *r, struct fault *fault)
{
	bool done;
	sqlite3_int64 first = 0;
	enum err err = db_integer(r->store->db, "SELECT min(seq) FROM event", (sqlite3_int64)store_head(r->store) + 1,
				  &first, fault);
	if (err)
		return err;
	store_set_log_first(r->store, (uint64_t)first);
	return rebuild_index(r->store, r->countable && (uint64_t)first <= r->first, &done, fault);
}

static enum err repair_all(struct repair *r, const char *const *archives, int count, struct fault *fault)
{
	enum err err = db_exec(r->store->db, "BEGIN IMMEDIATE", fault);
	if (!err)
		err = find_ends(r, fault);
	if (!err)
		err = find_first(r, fault);
	for (int i = 0; !err && i < count; i++)
		err = repair_from(r, archives[i], fault);
	if (!err)
		err = rebuild(r, fault);
	return err ? err : db_exec(r->store->db, "COMMIT", fault);
}

enum err repair_log(const char *dir, const char *const *archives, int count, struct repair_figures *out, struct fault *fault)
{
	struct repair r = {.figures = out};
	*out = (struct repair_figures){0};
	enum err err = store_open(dir, (struct store_options){.access = STORE_WRITE, .unchecked = true, .copies = true},
				  &r.store, fault);
	if (err)
		return err;
	err = db_prepare(r.store->db, "SELECT sum FROM event WHERE seq = ?", &r.find, fault);
	if (!err)
		err = db_prepare(r.store->db, "DELETE FROM event WHERE seq = ?", &r.drop, fault);
	if (!err)
		err = repair_all(&r, archives, count, fault);
	sqlite3_finalize(r.find);
	sqlite3_finalize(r.drop);
	/* Damaged pages without events still have wrong sums: VACUUM writes all pages again. */
	if (!err)
		err = db_exec(r.store->db, "VACUUM", fault);
	if (err)
		restore_abandon(r.store);
	store_close(r.store);
	return err;
}
