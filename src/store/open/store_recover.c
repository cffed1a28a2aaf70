/* Opening the database again after a failure. */
/* Opening the database again after a failed commit. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "store/log/store_internal.h"
#include "store/sqlite/db.h"

/* Makes pages of the events after `from`, from the database. */
static enum err frame_stored(struct store *s, uint64_t from, struct fault *fault)
{
	sqlite3_stmt *st;
	enum err err =
		db_prepare(s->db, "SELECT seq, time, topic, id, data FROM event WHERE seq > ? ORDER BY seq", &st, fault);
	if (err)
		return err;
	sqlite3_bind_int64(st, 1, (sqlite3_int64)from);
	s->next_seq = from + 1;
	s->pending_count = 0;
	int rc;
	while (!err && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		uint32_t topic = (uint32_t)sqlite3_column_int64(st, 2);
		struct slice id = {(const char *)sqlite3_column_text(st, 3), (size_t)sqlite3_column_bytes(st, 3)};
		struct slice data = {(const char *)sqlite3_column_text(st, 4), (size_t)sqlite3_column_bytes(st, 4)};
		s->time_ms = sqlite3_column_int64(st, 1);
		clock_format(s->time_ms, s->time_text);
		err = store_frame(s, id, data, topic);
	}
	if (!err && rc != SQLITE_DONE)
		err = db_fault(s->db, rc, "reading back what was stored", fault);
	sqlite3_finalize(st);
	if (!err)
		err = store_end_page(s);
	return err;
}

/* The state of the database after it was opened again. */
struct found {
	uint64_t last;
	uint64_t first;
	uint64_t indexed_upto;
	uint64_t expired_ids;
};

/* After a failed fsync the kernel may regard unwritten pages as clean. Copying all of the WAL into the database makes them
 * dirty again; only after that was synced can the file be trusted. */
static enum err write_back_all(struct store *s, struct fault *fault)
{
	enum err err = db_copy_anew(s->db, fault);
	if (err)
		return err;
	int rc = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	return rc == SQLITE_OK ? ERR_NONE : db_fault(s->db, rc, "writing the log back", fault);
}

static enum err read_found(struct store *s, uint64_t known, struct found *out, struct fault *fault)
{
	static const char *const sql[] = {"SELECT max(seq) FROM event", "SELECT min(seq) FROM event",
					  "SELECT value FROM meta WHERE key = 'trail'", "SELECT count(*) FROM id_past"};
	sqlite3_int64 values[] = {0, (sqlite3_int64)known + 1, 0, 0};
	enum err err = ERR_NONE;
	for (int i = 0; !err && i < 4; i++)
		err = db_integer(s->db, sql[i], values[i], &values[i], fault);
	*out = (struct found){(uint64_t)values[0], (uint64_t)values[1], (uint64_t)values[2], (uint64_t)values[3]};
	if (!err && out->last != 0 && out->last < known)
		err = fault_set(fault, ERR_CORRUPT, "%s has lost events: the log ended with %" PRIu64 ", now with %" PRIu64,
				s->path, known, out->last);
	return err;
}

/* Brings memory up to date: the commit that failed may have been made or not. */
static enum err take_over(struct store *s, uint64_t known, const struct found *found, struct fault *fault)
{
	s->expired_ids = found->expired_ids;
	if (found->first > s->log_first)
		store_count_out(s); /* the commit was made */
	store_set_log_first(s, found->first);
	enum err err = store_load_topics(s, fault);
	if (!err && !index_tail_agree(s->tail, found->indexed_upto))
		err = fault_set(fault, ERR_CORRUPT, "%s: the index reaches up to %" PRIu64 ", which it did not before",
				s->path, found->indexed_upto);
	if (!err && found->last > known)
		err = frame_stored(s, known, fault);
	if (!err)
		err = store_load_events(s, index_tail_end(s->tail), fault); /* after `known` if an earlier try got further */
	if (err)
		return err;
	if (found->first == s->log_first_before)
		s->removed_count = 0; /* the commit was not made */
	store_forget_topics(s);
	return ERR_NONE;
}

enum err store_recover(struct store *s, struct committed **out, struct fault *fault)
{
	struct found found;
	uint64_t known = s->head;
	*out = NULL;
	store_rollback(s);
	store_close_db(s);
	enum err err = store_files_check_db(&s->files, fault);
	if (!err)
		err = store_open_db(s, fault);
	if (!err)
		err = write_back_all(s, fault);
	if (!err)
		err = read_found(s, known, &found, fault);
	if (!err)
		err = take_over(s, known, &found, fault);
	if (!err) {
		store_files_remember(&s->files);
		err = store_files_check(&s->files, fault); /* both exist now */
	}
	if (err) {
		store_forget_pages(s);
		store_close_db(s);
		return err;
	}
	assert(found.last <= known || s->next_seq == found.last + 1);
	if (found.last > known)
		store_set_head(s, found.last);
	store_files_save_head(&s->files, s->head);
	*out = s->committed;
	s->committed = NULL;
	return ERR_NONE;
}
