/* A file of SQLite's in front of the real one: the functions of those methods that only pass on. Whoever makes a shim puts
 * `struct shim` first, and has its own functions for the others (SQLite's "OS Interface or VFS"). */
#ifndef STORE_SQLITE_SHIM_H
#define STORE_SQLITE_SHIM_H

#include <sqlite3.h>
#include <stddef.h>

#include "base/system/path.h"

struct shim {
	sqlite3_file base;  /* first: SQLite's */
	sqlite3_file *real; /* behind the shim in the same memory */
	const char *name;   /* SQLite's, as long as the file is open */
};

/* The last call on a file that failed on this thread, which SQLite's result does not name. */
struct shim_failure {
	int rc;           /* SQLite's result */
	int why;          /* errno; 0: not known */
	const char *verb; /* "read", "write", … */
	char path[PATH_MAX];
};

/* Remembers it, and returns `rc`. The file is `name` with `ending`. */
int shim_fail(const char *name, const char *ending, const char *verb, int rc, int why);
/* NULL when the last failure on this thread was not this one. */
const struct shim_failure *shim_failure(int rc);

/* Opens the real file behind a shim of `size` bytes. */
int shim_open(struct shim *f, size_t size, const sqlite3_io_methods *methods, sqlite3_vfs *real, const char *name, int flags,
	      int *out_flags);

int shim_close(sqlite3_file *f);
/* What cannot be read is not damaged for that, as SQLite has it where a disk says EIO: it may be read another time. */
int shim_read(sqlite3_file *f, void *bytes, int n, sqlite3_int64 at);
/* SQLITE_FULL where there is no room, whatever the system calls it (sys_err): SQLite knows a write's ENOSPC alone. */
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
/* SQLITE_FULL where there is no room for more of the index. */
int shim_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out);
int shim_shm_lock(sqlite3_file *f, int offset, int n, int flags);
void shim_shm_barrier(sqlite3_file *f);
int shim_shm_unmap(sqlite3_file *f, int remove);
/* shim_fail, for the index of the write-ahead log. */
int shim_shm_failed(sqlite3_file *f, const char *verb, int rc, int why);

#endif
