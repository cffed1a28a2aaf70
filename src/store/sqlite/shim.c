#include "store/sqlite/shim.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "base/system/sys.h"

static _Thread_local struct shim_failure last;

int shim_fail(const char *name, const char *ending, const char *verb, int rc, int why)
{
	assert(rc != SQLITE_OK);
	last.rc = rc;
	last.why = why == 0 && rc == SQLITE_FULL ? ENOSPC : why; /* SQLite keeps no errno of a write to a full disk */
	last.verb = verb;
	snprintf(last.path, sizeof last.path, "%s%s", name != NULL ? name : "a temporary file", ending);
	return rc;
}

const struct shim_failure *shim_failure(int rc)
{
	return last.rc == rc ? &last : NULL;
}

static sqlite3_file *real_file(sqlite3_file *f)
{
	return ((struct shim *)(void *)f)->real;
}

int shim_open(struct shim *f, size_t size, const sqlite3_io_methods *methods, sqlite3_vfs *real, const char *name, int flags,
	      int *out_flags)
{
	f->real = (sqlite3_file *)(void *)((char *)f + size);
	f->name = name;
	int rc = real->xOpen(real, name, f->real, flags, out_flags);
	f->base.pMethods = rc == SQLITE_OK ? methods : NULL;
	return rc;
}

int shim_close(sqlite3_file *f)
{
	return real_file(f)->pMethods->xClose(real_file(f));
}

/* The result of a call: a failure is recorded, and is SQLITE_FULL if there was no space. */
static int ended(sqlite3_file *f, const char *verb, int rc)
{
	int why = 0;
	if ((rc & 0xff) != SQLITE_IOERR && rc != SQLITE_FULL)
		return rc;
	shim_control(f, SQLITE_FCNTL_LAST_ERRNO, &why);
	if (sys_err(why) == ERR_FULL)
		rc = SQLITE_FULL;
	return shim_fail(((struct shim *)(void *)f)->name, "", verb, rc, why);
}

int shim_read(sqlite3_file *f, void *bytes, int n, sqlite3_int64 at)
{
	int rc = real_file(f)->pMethods->xRead(real_file(f), bytes, n, at);
	if (rc == SQLITE_IOERR_SHORT_READ)
		return rc;
	return ended(f, "read", rc == SQLITE_IOERR_CORRUPTFS ? SQLITE_IOERR_READ : rc);
}

int shim_write(sqlite3_file *f, const void *bytes, int n, sqlite3_int64 at)
{
	return ended(f, "write", real_file(f)->pMethods->xWrite(real_file(f), bytes, n, at));
}

int shim_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	return ended(f, "truncate", real_file(f)->pMethods->xTruncate(real_file(f), size));
}

int shim_sync(sqlite3_file *f, int flags)
{
	return ended(f, "sync", real_file(f)->pMethods->xSync(real_file(f), flags));
}

int shim_size(sqlite3_file *f, sqlite3_int64 *size)
{
	return ended(f, "read", real_file(f)->pMethods->xFileSize(real_file(f), size));
}

int shim_lock(sqlite3_file *f, int lock)
{
	return ended(f, "lock", real_file(f)->pMethods->xLock(real_file(f), lock));
}

int shim_unlock(sqlite3_file *f, int lock)
{
	return ended(f, "unlock", real_file(f)->pMethods->xUnlock(real_file(f), lock));
}

int shim_check_lock(sqlite3_file *f, int *out)
{
	return ended(f, "lock", real_file(f)->pMethods->xCheckReservedLock(real_file(f), out));
}

int shim_control(sqlite3_file *f, int op, void *arg)
{
	return real_file(f)->pMethods->xFileControl(real_file(f), op, arg);
}

int shim_sector_size(sqlite3_file *f)
{
	return real_file(f)->pMethods->xSectorSize(real_file(f));
}

int shim_characteristics(sqlite3_file *f)
{
	return real_file(f)->pMethods->xDeviceCharacteristics(real_file(f));
}

int shim_shm_failed(sqlite3_file *f, const char *verb, int rc, int why)
{
	if (sys_err(why) == ERR_FULL)
		rc = SQLITE_FULL;
	return shim_fail(((struct shim *)(void *)f)->name, "-shm", verb, rc, why);
}

/* SQLite keeps no errno of these. */
static int shm_ended(sqlite3_file *f, const char *verb, int rc)
{
	return (rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN ? shim_shm_failed(f, verb, rc, errno) : rc;
}

int shim_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
	errno = 0;
	int rc = real_file(f)->pMethods->xShmMap(real_file(f), page, size, extend, out);
	return shm_ended(f, rc == SQLITE_IOERR_SHMSIZE ? "extend" : "open", rc);
}

int shim_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
	errno = 0;
	return shm_ended(f, "lock", real_file(f)->pMethods->xShmLock(real_file(f), offset, n, flags));
}

void shim_shm_barrier(sqlite3_file *f)
{
	real_file(f)->pMethods->xShmBarrier(real_file(f));
}

int shim_shm_unmap(sqlite3_file *f, int remove)
{
	return real_file(f)->pMethods->xShmUnmap(real_file(f), remove);
}
