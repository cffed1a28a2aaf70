/* Copying the write-ahead log into the database beside the writing thread. */
#include <assert.h>

#include "store/log/store_internal.h"
#include "store/sqlite/db.h"

enum {
	/* The disk is waited for so often during one write-back: a commit that needs it meanwhile waits for a piece. */
	PIECES = 4,
	PIECE_MIN_PAGES = 32,  /* 128 KiB */
	PIECE_MAX_PAGES = 128, /* 512 KiB */
	/* And not begun while a commit waits, for so long at most. */
	GIVE_WAY_MS = 3,
};

static int piece_of(int pages)
{
	int piece = pages / PIECES;
	return piece < PIECE_MIN_PAGES ? PIECE_MIN_PAGES : piece > PIECE_MAX_PAGES ? PIECE_MAX_PAGES : piece;
}

/* Readers in the way, or the writing thread that copies the rest itself, are no error. */
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
	/* SQLite waits for the disk only once it has copied all there is, which then takes as long as all of it. */
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
		s->back_ails = *fault;
	else
		s->back_ails.code = ERR_NONE;
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
