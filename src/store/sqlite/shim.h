/* A SQLite file in front of the real one: methods that pass calls on and translate errors. A file that uses them has `struct
 * shim` as its first member, and its own functions for the other methods (SQLite's "OS Interface or VFS"). */
#ifndef STORE_SQLITE_SHIM_H
#define STORE_SQLITE_SHIM_H

#include <sqlite3.h>
#include <stddef.h>

#include "base/system/path.h"

struct shim {
	sqlite3_file base;  /* first: SQLite's */
	sqlite3_file *real; /* follows the shim in the same allocation */
	const char *name;   /* SQLite's, valid while the file is open */
};

/* The last failed call on a file on this thread, which SQLite's result does not name. */
struct shim_failure {
	int rc;           /* SQLite's result */
	int why;          /* errno; 0: not known */
	const char *verb; /* "read", "write", … */
	char path[PATH_MAX];
};

/* Records a failure, and returns `rc`, which is not SQLITE_OK. The file is `name` with `ending`. */
int shim_fail(const char *name, const char *ending, const char *verb, int rc, int why);
/* The last failure on this thread, if its result is `rc`; else NULL. */
const struct shim_failure *shim_failure(int rc);

/* Opens the real file, after a shim of `size` bytes. */
int shim_open(struct shim *f, size_t size, const sqlite3_io_methods *methods, sqlite3_vfs *real, const char *name, int flags,
	      int *out_flags);

int shim_close(sqlite3_file *f);
/* A read error (EIO) is not reported as damage, as SQLite does: a later read may succeed. */
int shim_read(sqlite3_file *f, void *bytes, int n, sqlite3_int64 at);
/* SQLITE_FULL for every errno that means no space (sys_err): SQLite knows only ENOSPC of a write. */
int shim_write(sqlite3_file *f, const void *bytes, int n, sqlite3_int64 at);
int shim_truncate(sqlite3_file *f, sqlite3_int64 size);
int shim_sync(sqlite3_file *f, int flags);
int shim_size(sqlite3_file *f, sqlite3_int64 *size);
int shim_lock(sqlite3_file *f, int lock);
int shim_unlock(sqlite3_file *f, int lock);
int shim_check_lock(sqlite3_file *f, int *out);
int shim_control(sqlite3_file *f, int op, void *arg);
int shim_sector_size(sqlite3_file *f);
int shim_characteristics(sqlite3_file *f);
/* SQLITE_FULL: no space to extend the index. */
int shim_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out);
int shim_shm_lock(sqlite3_file *f, int offset, int n, int flags);
void shim_shm_barrier(sqlite3_file *f);
int shim_shm_unmap(sqlite3_file *f, int remove);
/* shim_fail, for the index of the write-ahead log. */
int shim_shm_failed(sqlite3_file *f, const char *verb, int rc, int why);

#endif
