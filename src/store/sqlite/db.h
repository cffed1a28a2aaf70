/* SQLite connections, all opened and set up alike, and the schema. */
#ifndef STORE_SQLITE_DB_H
#define STORE_SQLITE_DB_H

#include <sqlite3.h>
#include <stdbool.h>

#include "base/err.h"
#include "store/sqlite/db_file.h"

enum { DB_BUSY_MS = 5000 }; /* how long a statement waits for another connection */

enum db_mode {
	DB_WRITE,         /* the one connection that writes and checkpoints; makes the file */
	DB_WRITE_RELAXED, /* the same without fsync at each commit (synchronous=NORMAL) */
	DB_WRITE_BACK,    /* copies what that one has written into the database, which is there */
	DB_READ,          /* query only */
};

/* Opens `path` with every pragma set explicitly. A store made by a newer version is ERR_NEWER, a file that is no store
 * ERR_CORRUPT. */
enum err db_open(const char *path, enum db_mode mode, sqlite3 **out, struct fault *fault);
/* One that is damaged, to read what can be read; it stays as it is. `first`: what is read instead of its first page, for as
 * long as it is open; NULL: that. `checked`: pages whose sum is wrong are not read. */
enum err db_open_damaged(const char *path, const void *first, bool checked, sqlite3 **out, struct fault *fault);
/* To look into it; nothing is changed, whatever its schema. ERR_CORRUPT: it is no store. */
enum err db_open_inspect(const char *path, sqlite3 **out, struct fault *fault);
void db_close(sqlite3 *db);

/* From now on pages of the database are read whose sum is wrong. */
void db_trust_pages(sqlite3 *db);

/* From now on this is called now and then while pages are read from the file; a member that is NULL: nothing is. */
void db_watch_reads(sqlite3 *db, struct db_file_watch watch);
/* From now on pages of the database are put on the disk at this pace. */
void db_set_pace(sqlite3 *db, struct db_file_pace pace);
/* Waits until what was written into the database is on the disk. */
enum err db_sync(sqlite3 *db, struct fault *fault);
/* The first page as the file has it, DB_FILE_PAGE bytes. Through SQLite's own descriptor: whoever else opens the file and
 * closes it gives up all locks that the process has on it (fcntl(2)), and the next program that closes the database takes
 * the write-ahead log away. */
bool db_read_first(sqlite3 *db, void *page);
/* After a failure of the disk: the next checkpoint copies all of the write-ahead log (db_file.h). */
enum err db_copy_anew(sqlite3 *db, struct fault *fault);

/* SQLite's result as one of ours: which file of the store it was and what is wrong with it, after `what` was being done
 * (NULL: the caller says). */
enum err db_fault(sqlite3 *db, int rc, const char *what, struct fault *fault);

enum err db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **out, struct fault *fault);
/* Ends the open transaction, if there is one, and gives up what it wrote. False when it is still open, for want of memory:
 * who goes on would read what was there when it began. */
bool db_rollback(sqlite3 *db);
/* One statement without a result. */
enum err db_exec(sqlite3 *db, const char *sql, struct fault *fault);
/* The first column of the first row, or `absent` where there is none (or it is NULL). */
enum err db_integer(sqlite3 *db, const char *sql, sqlite3_int64 missing, sqlite3_int64 *out, struct fault *fault);

/* What is not known when this is compiled never becomes part of SQL (scripts/lint): it is bound, in the order of its ?. */
struct db_value {
	const char *text; /* NULL: the number */
	sqlite3_int64 number;
};
#define DB_TEXT(t) ((struct db_value){.text = (t)})
#define DB_NUMBER(n) ((struct db_value){.number = (sqlite3_int64)(n)})
/* db_exec with `count` values, db_integer with one value. */
enum err db_exec_with(sqlite3 *db, const char *sql, int count, const struct db_value *values, struct fault *fault);
enum err db_integer_with(sqlite3 *db, const char *sql, const struct db_value *value, sqlite3_int64 missing,
			 sqlite3_int64 *out, struct fault *fault);

#endif
