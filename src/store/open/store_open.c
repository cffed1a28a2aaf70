/* Opening and closing a store. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/system/path.h"
#include "base/system/sys.h"
#include "store/archives/stream_last.h"
#include "store/log/store_internal.h"
#include "store/open/database_swap.h"
#include "store/open/lineage_rows.h"
#include "store/open/store_complete.h"
#include "store/open/topic_rows.h"
#include "store/sqlite/db.h"
#include "store/sqlite/meta.h"

enum {
	HURRIED_MS = 500, /* instead of DB_BUSY_MS, after store_hurry */
	/* Time between two tries at a locked database; the first few come every millisecond. */
	QUICK_TRIES = 10,
	TRY_MS = 10,
};

static const char *const statement_sql[STATEMENTS] = {
	[S_BEGIN] = "BEGIN IMMEDIATE",
	[S_COMMIT] = "COMMIT",
	[S_INSERT] =
		"INSERT INTO event(seq, time, topic, id, data, sum) SELECT seq, time, topic, id, data, sum FROM incoming",
	[S_APPEND] = "INSERT INTO event(time, topic, id, data, sum) SELECT time, topic, id, data, sum FROM incoming",
	[S_TOPIC] = "INSERT INTO topic(id, stream, type) VALUES (?, ?, ?)",
	[S_TOPICS] = "INSERT INTO topic(id, stream, type, first, last, count, bytes) "
		     "SELECT id, stream, type, first, last, count, bytes FROM incoming_topic",
	[S_TOPICS_APPEND] = "INSERT INTO topic(stream, type, first, last, count, bytes) "
			    "SELECT stream, type, first, last, count, bytes FROM incoming_topic",
	[S_TOPIC_LAST] = "SELECT max(id) FROM topic",
	[S_KEY] = "SELECT seq FROM id_key WHERE key = ? ORDER BY seq",
	[S_EVENT] = "SELECT topic, id FROM event WHERE seq = ?",
	[S_SESSION_PUT] = "INSERT INTO session(name, acked, updated, filter, epoch) VALUES (?1, ?2, ?3, coalesce(?4, ''), "
			  "coalesce(?5, '')) "
			  "ON CONFLICT(name) DO UPDATE SET acked = ?2, updated = ?3, filter = coalesce(?4, filter), epoch = "
			  "coalesce(?5, '')",
	[S_SESSION_DELETE] = "DELETE FROM session WHERE name = ?",
	[S_NOTE_PUT] = "INSERT OR REPLACE INTO note(kind, key, at, value) VALUES (?, ?, ?, ?)",
	[S_NOTE_DELETE] = "DELETE FROM note WHERE kind = ? AND key = ?",
	[S_NOTE_TRIM] = "DELETE FROM note WHERE kind = ? AND at < ?",
	[S_PROBE] = "INSERT OR REPLACE INTO meta(key, value) VALUES ('probe', ?)",
	[S_EXPIRED_PUT] = "INSERT OR REPLACE INTO id_past(seq, key, tag) VALUES (?, ?, ?)",
	[S_EXPIRED_FIND] = "SELECT seq, tag FROM id_past WHERE key = ? ORDER BY seq",
	[S_EXPIRED_DROP] = "DELETE FROM id_past WHERE seq IN (SELECT seq FROM id_past ORDER BY seq LIMIT ?)",
	[S_KEY_DELETE] = "DELETE FROM id_key WHERE key = ? AND seq = ?",
	[S_EVICTING] = "SELECT seq, topic, id, length(CAST(data AS BLOB)), time FROM event WHERE seq <= ? ORDER BY seq",
	[S_EVICT] = "DELETE FROM event WHERE seq <= ?",
	[S_POSTING_EVICT] = "DELETE FROM posting WHERE \"window\" <= ?",
	[S_POSTING_NEXT] = "SELECT \"window\", seqs FROM posting WHERE topic = ? AND \"window\" > ? ORDER BY \"window\"",
	[S_TOPIC_REDUCE] = "UPDATE topic SET first = CASE WHEN count > ?1 THEN ?3 ELSE 0 END, "
			   "last = CASE WHEN count > ?1 THEN last ELSE 0 END, count = count - ?1, bytes = bytes - ?2, "
			   "gone = ?5 WHERE id = ?4",
	[S_TOPIC_DELETE] = "DELETE FROM topic WHERE id = ?",
	[S_TOPICS_END] = "INSERT OR REPLACE INTO meta(key, value) VALUES ('topics', ?)",
	[S_FORGOTTEN_PUT] = "INSERT OR REPLACE INTO forgotten(last, stream, type) VALUES (?, ?, ?)",
	[S_FORGOTTEN_DROP] = "DELETE FROM forgotten WHERE last <= ?",
	[S_LOST_UNKNOWN] = "INSERT INTO meta(key, value) VALUES ('gone_unknown', ?) "
			   "ON CONFLICT(key) DO UPDATE SET value = max(value, excluded.value)",
	[S_EVENT_ROW] = "SELECT time, topic, id, data FROM event WHERE seq = ?",
	[S_LAST_PUT] = STREAM_LAST_PUT,
	[S_LAST_FIND] = "SELECT last FROM stream_last WHERE stream = ?",
	[S_CHAIN] = "INSERT OR REPLACE INTO meta(key, value) VALUES ('chain', ?)",
};

static int on_wal(void *arg, sqlite3 *db, const char *name, int pages)
{
	(void)db;
	(void)name;
	struct store *s = arg;
	if (pages < s->wal_pages)
		s->asked_pages = 0;
	s->wal_pages = pages;
	return SQLITE_OK;
}

void store_close_db(struct store *s)
{
	store_stop_write_back(s);
	for (int i = 0; i < STATEMENTS; i++) {
		sqlite3_finalize(s->statements[i]);
		s->statements[i] = NULL;
	}
	db_close(s->db);
	s->db = NULL;
}

/* SQLite's busy handler: 1 tries again. */
static int wait_for_lock(void *arg, int tries)
{
	struct store *s = arg;
	int64_t now = clock_mono_ms();
	if (tries == 0)
		s->busy_since_ms = now;
	int64_t most = atomic_load(&s->hurry) && s->busy_wait_ms > HURRIED_MS ? HURRIED_MS : s->busy_wait_ms;
	if (now - s->busy_since_ms >= most)
		return 0;
	sqlite3_sleep(tries < QUICK_TRIES ? 1 : TRY_MS);
	return 1;
}

enum err store_open_db(struct store *s, struct fault *fault)
{
	assert(s->db == NULL);
	bool write = s->options.access == STORE_WRITE;
	enum db_mode mode = !write ? DB_READ : s->options.relaxed ? DB_WRITE_RELAXED : DB_WRITE;
	enum err err = db_open(s->path, mode, &s->db, fault);
	if (err || !write)
		return err;
	if (s->options.unchecked)
		db_trust_pages(s->db);
	s->busy_wait_ms = DB_BUSY_MS;
	sqlite3_busy_handler(s->db, wait_for_lock, s);
	sqlite3_wal_hook(s->db, on_wal, s);
	s->incoming = (struct insert_rows){s->rows, 0};
	err = insert_vtab_register(s->db, &s->incoming, &s->new_topics_left, fault);
	for (int i = 0; !err && i < STATEMENTS; i++)
		err = db_prepare(s->db, statement_sql[i], &s->statements[i], fault);
	return err;
}

/* Syncs the names in a store's directory, and its own name in the parent, which may be unreadable for us. */
static enum err sync_names(const char *dir, struct fault *fault)
{
	bool fine = sys_sync_dir(dir) == 0 && (sys_sync_parent(dir) == 0 || errno == EACCES);
	return fine ? ERR_NONE : sys_fail(fault, "cannot sync", dir, errno);
}

/* A new store has no line of history yet. */
static enum err load_lineage(struct store *s, struct fault *fault)
{
	enum err err = lineage_rows_load(s->db, &s->lineage, fault);
	if (!err && s->lineage.count == 0 && s->options.access == STORE_WRITE)
		err = lineage_rows_begin(s->db, &s->lineage, 1, fault);
	if (!err && s->lineage.count == 0)
		err = fault_set(fault, ERR_CORRUPT, "%s has no line of history", s->path);
	return err;
}

/* Begins a line of history if the next events may differ from what readers have: those of the original of a copy, or those
 * that were sent events which a power loss has destroyed. */
static enum err begin_own_line(struct store *s, struct fault *fault)
{
	bool doubt = false;
	if (s->options.copies)
		return ERR_NONE;
	enum err err = lineage_rows_in_doubt(s->db, &doubt, fault);
	if (!err && doubt)
		err = lineage_rows_begin(s->db, &s->lineage, s->head + 1, fault);
	return err ? err : lineage_rows_note_relaxed(s->db, s->options.relaxed, fault);
}

/* Loads the topics that the catalog does not have yet. */
static enum err read_topics(struct store *s, struct fault *fault)
{
	struct topic_reader *reader;
	const struct topic_rows *rows;
	uint32_t first = catalog_end(s->catalog);
	uint32_t last;
	enum err err = topic_reader_create(s->db, first, index_tail_upto(s->tail), &reader, &last, fault);
	if (!err && first == 0 && last > 0)
		catalog_expect(s->catalog, last + 1);
	while (!err && (err = topic_reader_next(reader, &rows, fault)) == ERR_NONE && rows != NULL) {
		err = catalog_load(s->catalog, rows->rows, rows->count);
		if (err)
			fault_set(fault, err, "cannot load the topics: %s", err_name(err));
		for (uint32_t i = 0; i < rows->count; i++)
			s->empty_rows = s->empty_rows || rows->rows[i].figures.count == 0;
	}
	topic_reader_destroy(reader);
	return err;
}

enum err store_load_topics(struct store *s, struct fault *fault)
{
	int64_t end = 0;
	enum err err = read_topics(s, fault);
	if (!err)
		err = meta_get(s->db, "topics", 0, &end, fault);
	if (!err && end > 0 && end <= UINT32_MAX)
		catalog_skip(s->catalog, (uint32_t)end);
	catalog_commit(s->catalog);
	return err;
}

/* Adds a stored event to index tail and catalog, as a commit does for a new one. */
static enum err load_event(struct store *s, uint64_t seq, sqlite3_stmt *st, struct fault *fault)
{
	if ((uint64_t)sqlite3_column_int64(st, 0) != seq)
		return fault_set(fault, ERR_CORRUPT, "event %" PRIu64 " is missing", seq);
	assert(seq == index_tail_end(s->tail) + 1);
	sqlite3_int64 topic = sqlite3_column_int64(st, 1);
	struct slice stream = store_topic(s, topic).stream;
	if (stream.p == NULL)
		return fault_set(fault, ERR_CORRUPT, "event %" PRIu64 " names a topic that does not exist", seq);
	enum err err = index_tail_reserve(s->tail, 1);
	struct slice id = {(const char *)sqlite3_column_text(st, 2), (size_t)sqlite3_column_bytes(st, 2)};
	if (!err && id.len > 0 && s->options.access == STORE_WRITE)
		err = index_tail_add_key(s->tail, id_key_of(stream, id), seq);
	if (err)
		return fault_set(fault, err, "out of memory");
	index_tail_lock(s->tail);
	index_tail_add(s->tail, (uint32_t)topic, false);
	index_tail_unlock(s->tail);
	catalog_lock(s->catalog);
	catalog_count(s->catalog, (uint32_t)topic, seq, (uint64_t)sqlite3_column_int64(st, 3));
	catalog_unlock(s->catalog);
	s->last_time_ms = sqlite3_column_int64(st, 4);
	return ERR_NONE;
}

enum err store_load_events(struct store *s, uint64_t from, struct fault *fault)
{
	sqlite3_stmt *st;
	enum err err = db_prepare(
		s->db, "SELECT seq, topic, id, length(CAST(data AS BLOB)), time FROM event WHERE seq > ? ORDER BY seq", &st,
		fault);
	if (err)
		return err;
	sqlite3_bind_int64(st, 1, (sqlite3_int64)from);
	uint64_t seq = from;
	int rc;
	while (!err && (rc = sqlite3_step(st)) != SQLITE_DONE)
		err = rc == SQLITE_ROW ? load_event(s, ++seq, st, fault)
				       : db_fault(s->db, rc, "loading the newest events", fault);
	sqlite3_finalize(st);
	return err;
}

static enum err load(struct store *s, struct fault *fault)
{
	int64_t indexed_upto = 0;
	int64_t head = 0;
	sqlite3_int64 first = 0;
	sqlite3_int64 last = 0;
	sqlite3_int64 time = 0;
	sqlite3_int64 expired_ids = 0;
	enum err err = load_lineage(s, fault);
	if (!err)
		err = meta_get(s->db, "trail", 0, &indexed_upto, fault);
	if (!err)
		err = meta_get(s->db, "head", 0, &head, fault);
	if (!err)
		err = db_integer(s->db, "SELECT min(seq) FROM event", 0, &first, fault);
	if (!err)
		err = db_integer(s->db, "SELECT max(seq) FROM event", 0, &last, fault);
	if (!err)
		err = db_integer(s->db, "SELECT time FROM event ORDER BY seq DESC LIMIT 1", 0, &time, fault);
	if (!err)
		err = db_integer(s->db, "SELECT count(*) FROM id_past", 0, &expired_ids, fault);
	if (err)
		return err;
	s->expired_ids = (uint64_t)expired_ids;
	/* A repair reads the events itself, and rebuilds the index. */
	bool whole = indexed_upto >= 0 && head >= indexed_upto && (last == 0 || last >= head);
	if (!whole && !s->options.unchecked)
		return fault_set(fault, ERR_CORRUPT,
				 "the positions in %s contradict each other (index %" PRId64 ", head %" PRId64
				 ", last event %" PRId64 ")",
				 s->path, indexed_upto, head, (int64_t)last);
	s->last_time_ms = time;
	s->tail = index_tail_create((uint64_t)(indexed_upto > 0 ? indexed_upto : 0), s->options.index_every);
	if (s->tail == NULL)
		return fault_nomem(fault);
	err = store_load_topics(s, fault);
	if (!err)
		err = forgotten_load(&s->forgotten, s->db, fault);
	if (!err && !s->options.unchecked)
		err = store_load_events(s, (uint64_t)indexed_upto, fault);
	uint64_t end = (uint64_t)(last > head ? last : head);
	store_set_head(s, end);
	store_set_log_first(s, first != 0 ? (uint64_t)first : end + 1);
	return err;
}

/* In one transaction if another process may be writing, for a consistent state. */
static enum err load_at_once(struct store *s, struct fault *fault)
{
	if (s->options.access == STORE_WRITE)
		return load(s, fault);
	enum err err = db_exec(s->db, "BEGIN", fault);
	if (!err)
		err = load(s, fault);
	db_rollback(s->db);
	return err;
}

/* A store that does not sync commits keeps no acknowledged seq, since a power loss may take events back. */
static enum err open_head(struct store *s, struct fault *fault)
{
	uint64_t noted = 0;
	enum err err = store_files_open_head(&s->files, s->dir, &noted, fault);
	if (!err && s->options.relaxed) {
		store_files_save_head(&s->files, 0);
		store_files_finish(&s->files);
	}
	s->saved_head = noted;
	return err;
}

static enum err open_all(struct store *s, struct fault *fault)
{
	sqlite3 *inspected = NULL;
	enum err err = ERR_NONE;
	if (s->options.access == STORE_WRITE) {
		err = store_files_make_dir(s->dir, fault);
		if (!err)
			err = store_files_lock(s->dir, &s->lock_fd, fault);
		if (!err)
			err = database_swap_finish(s->dir, NULL, fault);
	}
	if (!err && !s->options.unchecked)
		err = store_complete_check(s->dir, s->options.archive_dir, s->options.copies, &inspected, fault);
	if (!err && s->options.access == STORE_READ && access(s->path, F_OK) != 0)
		err = fault_set(fault, ERR_NOT_FOUND, "there is no Tidemark store in %s", s->dir);
	if (!err)
		err = store_open_db(s, fault);
	db_close(inspected);
	if (!err)
		err = load_at_once(s, fault);
	if (!err)
		err = store_open_archives(s, fault);
	if (err || s->options.access != STORE_WRITE)
		return err;
	err = open_head(s, fault);
	if (!err)
		err = begin_own_line(s, fault);
	store_files_remember(&s->files);
	if (!err && s->empty_rows && !s->options.unchecked && !s->options.copies)
		err = store_remove_unused(s, fault);
	/* Always: a killed process may have made them without syncing. */
	return err ? err : sync_names(s->dir, fault);
}

static enum err check_path(const char *dir, struct fault *fault)
{
	char cwd[PATH_MAX];
	size_t len = strlen(dir);
	if (len == 0)
		return fault_set(fault, ERR_INVALID, "the path of the data directory is empty");
	if (dir[0] != '/' && getcwd(cwd, sizeof cwd) != NULL)
		len += strlen(cwd) + 1;
	return len <= STORE_DIR_MAX
		       ? ERR_NONE
		       : fault_set(fault, ERR_INVALID,
				   "the path of the data directory has %zu bytes from the root on; the limit is %d", len,
				   STORE_DIR_MAX);
}

enum err store_open(const char *dir, struct store_options options, struct store **out, struct fault *fault)
{
	*out = NULL;
	enum err err = check_path(dir, fault);
	if (err)
		return err;
	struct store *s = calloc(1, sizeof *s);
	if (s == NULL)
		return fault_nomem(fault);
	s->options = options;
	s->options.on_forgotten = NULL; /* set when the store is open */
	s->lock_fd = -1;
	path_format(s->dir, "%s", dir);
	store_files_db(dir, s->path);
	store_files_init(&s->files, s->path);
	pthread_mutex_init(&s->lock, NULL);
	forgotten_init(&s->forgotten);
	clock_cond_init(&s->commit_done);
	pthread_mutex_init(&s->back_lock, NULL);
	s->catalog = catalog_create();
	s->order = s->catalog != NULL ? stream_order_create(s->catalog) : NULL;
	err = s->order != NULL ? open_all(s, fault) : fault_nomem(fault);
	if (err) {
		store_close_db(s);
		store_close(s);
		return err;
	}
	s->options.on_forgotten = options.on_forgotten;
	*out = s;
	return ERR_NONE;
}
/* --- closing --- */

/* If this fails, opening the store takes longer. */
static void flush_index_tail(struct store *s)
{
	struct committed *none;
	s->flush_wanted = index_tail_lags(s->tail);
	if (s->flush_wanted && store_begin(s, NULL) == ERR_NONE)
		store_commit(s, &none, NULL);
}

void store_hurry(struct store *s)
{
	atomic_store(&s->hurry, true);
}

void store_close(struct store *s)
{
	if (s == NULL)
		return;
	if (s->db != NULL && s->options.access == STORE_WRITE) {
		struct fault fault; /* ignored: everything is in the write-ahead log */
		store_rollback(s);
		flush_index_tail(s);
		if (!s->options.copies)
			lineage_rows_note_relaxed(s->db, false, NULL);
		store_checkpoint(s, SQLITE_CHECKPOINT_TRUNCATE, &fault);
	}
	store_close_db(s);
	archive_set_close(s->archives);
	index_tail_destroy(s->tail);
	stream_order_destroy(s->order);
	catalog_destroy(s->catalog);
	free(s->known);
	free(s->pending);
	free(s->new_topics);
	free(s->reduced);
	free(s->removed);
	forgotten_finish(&s->forgotten);
	lineage_finish(&s->lineage);
	pthread_cond_destroy(&s->commit_done);
	pthread_mutex_destroy(&s->lock);
	pthread_mutex_destroy(&s->back_lock);
	store_files_finish(&s->files);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	free(s);
}
