#include "store/shim.h"

#include "base/sys.h"

sqlite3_file *shim_real(sqlite3_file *f)
{
	return ((struct shim *)(void *)f)->real;
}

int shim_open(struct shim *f, size_t size, const sqlite3_io_methods *methods, sqlite3_vfs *real, const char *name, int flags,
	      int *out_flags)
{
	f->real = (sqlite3_file *)(void *)((char *)f + size);
	int rc = real->xOpen(real, name, f->real, flags, out_flags);
	f->base.pMethods = rc == SQLITE_OK ? methods : NULL;
	return rc;
}

int shim_close(sqlite3_file *f)
{
	return shim_real(f)->pMethods->xClose(shim_real(f));
}

static int no_room(sqlite3_file *f, int rc)
{
	int why = 0;
	if ((rc & 0xff) == SQLITE_IOERR)
		shim_control(f, SQLITE_FCNTL_LAST_ERRNO, &why);
	return sys_err(why) == ERR_FULL ? SQLITE_FULL : rc;
}

int shim_read(sqlite3_file *f, void *bytes, int n, sqlite3_int64 at)
{
	int rc = shim_real(f)->pMethods->xRead(shim_real(f), bytes, n, at);
	return rc == SQLITE_IOERR_CORRUPTFS ? SQLITE_IOERR_READ : rc;
}

int shim_write(sqlite3_file *f, const void *bytes, int n, sqlite3_int64 at)
{
	return no_room(f, shim_real(f)->pMethods->xWrite(shim_real(f), bytes, n, at));
}

int shim_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	return no_room(f, shim_real(f)->pMethods->xTruncate(shim_real(f), size));
}

int shim_sync(sqlite3_file *f, int flags)
{
	return no_room(f, shim_real(f)->pMethods->xSync(shim_real(f), flags));
}

int shim_size(sqlite3_file *f, sqlite3_int64 *size)
{
	return shim_real(f)->pMethods->xFileSize(shim_real(f), size);
}

int shim_lock(sqlite3_file *f, int lock)
{
	return shim_real(f)->pMethods->xLock(shim_real(f), lock);
}

int shim_unlock(sqlite3_file *f, int lock)
{
	return shim_real(f)->pMethods->xUnlock(shim_real(f), lock);
}

int shim_check_lock(sqlite3_file *f, int *out)
{
	return shim_real(f)->pMethods->xCheckReservedLock(shim_real(f), out);
}

int shim_control(sqlite3_file *f, int op, void *arg)
{
	return shim_real(f)->pMethods->xFileControl(shim_real(f), op, arg);
}

int shim_sector_size(sqlite3_file *f)
{
	return shim_real(f)->pMethods->xSectorSize(shim_real(f));
}

int shim_characteristics(sqlite3_file *f)
{
	return shim_real(f)->pMethods->xDeviceCharacteristics(shim_real(f));
}

int shim_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
	return shim_real(f)->pMethods->xShmMap(shim_real(f), page, size, extend, out);
}

int shim_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
	return shim_real(f)->pMethods->xShmLock(shim_real(f), offset, n, flags);
}

void shim_shm_barrier(sqlite3_file *f)
{
	shim_real(f)->pMethods->xShmBarrier(shim_real(f));
}

int shim_shm_unmap(sqlite3_file *f, int remove)
{
	return shim_real(f)->pMethods->xShmUnmap(shim_real(f), remove);
}
