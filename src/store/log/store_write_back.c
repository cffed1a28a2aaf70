/* Copying the write-ahead log into the database while the writing thread commits. */
#include <assert.h>

#include "store/log/store_internal.h"
#include "store/sqlite/db.h"

enum {
	/* Syncs during one write-back: a commit that needs the disk meanwhile waits for one piece only. */
	PIECES = 4,
	PIECE_MIN_PAGES = 32,  /* 128 KiB */
	PIECE_MAX_PAGES = 128, /* 512 KiB */
	/* A sync does not begin while a commit waits for the disk, for at most this time. */
	GIVE_WAY_MS = 3,
};

static int piece_of(int pages)
{
	int piece = pages / PIECES;
	return piece < PIECE_MIN_PAGES ? PIECE_MIN_PAGES : piece > PIECE_MAX_PAGES ? PIECE_MAX_PAGES : piece;
}

/* It is not an error if readers, or the writing thread copying the rest itself, are in the way. */
static enum err copy(sqlite3 *db, struct fault *fault)
{
	int rc = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	return rc == SQLITE_OK || rc == SQLITE_BUSY ? ERR_NONE : db_fault(db, rc, "writing the log back", fault);
}

static enum err open_back(struct store *s, struct fault *fault)
{
	return s->back != NULL ? ERR_NONE : db_open(s->path, DB_WRITE_BACK, &s->back, fault);
}

static void give_way(void *arg)
{
	struct store *s = arg;
	pthread_mutex_lock(&s->lock);
	for (int64_t now = clock_mono_ms(), end = now + GIVE_WAY_MS; s->committing && now < end; now = clock_mono_ms())
		clock_cond_wait(&s->commit_done, &s->lock, end - now);
	pthread_mutex_unlock(&s->lock);
}

static enum err copy_and_sync(struct store *s, int pages, struct fault *fault)
{
	enum err err = open_back(s, fault);
	if (err)
		return err;
	db_set_pace(s->back, (struct db_file_pace){piece_of(pages), give_way, s});
	err = copy(s->back, fault);
	/* SQLite syncs only when it has copied everything; db_sync syncs what was copied so far. */
	return err ? err : db_sync(s->back, fault);
}

enum err store_write_back_open(struct store *s, struct fault *fault)
{
	pthread_mutex_lock(&s->back_lock);
	enum err err = open_back(s, fault);
	pthread_mutex_unlock(&s->back_lock);
	return err;
}

void store_write_back(struct store *s, int pages)
{
	struct fault fault;
	pthread_mutex_lock(&s->back_lock);
	enum err err = store_note_back(s, copy_and_sync(s, pages, &fault), &fault);
	if (err) {
		pthread_mutex_lock(&s->lock);
		s->back_fault = fault;
		pthread_mutex_unlock(&s->lock);
	}
	pthread_mutex_unlock(&s->back_lock);
}

enum err store_note_back(struct store *s, enum err err, const struct fault *fault)
{
	assert(!err || fault != NULL);
	pthread_mutex_lock(&s->lock);
	if (err)
		s->back_failing = *fault;
	else
		s->back_failing.code = ERR_NONE;
	pthread_mutex_unlock(&s->lock);
	return err;
}

enum err store_written_back(struct store *s, struct fault *fault)
{
	pthread_mutex_lock(&s->lock);
	enum err err = s->back_fault.code;
	if (err)
		*fault = s->back_fault;
	s->back_fault.code = ERR_NONE;
	pthread_mutex_unlock(&s->lock);
	return err;
}

void store_stop_write_back(struct store *s)
{
	struct fault told;
	pthread_mutex_lock(&s->back_lock);
	db_close(s->back);
	s->back = NULL;
	pthread_mutex_unlock(&s->back_lock);
	store_written_back(s, &told);
}
