/* The files of a store. A file that was moved or removed can still be written, and what is written is lost: so it is checked
 * that the names still refer to the open files. And SQLite takes a write-ahead log with a damaged end for one that ends
 * earlier: so the last acknowledged seq is kept in the file `head`. From byte 4096 on that file has a copy of the database's
 * first page, without which nothing in the database can be found. Owned by the store; the writing thread. */
#ifndef STORE_SQLITE_STORE_FILES_H
#define STORE_SQLITE_STORE_FILES_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/system/path.h"

/* A file, as it was at store_files_remember. */
struct store_files_file {
	char path[PATH_MAX];
	dev_t device;
	ino_t inode;
	bool known;
};

struct store_files {
	struct store_files_file db;
	struct store_files_file wal;
	int head_fd; /* descriptor of the file `head`; -1: none is kept */
	bool kept;   /* it has the first page, as it has been since the store was opened */
};

/* `path`: of the database. Opens nothing. */
void store_files_init(struct store_files *p, const char *path);
void store_files_finish(struct store_files *p);
/* Syncs a directory: its names are on stable storage. */
enum err store_files_sync_names(const char *dir, struct fault *fault);
/* Makes a store's directory and its parents, as far as they are missing. */
enum err store_files_make_dir(const char *dir, struct fault *fault);
/* The path of the database in a store's directory. */
#define STORE_FILES_DB "tidemark.db"
void store_files_db(const char *dir, char out[PATH_MAX]);
/* Does a directory have a database? */
bool store_files_has_store(const char *dir);
/* Takes the lock for writing to a store, which is released when *fd is closed or the process ends (sys_lock_dir); the file
 * `lock` has the process id. ERR_LOCKED. */
enum err store_files_lock(const char *dir, int *fd, struct fault *fault);
/* The file `backup.part` marks a copy until all of it is on stable storage. */
enum store_files_mark {
	STORE_FILES_NO_MARK,
	STORE_FILES_NEW_COPY, /* the copy was never finished */
	STORE_FILES_OLD_COPY, /* it was finished, and is being updated */
};
enum err store_files_mark(const char *dir, enum store_files_mark mark, struct fault *fault);
enum store_files_mark store_files_marked(const char *dir);
enum err store_files_unmark(const char *dir, struct fault *fault);
/* Removes the files of a store, and its directory if that is empty then. */
void store_files_remove(const char *dir);

/* Opens the file `head`, creating it if there is none. *head: the last acknowledged seq in it; 0: none. The file is not
 * synced: after a power loss it may be older, never newer than what was acknowledged. */
enum err store_files_open_head(struct store_files *p, const char *dir, uint64_t *head, struct fault *fault);
void store_files_save_head(struct store_files *p, uint64_t head);
/* The seq in the file `head` of a directory; 0: none. Changes nothing. */
uint64_t store_files_saved_head(const char *dir);
/* When all of the log is in the database: copies its first page to the file `head`. */
void store_files_keep_first(struct store_files *p, sqlite3 *db);
/* The copy of the first page, DB_FILE_PAGE bytes, adjusted to a file of `bytes` bytes. False: there is none. */
bool store_files_read_first(const struct store_files *p, uint64_t bytes, void *page);

/* Remembers which files the names refer to. */
void store_files_remember(struct store_files *p);
/* ERR_IO: a name refers to another file than remembered, or to none. */
enum err store_files_check(const struct store_files *p, struct fault *fault);
/* The same for the database alone, while it is closed. */
enum err store_files_check_db(const struct store_files *p, struct fault *fault);

#endif
