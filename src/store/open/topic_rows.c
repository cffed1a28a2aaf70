#include "store/open/topic_rows.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/system/thread.h"
#include "store/index/index_tail.h"
#include "store/sqlite/db.h"

enum {
	AHEAD = 32,          /* pieces that may be read ahead of the caller */
	WAKE_AT = AHEAD / 2, /* a waiting thread is woken when this many pieces are ready, or free: a wake-up costs as much
				as a piece */
	THREAD_FROM = 65536, /* topics, below which a thread is not worth it */
};

struct topic_reader {
	sqlite3 *db;
	sqlite3_stmt *st;
	uint32_t next; /* no row has a lower number */
	uint64_t indexed_upto;

	/* Without a thread the caller reads into the first piece, and nothing is locked. */
	struct thread thread;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t changed;
	uint64_t filled; /* pieces that were read so far */
	uint64_t taken;  /* pieces that the caller has finished */
	bool lent;       /* the caller is using the piece `taken` */
	bool over;       /* there are no more pieces, or reading failed with `fault` */
	bool stop;
	struct fault fault;
	struct topic_rows pieces[];
};

static enum err read_row(struct topic_reader *r, struct topic_rows *rows, struct fault *fault)
{
	sqlite3_stmt *st = r->st;
	const char *stream = (const char *)sqlite3_column_text(st, 1);
	const char *type = (const char *)sqlite3_column_text(st, 2);
	size_t stream_len = (size_t)sqlite3_column_bytes(st, 1);
	size_t type_len = (size_t)sqlite3_column_bytes(st, 2);
	bool sound = stream != NULL && type != NULL && stream_len <= EVENT_NAME_MAX && type_len <= EVENT_NAME_MAX;
	sqlite3_int64 number = sqlite3_column_int64(st, 0);
	struct figures f = index_tail_figures(st, 3, r->indexed_upto);
	sound = sound && (f.count == 0 || f.first > 0);
	if (!sound || number < r->next || number >= UINT32_MAX)
		return fault_set(fault, ERR_CORRUPT, "topic %" PRId64 " is damaged", (int64_t)number);
	assert(rows->count < CATALOG_LOAD_MAX);
	char *names = rows->names[rows->count];
	memcpy(names, stream, stream_len);
	memcpy(names + stream_len, type, type_len);
	f.lost = (uint64_t)sqlite3_column_int64(st, 7);
	rows->rows[rows->count++] =
		(struct topic_row){(uint32_t)number, {names, stream_len}, {names + stream_len, type_len}, f};
	r->next = (uint32_t)number + 1;
	return ERR_NONE;
}

/* Fills a piece. A piece that is not full is the last. */
static enum err fill(struct topic_reader *r, struct topic_rows *rows, struct fault *fault)
{
	enum err err = ERR_NONE;
	int rc = SQLITE_ROW;
	rows->count = 0;
	while (!err && rows->count < CATALOG_LOAD_MAX && (rc = sqlite3_step(r->st)) == SQLITE_ROW)
		err = read_row(r, rows, fault);
	if (!err && rc != SQLITE_ROW && rc != SQLITE_DONE)
		err = db_fault(r->db, rc, "loading the topics", fault);
	return err;
}

static void *work(void *arg)
{
	struct topic_reader *r = arg;
	pthread_mutex_lock(&r->lock);
	while (!r->over && !r->stop) {
		struct topic_rows *rows = &r->pieces[r->filled % AHEAD];
		assert(r->filled - r->taken <= AHEAD);
		if (r->filled - r->taken == AHEAD) {
			pthread_cond_wait(&r->changed, &r->lock);
			continue;
		}
		pthread_mutex_unlock(&r->lock);
		struct fault fault = {0};
		enum err err = fill(r, rows, &fault);
		pthread_mutex_lock(&r->lock);
		r->fault = fault;
		r->over = err || rows->count < CATALOG_LOAD_MAX;
		r->filled += !err;
		if (r->over || r->filled - r->taken == WAKE_AT)
			pthread_cond_signal(&r->changed);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

/* The highest number there is; 0 also where there is none. */
static enum err last_number(sqlite3 *db, uint32_t *last, struct fault *fault)
{
	sqlite3_int64 n = 0;
	enum err err = db_integer(db, "SELECT max(id) FROM topic", 0, &n, fault);
	*last = n > 0 && n < CATALOG_TOPICS_MAX ? (uint32_t)n : 0;
	return err;
}

enum err topic_reader_create(sqlite3 *db, uint32_t first, uint64_t indexed_upto, struct topic_reader **out, uint32_t *last,
			     struct fault *fault)
{
	static const char sql[] =
		"SELECT id, stream, type, first, last, count, bytes, gone FROM topic WHERE id >= ? ORDER BY id";
	*out = NULL;
	enum err err = last_number(db, last, fault);
	if (err)
		return err;
	bool threaded = *last >= first && *last - first >= THREAD_FROM;
	struct topic_reader *r = calloc(1, sizeof *r + (threaded ? AHEAD : 1) * sizeof *r->pieces);
	if (r == NULL)
		return fault_nomem(fault);
	r->db = db;
	r->next = first;
	r->indexed_upto = indexed_upto;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->changed, NULL);
	err = db_prepare(db, sql, &r->st, fault);
	if (err) {
		topic_reader_destroy(r);
		return err;
	}
	sqlite3_bind_int64(r->st, 1, first);
	/* If this fails, the caller reads the rows itself. */
	if (threaded)
		(void)thread_start(&r->thread, "topics", work, r, NULL);
	*out = r;
	return ERR_NONE;
}

static enum err read_here(struct topic_reader *r, const struct topic_rows **out, struct fault *fault)
{
	enum err err = r->over ? ERR_NONE : fill(r, r->pieces, fault);
	bool any = !err && !r->over && r->pieces->count > 0;
	r->over = err || r->pieces->count < CATALOG_LOAD_MAX;
	*out = any ? r->pieces : NULL;
	return err;
}

enum err topic_reader_next(struct topic_reader *r, const struct topic_rows **out, struct fault *fault)
{
	if (!r->thread.runs)
		return read_here(r, out, fault);
	pthread_mutex_lock(&r->lock);
	assert(r->taken + r->lent <= r->filled);
	r->taken += r->lent;
	if (r->lent && r->filled - r->taken == WAKE_AT)
		pthread_cond_signal(&r->changed);
	while (r->filled == r->taken && !r->over)
		pthread_cond_wait(&r->changed, &r->lock);
	r->lent = r->filled > r->taken;
	const struct topic_rows *rows = r->lent ? &r->pieces[r->taken % AHEAD] : NULL;
	enum err err = r->lent ? ERR_NONE : r->fault.code;
	if (err && fault != NULL)
		*fault = r->fault;
	pthread_mutex_unlock(&r->lock);
	*out = rows != NULL && rows->count > 0 ? rows : NULL;
	return err;
}

void topic_reader_destroy(struct topic_reader *r)
{
	if (r == NULL)
		return;
	if (r->thread.runs) {
		pthread_mutex_lock(&r->lock);
		r->stop = true;
		pthread_cond_signal(&r->changed);
		pthread_mutex_unlock(&r->lock);
		thread_join(&r->thread);
	}
	sqlite3_finalize(r->st);
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
	free(r);
}
