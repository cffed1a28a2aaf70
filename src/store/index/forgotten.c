#include "store/index/forgotten.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "event/event.h"
#include "store/sqlite/db.h"

void forgotten_init(struct forgotten *f)
{
	pthread_mutex_init(&f->lock, NULL);
}

static void clear(struct forgotten *f)
{
	for (uint32_t i = 0; i < f->count; i++)
		free(f->topics[i].names);
	f->count = 0;
}

void forgotten_finish(struct forgotten *f)
{
	clear(f);
	free(f->topics);
	pthread_mutex_destroy(&f->lock);
}

/* The index of the first topic whose last event is `seq` or later. */
static uint32_t find(const struct forgotten *f, uint64_t seq)
{
	uint32_t low = 0;
	uint32_t high = f->count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (f->topics[middle].last < seq)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool grow(struct forgotten *f)
{
	if (f->count < f->cap)
		return true;
	uint32_t cap = f->cap ? 2 * f->cap : 64;
	struct forgotten_topic *topics = realloc(f->topics, cap * sizeof *topics);
	if (topics == NULL)
		return false;
	f->topics = topics;
	f->cap = cap;
	return true;
}

static enum err insert(struct forgotten *f, struct slice stream, struct slice type, uint64_t last)
{
	uint32_t at = find(f, last);
	if (at < f->count && f->topics[at].last == last)
		return ERR_NONE;
	assert(at == 0 || f->topics[at - 1].last < last);
	assert(stream.len <= EVENT_NAME_MAX && type.len <= EVENT_NAME_MAX);
	char *names = grow(f) ? malloc(stream.len + type.len + 1) : NULL;
	if (names == NULL)
		return ERR_NOMEM;
	slice_copy(slice_copy(names, stream), type);
	memmove(&f->topics[at + 1], &f->topics[at], (f->count - at) * sizeof *f->topics);
	f->topics[at] = (struct forgotten_topic){last, names, (uint8_t)stream.len, (uint8_t)type.len};
	f->count++;
	return ERR_NONE;
}

enum err forgotten_add(struct forgotten *f, struct slice stream, struct slice type, uint64_t last)
{
	pthread_mutex_lock(&f->lock);
	enum err err = insert(f, stream, type, last);
	pthread_mutex_unlock(&f->lock);
	return err;
}

static enum err load_row(struct forgotten *f, sqlite3_stmt *st, struct fault *fault)
{
	struct slice stream = {(const char *)sqlite3_column_text(st, 1), (size_t)sqlite3_column_bytes(st, 1)};
	struct slice type = {(const char *)sqlite3_column_text(st, 2), (size_t)sqlite3_column_bytes(st, 2)};
	if (stream.len > EVENT_NAME_MAX || type.len > EVENT_NAME_MAX)
		return fault_set(fault, ERR_CORRUPT, "forgotten topic %" PRId64 " is damaged",
				 (int64_t)sqlite3_column_int64(st, 0));
	enum err err = insert(f, stream, type, (uint64_t)sqlite3_column_int64(st, 0));
	return err ? fault_set(fault, err, "out of memory") : err;
}

enum err forgotten_load(struct forgotten *f, sqlite3 *db, struct fault *fault)
{
	sqlite3_stmt *st;
	enum err err = db_prepare(db, "SELECT last, stream, type FROM forgotten ORDER BY last", &st, fault);
	int rc = SQLITE_DONE;
	if (err)
		return err;
	pthread_mutex_lock(&f->lock);
	clear(f);
	while (!err && (rc = sqlite3_step(st)) != SQLITE_DONE)
		err = rc == SQLITE_ROW ? load_row(f, st, fault) : db_fault(db, rc, "loading forgotten topics", fault);
	pthread_mutex_unlock(&f->lock);
	sqlite3_finalize(st);
	return err;
}

uint64_t forgotten_excess(const struct forgotten *f)
{
	return f->count > FORGOTTEN_MAX ? f->topics[f->count - FORGOTTEN_MAX - 1].last : 0;
}

void forgotten_drop(struct forgotten *f, uint64_t upto)
{
	pthread_mutex_lock(&f->lock);
	uint32_t count = find(f, upto + 1);
	for (uint32_t i = 0; i < count; i++)
		free(f->topics[i].names);
	f->count -= count;
	memmove(f->topics, f->topics + count, f->count * sizeof *f->topics);
	pthread_mutex_unlock(&f->lock);
}

bool forgotten_has(struct forgotten *f, const struct selection *select, uint64_t after)
{
	bool has = false;
	pthread_mutex_lock(&f->lock);
	for (uint32_t i = find(f, after + 1); !has && i < f->count; i++) {
		const struct forgotten_topic *t = &f->topics[i];
		has = selection_fits(select, (struct slice){t->names, t->stream_len},
				     (struct slice){t->names + t->stream_len, t->type_len});
	}
	pthread_mutex_unlock(&f->lock);
	return has;
}
