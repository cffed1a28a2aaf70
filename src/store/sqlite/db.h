/* SQLite connections, all opened and set up alike, and the schema. */
#ifndef STORE_SQLITE_DB_H
#define STORE_SQLITE_DB_H

#include <sqlite3.h>
#include <stdbool.h>

#include "base/err.h"
#include "store/sqlite/db_file.h"

enum { DB_BUSY_MS = 5000 }; /* how long a statement waits for another connection */

enum db_mode {
	DB_WRITE,         /* the only connection that writes and checkpoints; creates the file */
	DB_WRITE_RELAXED, /* the same without fsync at each commit (synchronous=NORMAL) */
	DB_WRITE_BACK,    /* copies the write-ahead log into an existing database */
	DB_READ,          /* query only */
};

/* Opens `path` with every pragma set explicitly. ERR_NEWER: the store was made by a newer version; ERR_CORRUPT:
 * the file is not a store. */
enum err db_open(const char *path, enum db_mode mode, sqlite3 **out, struct fault *fault);
/* Opens a damaged database, to read what can be read; it is not changed. `first`: a page that is read instead of its first
 * one, borrowed while the connection is open; NULL: none. `checked`: pages with a wrong sum cannot be read. */
enum err db_open_damaged(const char *path, const void *first, bool checked, sqlite3 **out, struct fault *fault);
/* Opens a database of any schema version for reading; nothing is changed. ERR_CORRUPT: it is not a store. */
enum err db_open_inspect(const char *path, sqlite3 **out, struct fault *fault);
void db_close(sqlite3 *db);

/* From now on pages with a wrong sum can be read. */
void db_trust_pages(sqlite3 *db);

/* Sets a function that is called every 256 reads of the file; a NULL function: none. */
void db_watch_reads(sqlite3 *db, struct db_file_watch watch);
/* Sets how many pages are written between syncs. */
void db_set_pace(sqlite3 *db, struct db_file_pace pace);
/* Syncs what was written into the database. */
enum err db_sync(sqlite3 *db, struct fault *fault);
/* The first page as the file has it, DB_FILE_PAGE bytes. Read through SQLite's own descriptor: closing another
 * one would release all locks that the process has on the file (fcntl(2)), and the next program that closes the database
 * would remove the write-ahead log. */
bool db_read_first(sqlite3 *db, void *page);
/* After a failure of the disk: the next checkpoint copies all of the write-ahead log (db_file.h). */
enum err db_copy_anew(sqlite3 *db, struct fault *fault);

/* Translates SQLite's result, and says which file of the store is concerned and what is wrong. `what`: what was being done,
 * put before the text; NULL: the caller adds it. */
enum err db_fault(sqlite3 *db, int rc, const char *what, struct fault *fault);

enum err db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **out, struct fault *fault);
/* Rolls back the open transaction, if there is one. False: it is still open, because memory is short; reads would see the
 * state from its beginning. */
bool db_rollback(sqlite3 *db);
/* One statement without a result. */
enum err db_exec(sqlite3 *db, const char *sql, struct fault *fault);
/* *out: the first column of the first row, or `missing` if there is no row or it is NULL. */
enum err db_integer(sqlite3 *db, const char *sql, sqlite3_int64 missing, sqlite3_int64 *out, struct fault *fault);

/* A value that is bound to a ? of a statement. Values never become part of the SQL text (scripts/lint checks that). */
struct db_value {
	const char *text; /* NULL: the number */
	sqlite3_int64 number;
};
#define DB_TEXT(t) ((struct db_value){.text = (t)})
#define DB_NUMBER(n) ((struct db_value){.number = (sqlite3_int64)(n)})
/* db_exec with `count` values, in the order of the ?; db_integer with one value. */
enum err db_exec_with(sqlite3 *db, const char *sql, int count, const struct db_value *values, struct fault *fault);
enum err db_integer_with(sqlite3 *db, const char *sql, const struct db_value *value, sqlite3_int64 missing,
			 sqlite3_int64 *out, struct fault *fault);

#endif
