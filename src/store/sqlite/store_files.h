/* Where a store lies: that its files are still the ones with these names, and a note beside them of what was acknowledged. A
 * file that somebody moves or removes can be written all the same, and what is written is lost; a write-ahead log of which
 * somebody takes or damages the end is, to SQLite, one that ends earlier. Owned by the store; the writing thread.
 *
 * The note is the file `head`: what was acknowledged, and from byte 4096 on a copy of the database's first page, without
 * which nothing in the database can be found. */
#ifndef STORE_SQLITE_STORE_FILES_H
#define STORE_SQLITE_STORE_FILES_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/system/path.h"

/* A file as it was when it was looked at. */
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

/* `path` is the database's; nothing is opened yet. */
void store_files_init(struct store_files *p, const char *path);
void store_files_finish(struct store_files *p);
/* The names in a directory are on stable storage when this returns. */
enum err store_files_sync_names(const char *dir, struct fault *fault);
/* Makes a store's directory, and those above it, where there is none. */
enum err store_files_make_dir(const char *dir, struct fault *fault);
/* The path of the database in a store's directory. */
#define STORE_FILES_DB "tidemark.db"
void store_files_db(const char *dir, char out[PATH_MAX]);
/* True when it is there. */
bool store_files_has_store(const char *dir);
/* The lock of whoever writes to a store, which goes when *fd is closed, or the process ends (sys_lock_dir); the file `lock`
 * says who it is. ERR_LOCKED. */
enum err store_files_lock(const char *dir, int *fd, struct fault *fault);
/* A copy that is being made is marked until all of it is on the disk: with the file `backup.part`. */
enum store_files_mark {
	STORE_FILES_NO_MARK,
	STORE_FILES_NEW_COPY, /* it was never finished */
	STORE_FILES_OLD_COPY, /* it was, and is being brought up to date */
};
enum err store_files_mark(const char *dir, enum store_files_mark mark, struct fault *fault);
enum store_files_mark store_files_marked(const char *dir);
enum err store_files_unmark(const char *dir, struct fault *fault);
/* Takes away a store that was made beside its place, and its directory where nothing else is in it. */
void store_files_remove(const char *dir);

/* Opens the note, making it where there is none: the highest seq that was acknowledged, as far as it was noted; 0 where it
 * was not. Nothing in it is waited for: a machine that loses power may keep an older one, never a later one. */
enum err store_files_open_head(struct store_files *p, const char *dir, uint64_t *head, struct fault *fault);
void store_files_save_head(struct store_files *p, uint64_t head);
/* What the note of a directory says, which is not changed; 0 where there is none. */
uint64_t store_files_saved_head(const char *dir);
/* Once all of the log is in the database: the first page goes into the note. */
void store_files_keep_first(struct store_files *p, sqlite3 *db);
/* The copy of the first page, DB_FILE_PAGE bytes, as of a file of `bytes` bytes. False where there is none. */
bool store_files_read_first(const struct store_files *p, uint64_t bytes, void *page);

/* Remembers which files these are. */
void store_files_remember(struct store_files *p);
/* ERR_IO when one of the names stands for another file, or for none. */
enum err store_files_check(const struct store_files *p, struct fault *fault);
/* The same for the database alone, while it is closed. */
enum err store_files_check_db(const struct store_files *p, struct fault *fault);

#endif
