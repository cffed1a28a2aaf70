/* A store in a directory of its own, and one reader of it. */
#ifndef ONE_STORE_H
#define ONE_STORE_H

#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/log/store_internal.h"
#include "store/read/history.h"
#include "store/sqlite/db_file.h"
#include "unit/temp_dir.h"

static const struct batch_limits limits = {1 << 20, 1 << 20};
static char dir[TEMP_DIR_LEN];
static struct store *store;
static struct reader *reader;
static struct fault fault;

static inline void fresh_dir(void)
{
	temp_dir_make(dir);
}

static inline void open_store_with(struct store_options options)
{
	enum err err = store_open(dir, options, &store, &fault);
	if (err)
		fprintf(stderr, "%s\n", fault.text);
	CHECK(!err);
	CHECK(reader_open(store, &reader, &fault) == ERR_NONE);
}

static inline void open_store(void)
{
	open_store_with((struct store_options){0});
}

static inline void close_store(void)
{
	reader_close(reader);
	store_close(store);
}

static inline void remove_dir(void)
{
	temp_dir_remove(dir);
}

static inline struct batch *batch_of(const char *lines)
{
	struct batch *b;
	CHECK(batch_parse_take(strdup(lines), strlen(lines), BATCH_LINES, limits, &b, &fault) == ERR_NONE);
	return b;
}

static inline enum err append(const char *lines, const struct append_options *options, struct receipt *r)
{
	struct batch *b = batch_of(lines);
	enum err err = store_append(store, b, options, r, &fault);
	batch_destroy(b);
	return err;
}

static inline void commit(uint64_t wanted)
{
	struct committed *c;
	CHECK(store_commit(store, &c, &fault) == ERR_NONE);
	CHECK((c == NULL ? 0 : committed_count(c)) == wanted);
	committed_destroy(c);
}

static inline void publish(const char *lines, uint64_t wanted)
{
	struct receipt r;
	CHECK(append(lines, NULL, &r) == ERR_NONE && r.count == wanted);
	receipt_finish(&r);
	commit(wanted);
}

static inline void verify(uint64_t wanted)
{
	struct history_verified checked;
	enum err err = history_verify(reader, NULL, NULL, &checked, &fault);
	if (err)
		fprintf(stderr, "verify: %s\n", fault.text);
	CHECK(!err && checked.events == wanted);
}

/* The directory is elsewhere for a moment, just when something has been committed: that fails, but the file has it. True
 * when there were events. */
static inline bool commit_in_doubt(void)
{
	char away[80];
	struct committed *c;
	snprintf(away, sizeof away, "%s.away", dir);
	CHECK(rename(dir, away) == 0);
	CHECK(store_commit(store, &c, &fault) == ERR_IO);
	CHECK(rename(away, dir) == 0);
	CHECK(store_recover(store, &c, &fault) == ERR_NONE);
	bool any = c != NULL;
	committed_destroy(c);
	reader_close(reader);
	CHECK(reader_open(store, &reader, &fault) == ERR_NONE);
	return any;
}

/* Takes all events up to `upto` out for good, in as many steps as it takes. */
static inline void leave_for_good(uint64_t upto)
{
	for (uint64_t left = 0; left < upto;) {
		CHECK(store_evict(store, upto, upto, NULL, &left, &fault) == ERR_NONE);
		commit(0);
	}
}

/* Pages that another program writes have no right sums any more: they get none, which is not looked at. */
static inline void drop_sums(const char *path)
{
	static const char none[DB_FILE_SUM_LEN];
	int fd = open(path, O_RDWR);
	off_t size = lseek(fd, 0, SEEK_END);
	CHECK(fd >= 0 && size > 0 && size % DB_FILE_PAGE == 0);
	for (off_t end = DB_FILE_PAGE; end <= size; end += DB_FILE_PAGE)
		CHECK(pwrite(fd, none, sizeof none, end - DB_FILE_SUM_LEN) == DB_FILE_SUM_LEN);
	close(fd);
}

static inline void damage(const char *sql)
{
	char path[128];
	sqlite3 *db;
	snprintf(path, sizeof path, "%s/tidemark.db", dir);
	CHECK(sqlite3_open(path, &db) == SQLITE_OK && sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
	CHECK(sqlite3_changes(db) > 0);
	sqlite3_close(db);
	drop_sums(path);
}

#endif
