#include "store/page_sum.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <string.h>

#include "store/sum.h"

/* Of the header of a database (its file format, 1.3): a byte that says how much of each page is reserved. */
enum { HEADER_PAGE_SIZE = 16, HEADER_RESERVED = 20, HEADER_SEEN = 21 };

/* The ordinary file is behind it. */
struct file {
	sqlite3_file base;
	bool summed;  /* there is room for sums */
	bool checked; /* and they must be right */
};

static sqlite3_vfs vfs;
static _Thread_local uint32_t damaged;

static sqlite3_vfs *real_vfs(void)
{
	return vfs.pAppData;
}

static sqlite3_file *real_of(sqlite3_file *f)
{
	return (sqlite3_file *)((struct file *)(void *)f + 1);
}

/* A header that passes by says whether there are sums. */
static void see_header(struct file *f, const unsigned char *bytes, int n, sqlite3_int64 at)
{
	if (at != 0 || n < HEADER_SEEN)
		return;
	int size = bytes[HEADER_PAGE_SIZE] << 8 | bytes[HEADER_PAGE_SIZE + 1];
	f->summed = size == PAGE_SUM_PAGE && bytes[HEADER_RESERVED] == PAGE_SUM_LEN;
}

static bool is_page(int n, sqlite3_int64 at)
{
	return n == PAGE_SUM_PAGE && at % PAGE_SUM_PAGE == 0;
}

static uint64_t sum_of(const void *page)
{
	return sum_name((struct slice){page, PAGE_SUM_PAGE - PAGE_SUM_LEN});
}

static int on_read(sqlite3_file *base, void *bytes, int n, sqlite3_int64 at)
{
	struct file *f = (struct file *)(void *)base;
	sqlite3_file *real = real_of(base);
	int rc = real->pMethods->xRead(real, bytes, n, at);
	if (rc != SQLITE_OK)
		return rc;
	see_header(f, bytes, n, at);
	if (!f->summed || !f->checked || !is_page(n, at))
		return SQLITE_OK;
	uint64_t sum;
	memcpy(&sum, (const char *)bytes + PAGE_SUM_PAGE - PAGE_SUM_LEN, sizeof sum);
	if (sum == 0 || sum == sum_of(bytes))
		return SQLITE_OK;
	damaged = (uint32_t)(at / PAGE_SUM_PAGE) + 1;
	return SQLITE_IOERR_DATA;
}

static int on_write(sqlite3_file *base, const void *bytes, int n, sqlite3_int64 at)
{
	struct file *f = (struct file *)(void *)base;
	sqlite3_file *real = real_of(base);
	see_header(f, bytes, n, at);
	if (!f->summed || !is_page(n, at))
		return real->pMethods->xWrite(real, bytes, n, at);
	char page[PAGE_SUM_PAGE];
	uint64_t sum = sum_of(bytes);
	memcpy(page, bytes, PAGE_SUM_PAGE - PAGE_SUM_LEN);
	memcpy(page + PAGE_SUM_PAGE - PAGE_SUM_LEN, &sum, sizeof sum);
	return real->pMethods->xWrite(real, page, n, at);
}

/* --- everything else is the ordinary file's --- */

static int on_close(sqlite3_file *f)
{
	return real_of(f)->pMethods->xClose(real_of(f));
}

static int on_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	return real_of(f)->pMethods->xTruncate(real_of(f), size);
}

static int on_sync(sqlite3_file *f, int flags)
{
	return real_of(f)->pMethods->xSync(real_of(f), flags);
}

static int on_size(sqlite3_file *f, sqlite3_int64 *size)
{
	return real_of(f)->pMethods->xFileSize(real_of(f), size);
}

static int on_lock(sqlite3_file *f, int lock)
{
	return real_of(f)->pMethods->xLock(real_of(f), lock);
}

static int on_unlock(sqlite3_file *f, int lock)
{
	return real_of(f)->pMethods->xUnlock(real_of(f), lock);
}

static int on_check_lock(sqlite3_file *f, int *out)
{
	return real_of(f)->pMethods->xCheckReservedLock(real_of(f), out);
}

static int on_control(sqlite3_file *f, int op, void *arg)
{
	if (op == PAGE_SUM_CHECK) {
		((struct file *)(void *)f)->checked = *(const bool *)arg;
		return SQLITE_OK;
	}
	return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}

static int on_sector_size(sqlite3_file *f)
{
	return real_of(f)->pMethods->xSectorSize(real_of(f));
}

static int on_characteristics(sqlite3_file *f)
{
	return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

static int on_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
	return real_of(f)->pMethods->xShmMap(real_of(f), page, size, extend, out);
}

static int on_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
	return real_of(f)->pMethods->xShmLock(real_of(f), offset, n, flags);
}

static void on_shm_barrier(sqlite3_file *f)
{
	real_of(f)->pMethods->xShmBarrier(real_of(f));
}

static int on_shm_unmap(sqlite3_file *f, int remove)
{
	return real_of(f)->pMethods->xShmUnmap(real_of(f), remove);
}

/* Version 2: files are not mapped into memory, where nobody would look at the sums. */
static const sqlite3_io_methods methods = {
	.iVersion = 2,
	.xClose = on_close,
	.xRead = on_read,
	.xWrite = on_write,
	.xTruncate = on_truncate,
	.xSync = on_sync,
	.xFileSize = on_size,
	.xLock = on_lock,
	.xUnlock = on_unlock,
	.xCheckReservedLock = on_check_lock,
	.xFileControl = on_control,
	.xSectorSize = on_sector_size,
	.xDeviceCharacteristics = on_characteristics,
	.xShmMap = on_shm_map,
	.xShmLock = on_shm_lock,
	.xShmBarrier = on_shm_barrier,
	.xShmUnmap = on_shm_unmap,
};

static int on_open(sqlite3_vfs *v, const char *name, sqlite3_file *base, int flags, int *out_flags)
{
	(void)v;
	if ((flags & SQLITE_OPEN_MAIN_DB) == 0)
		return real_vfs()->xOpen(real_vfs(), name, base, flags, out_flags);
	struct file *f = (struct file *)(void *)base;
	*f = (struct file){.checked = true};
	int rc = real_vfs()->xOpen(real_vfs(), name, real_of(base), flags, out_flags);
	if (rc == SQLITE_OK)
		f->base.pMethods = &methods;
	return rc;
}

static void make_vfs(void)
{
	sqlite3_vfs *real = sqlite3_vfs_find(NULL);
	if (real == NULL)
		return;
	vfs = *real;
	vfs.pAppData = real;
	vfs.szOsFile = (int)sizeof(struct file) + real->szOsFile;
	vfs.zName = "tidemark";
	vfs.pNext = NULL;
	vfs.xOpen = on_open;
	if (sqlite3_vfs_register(&vfs, 0) != SQLITE_OK)
		vfs.zName = NULL;
}

const char *page_sum_vfs(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, make_vfs);
	return vfs.zName;
}

uint32_t page_sum_damaged(void)
{
	return damaged;
}
