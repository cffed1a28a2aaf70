/* Upkeep between commits. */
#include <assert.h>

#include <inttypes.h>
#include <sys/stat.h>

#include "base/system/log.h"
#include "store/log/store_internal.h"
#include "store/sqlite/db.h"

enum {
	/* The write-ahead log is written back when it has grown by 512 KiB (docs/decisions/0016-write-back.md). */
	WRITE_BACK_PAGES = 128,
	/* A longer log is reset as soon as all of it is copied: publishers wait for the rest of the copying. */
	RESTART_PAGES = 8192,
	/* A still longer log has been held up by readers again and again: wait for them once. */
	FORCED_PAGES = 16384,
	LONG_PAGES = 32768, /* 128 MiB: a warning is logged */
	CHECKPOINT_WAIT_MS = 20,
};

enum err store_checkpoint(struct store *s, int mode, struct fault *fault)
{
	assert(!s->open);
	/* Publishers wait meanwhile: if a reader takes longer (a verify, a backup), a later call tries again. */
	s->busy_wait_ms = CHECKPOINT_WAIT_MS;
	int rc = sqlite3_wal_checkpoint_v2(s->db, NULL, mode, NULL, NULL);
	s->busy_wait_ms = DB_BUSY_MS;
	if (rc != SQLITE_OK && rc != SQLITE_BUSY)
		return store_note_back(s, db_fault(s->db, rc, "writing the log back", fault), fault);
	if (rc == SQLITE_OK)
		store_note_back(s, ERR_NONE, NULL);
	/* A passive checkpoint does not shrink the WAL; on_wal notices when it is reset. */
	bool passive = mode == SQLITE_CHECKPOINT_PASSIVE;
	if (rc == SQLITE_OK && !passive)
		s->wal_pages = 0;
	if (rc == SQLITE_OK && mode == SQLITE_CHECKPOINT_TRUNCATE)
		store_files_keep_first(&s->files, s->db);
	/* A passive checkpoint is busy only during a write-back: it is tried again after the next commit. */
	if (rc == SQLITE_OK || !passive)
		s->asked_pages = s->wal_pages;
	return ERR_NONE;
}

/* Pages that the WAL has grown since a write-back was last due; 0: too few for another. */
static int growth(const struct store *s)
{
	assert(s->asked_pages <= s->wal_pages);
	int pages = s->wal_pages - s->asked_pages;
	return pages > WRITE_BACK_PAGES ? pages : 0;
}

/* The WAL cannot be reset while a read transaction is open. */
static void warn_long_log(struct store *s)
{
	if (s->wal_pages <= LONG_PAGES || s->wal_pages < 2 * s->warned_pages)
		return;
	s->warned_pages = s->wal_pages;
	log_warn("the write-ahead log cannot be written back: a program has the database open in one long read transaction",
		 "file=\"%s-wal\" bytes=%" PRId64, s->path, (int64_t)s->wal_pages * DB_FILE_PAGE);
}

enum err store_maintain(struct store *s, bool idle, struct fault *fault)
{
	assert(!s->open);
	if (s->db == NULL)
		return fault_set(fault, ERR_IO, "the store could not be opened again yet");
	enum err back = store_written_back(s, fault);
	if (back)
		return back;
	if (idle && s->wal_pages > 0)
		return store_checkpoint(s, SQLITE_CHECKPOINT_TRUNCATE, fault);
	if (s->wal_pages <= RESTART_PAGES)
		s->warned_pages = 0;
	if (s->wal_pages <= RESTART_PAGES || growth(s) == 0)
		return ERR_NONE;
	bool forced = s->wal_pages > FORCED_PAGES;
	enum err err = store_checkpoint(s, forced ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE, fault);
	warn_long_log(s);
	return err;
}

bool store_has_log(const struct store *s)
{
	return s->wal_pages > 0;
}

int store_write_back_due(struct store *s)
{
	int pages = s->wal_pages <= RESTART_PAGES ? growth(s) : 0;
	if (pages > 0)
		s->asked_pages = s->wal_pages;
	return pages;
}

/* How many pages of the write-ahead log are in the database already, from the WAL index, which is mapped anyway. Its file
 * must not be opened for this: closing it would release SQLite's locks. */
static int copied_already(const struct store *s)
{
	enum { INDEX_BYTES = 32 * 1024, COPIED_AT = 96 /* WalCkptInfo.nBackfill: https://sqlite.org/walformat.html */ };
	sqlite3_file *file = NULL;
	void volatile *index = NULL;
	uint32_t copied = 0;
	sqlite3_file_control(s->db, NULL, SQLITE_FCNTL_FILE_POINTER, &file);
	if (file == NULL || file->pMethods == NULL || file->pMethods->iVersion < 2 ||
	    file->pMethods->xShmMap(file, 0, INDEX_BYTES, 0, &index) != SQLITE_OK || index == NULL)
		return 0;
	memcpy(&copied, (const char *)index + COPIED_AT, sizeof copied);
	return (int)copied;
}

enum err store_flush(struct store *s, uint64_t *pages, uint64_t *copied, struct fault *fault)
{
	int log = 0;
	int done = 0;
	assert(!s->open);
	if (s->db == NULL)
		return fault_set(fault, ERR_IO, "the store could not be opened again yet");
	pthread_mutex_lock(&s->back_lock); /* a write-back would be in the way */
	int before = copied_already(s);
	int rc = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &log, &done);
	pthread_mutex_unlock(&s->back_lock);
	if (rc != SQLITE_OK && rc != SQLITE_BUSY)
		return store_note_back(s, db_fault(s->db, rc, "writing the log back", fault), fault);
	*pages = (uint64_t)(log > 0 ? log : 0);
	*copied = (uint64_t)(done > before ? done - before : 0);
	return log > 0 && done == log ? store_checkpoint(s, SQLITE_CHECKPOINT_TRUNCATE, fault) : ERR_NONE;
}

enum err store_measure_room(struct store *s)
{
	sqlite3_int64 spare = 0;
	sqlite3_int64 pages = 0;
	struct stat file;
	if (s->db == NULL)
		return ERR_NONE;
	enum err err = db_integer(s->db, "PRAGMA freelist_count", 0, &spare, NULL);
	if (!err)
		err = db_integer(s->db, "PRAGMA page_count", 0, &pages, NULL);
	if (err || stat(s->path, &file) != 0)
		return err ? err : ERR_IO;
	int64_t growth = pages * DB_FILE_PAGE - file.st_size;
	atomic_store(&s->room_within, spare * DB_FILE_PAGE - (growth > 0 ? growth : 0));
	return ERR_NONE;
}

enum err store_room(const struct store *s, uint64_t *bytes)
{
	uint64_t unused = 0;
	enum err err = store_disk_free(s, &unused);
	int64_t left = (int64_t)unused + atomic_load(&s->room_within);
	*bytes = left > 0 ? (uint64_t)left : 0;
	return err;
}

enum err store_probe(struct store *s, struct fault *fault)
{
	if (s->db == NULL)
		return fault_set(fault, ERR_IO, "the store could not be opened again yet");
	enum err err = store_check_clock(s, fault);
	if (err)
		return err;
	sqlite3_bind_int64(s->statements[S_PROBE], 1, clock_wall_ms());
	return store_run(s, S_PROBE, "writing a probe", fault);
}
