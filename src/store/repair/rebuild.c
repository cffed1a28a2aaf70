#include "store/repair/rebuild.h"

#include <assert.h>
#include <inttypes.h>

#include "base/system/path.h"
#include "store/archive/archive_check.h"
#include "store/log/store_internal.h"
#include "store/sqlite/db.h"
#include "store/sqlite/meta.h"
#include "store/transfer/restore.h"

struct rebuild {
	struct store *store;
	uint64_t counted;      /* the last archived event that was counted: archives may overlap */
	uint64_t indexed_upto; /* events of the log up to here are in the figures already */
};

/* --- archived events --- */

static enum err on_archived(void *arg, const struct envelope *e, struct slice text, int64_t time_ms, struct fault *fault)
{
	(void)text;
	(void)time_ms;
	struct rebuild *r = arg;
	if (e->seq <= r->counted || e->seq >= store_log_first(r->store))
		return ERR_NONE;
	r->counted = e->seq;
	return restore_archived(r->store, e, fault);
}

static enum err count_archives(struct rebuild *r, struct fault *fault)
{
	struct archive_set *set = store_archives(r->store);
	struct manifest m;
	struct manifest found;
	enum err err = ERR_NONE;
	for (uint32_t i = 0; !err && archive_set_at(set, i, &m); i++) {
		char path[PATH_MAX];
		struct archive_check s = {.expected = &m, .each = on_archived, .arg = r};
		archive_set_path(set, m.file, path);
		err = archive_check(path, &s, &found, fault);
	}
	return err;
}

static void forget_figures(struct store *s)
{
	catalog_lock(s->catalog);
	for (uint32_t i = 0; catalog_next(s->catalog, &i); i++)
		catalog_set_figures(s->catalog, i, (struct figures){0});
	catalog_unlock(s->catalog);
}

/* The figures as they were last written, which was up to indexed_upto. */
static enum err stored_figures(struct rebuild *r, struct fault *fault)
{
	struct store *s = r->store;
	sqlite3_stmt *st;
	int64_t indexed_upto = 0;
	enum err err = meta_get(s->db, "trail", 0, &indexed_upto, fault);
	if (!err)
		err = db_prepare(s->db, "SELECT id, first, last, count, bytes, gone FROM topic", &st, fault);
	if (err)
		return err;
	r->indexed_upto = (uint64_t)indexed_upto;
	int rc;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct figures f = index_tail_figures(st, 1, r->indexed_upto);
		f.lost = (uint64_t)sqlite3_column_int64(st, 5);
		sqlite3_int64 id = sqlite3_column_int64(st, 0);
		if (store_topic(s, id).stream.p != NULL)
			catalog_set_figures(s->catalog, (uint32_t)id, f);
	}
	if (rc != SQLITE_DONE)
		err = db_fault(s->db, rc, "reading the figures", fault);
	sqlite3_finalize(st);
	return err;
}

/* --- events of the log --- */

static enum err add_row(struct rebuild *r, sqlite3_stmt *st, struct fault *fault)
{
	struct store *s = r->store;
	uint64_t seq = (uint64_t)sqlite3_column_int64(st, 0);
	sqlite3_int64 topic = sqlite3_column_int64(st, 1);
	struct slice id = {(const char *)sqlite3_column_text(st, 2), (size_t)sqlite3_column_bytes(st, 2)};
	struct slice stream = store_topic(s, topic).stream;
	if (stream.p == NULL)
		return fault_set(fault, ERR_CORRUPT, "event %" PRIu64 " names a topic that does not exist", seq);
	struct id_key key = id_key_of(stream, id);
	if (index_tail_reserve(s->tail, 1) != ERR_NONE || (id.len > 0 && index_tail_add_key(s->tail, key, seq) != ERR_NONE))
		return fault_nomem(fault);
	index_tail_lock(s->tail);
	index_tail_add(s->tail, (uint32_t)topic, false);
	index_tail_unlock(s->tail);
	catalog_lock(s->catalog);
	if (seq > r->indexed_upto)
		catalog_count(s->catalog, (uint32_t)topic, seq, (uint64_t)sqlite3_column_int64(st, 3));
	catalog_unlock(s->catalog);
	return index_tail_is_due(s->tail) ? restore_flush(s, fault) : ERR_NONE;
}

static enum err add_log(struct rebuild *r, struct fault *fault)
{
	struct store *s = r->store;
	sqlite3_stmt *st;
	enum err err =
		db_prepare(s->db, "SELECT seq, topic, id, length(CAST(data AS BLOB)) FROM event WHERE seq >= ? ORDER BY seq",
			   &st, fault);
	if (err)
		return err;
	sqlite3_bind_int64(st, 1, (sqlite3_int64)store_log_first(s));
	int rc = SQLITE_DONE;
	while (!err && (rc = sqlite3_step(st)) == SQLITE_ROW)
		err = add_row(r, st, fault);
	if (!err && rc != SQLITE_DONE)
		err = db_fault(s->db, rc, "reading events", fault);
	sqlite3_finalize(st);
	if (!err)
		err = restore_flush(s, fault);
	return err ? err : index_tail_write_figures(s->db, s->catalog, fault);
}

/* Empties the index, which begins with the log. */
static enum err begin(struct store *s, struct fault *fault)
{
	assert(store_log_first(s) > 0);
	struct index_tail *t = index_tail_create(store_log_first(s) - 1, s->options.index_every);
	if (t == NULL)
		return fault_nomem(fault);
	index_tail_destroy(s->tail);
	s->tail = t;
	return db_exec(s->db, "DELETE FROM posting; DELETE FROM id_key", fault);
}

static enum err is_whole(struct store *s, bool *whole, struct fault *fault)
{
	sqlite3_int64 rows = 0;
	sqlite3_int64 first = 0;
	sqlite3_int64 last = 0;
	enum err err = db_integer(s->db, "SELECT count(*) FROM event", 0, &rows, fault);
	if (!err)
		err = db_integer(s->db, "SELECT min(seq) FROM event", 0, &first, fault);
	if (!err)
		err = db_integer(s->db, "SELECT max(seq) FROM event", 0, &last, fault);
	*whole = !err && (rows == 0 ? store_log_first(s) > store_head(s)
				    : (uint64_t)first == store_log_first(s) && (uint64_t)last == store_head(s) &&
					      rows == last - first + 1);
	return err;
}

enum err rebuild_index(struct store *s, bool countable, bool *done, struct fault *fault)
{
	struct rebuild r = {.store = s};
	enum err err = is_whole(s, done, fault);
	if (err || !*done)
		return err;
	catalog_commit(s->catalog);
	forget_figures(s);
	err = countable ? count_archives(&r, fault) : ERR_IO;
	if (err == ERR_NOMEM)
		return err;
	if (err) {
		forget_figures(s);
		err = stored_figures(&r, fault);
	}
	if (!err)
		err = begin(s, fault);
	return err ? err : add_log(&r, fault);
}
