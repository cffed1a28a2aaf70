#include "store/db_file.h"

#include <string.h>

#include "store/sum.h"

/* Of the header of a database (its file format, 1.3): a byte that says how much of each page is reserved. */
enum { HEADER_PAGE_SIZE = 16, HEADER_RESERVED = 20, HEADER_SEEN = 21 };

static _Thread_local uint32_t damaged;

static struct db_file *of(sqlite3_file *f)
{
	return (struct db_file *)(void *)f;
}

/* A header that passes by says whether there are sums. */
static void see_header(struct db_file *f, const unsigned char *bytes, int n, sqlite3_int64 at)
{
	if (at != 0 || n < HEADER_SEEN)
		return;
	int size = bytes[HEADER_PAGE_SIZE] << 8 | bytes[HEADER_PAGE_SIZE + 1];
	f->summed = size == DB_FILE_PAGE && bytes[HEADER_RESERVED] == DB_FILE_SUM_LEN;
}

static bool is_page(int n, sqlite3_int64 at)
{
	return n == DB_FILE_PAGE && at % DB_FILE_PAGE == 0;
}

static uint64_t sum_of(const void *page)
{
	return sum_name((struct slice){page, DB_FILE_PAGE - DB_FILE_SUM_LEN});
}

static uint64_t sum_in(const void *page)
{
	uint64_t sum;
	memcpy(&sum, (const char *)page + DB_FILE_PAGE - DB_FILE_SUM_LEN, sizeof sum);
	return sum;
}

bool db_file_proves(const void *page)
{
	uint64_t sum = sum_in(page);
	return sum != 0 && sum == sum_of(page);
}

static int on_read(sqlite3_file *base, void *bytes, int n, sqlite3_int64 at)
{
	struct db_file *f = of(base);
	if (f->first != NULL && at + n <= DB_FILE_PAGE) {
		memcpy(bytes, f->first + at, (size_t)n);
		see_header(f, bytes, n, at);
		return SQLITE_OK;
	}
	int rc = shim_read(base, bytes, n, at);
	if (rc != SQLITE_OK)
		return rc;
	see_header(f, bytes, n, at);
	if (!f->summed || !f->checked || !is_page(n, at))
		return SQLITE_OK;
	uint64_t sum = sum_in(bytes);
	if (sum == 0 || sum == sum_of(bytes))
		return SQLITE_OK;
	damaged = (uint32_t)(at / DB_FILE_PAGE) + 1;
	return SQLITE_IOERR_DATA;
}

static int on_shm_map(sqlite3_file *base, int page, int size, int extend, void volatile **out)
{
	int rc = shim_shm_map(base, page, size, extend, out);
	of(base)->indexed = of(base)->indexed || (rc == SQLITE_OK && *out != NULL);
	return rc;
}

static int on_shm_unmap(sqlite3_file *base, int remove)
{
	of(base)->indexed = false;
	return shim_shm_unmap(base, remove);
}

static void copy_anew(sqlite3_file *base)
{
	/* Of the index of a write-ahead log (SQLite's "WAL-mode file format", 2.1). */
	enum { INDEX_BLOCK = 32768, COPIED_FRAMES = 96 };
	void volatile *index = NULL;
	if (of(base)->indexed && shim_shm_map(base, 0, INDEX_BLOCK, 0, &index) == SQLITE_OK && index != NULL)
		__atomic_store_n((uint32_t volatile *)index + COPIED_FRAMES / sizeof(uint32_t), 0, __ATOMIC_SEQ_CST);
}

static int on_sync(sqlite3_file *base, int flags)
{
	of(base)->unsynced = 0;
	int rc = shim_sync(base, flags);
	if (rc != SQLITE_OK)
		copy_anew(base);
	return rc;
}

/* Of our own accord. */
static int sync_pages(sqlite3_file *base)
{
	struct db_file *f = of(base);
	if (f->unsynced == 0)
		return SQLITE_OK;
	if (f->pace.before != NULL)
		f->pace.before(f->pace.arg);
	return on_sync(base, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY);
}

static int write_summed(sqlite3_file *base, const void *bytes, sqlite3_int64 at)
{
	char page[DB_FILE_PAGE];
	uint64_t sum = sum_of(bytes);
	memcpy(page, bytes, DB_FILE_PAGE - DB_FILE_SUM_LEN);
	memcpy(page + DB_FILE_PAGE - DB_FILE_SUM_LEN, &sum, sizeof sum);
	return shim_write(base, page, sizeof page, at);
}

static int on_write(sqlite3_file *base, const void *bytes, int n, sqlite3_int64 at)
{
	struct db_file *f = of(base);
	see_header(f, bytes, n, at);
	int rc = f->summed && is_page(n, at) ? write_summed(base, bytes, at) : shim_write(base, bytes, n, at);
	f->unsynced++;
	return rc == SQLITE_OK && f->pace.pages > 0 && f->unsynced >= f->pace.pages ? sync_pages(base) : rc;
}

static int on_control(sqlite3_file *base, int op, void *arg)
{
	switch (op) {
	case DB_FILE_CHECK: of(base)->checked = *(const bool *)arg; return SQLITE_OK;
	case DB_FILE_PACE: of(base)->pace = *(const struct db_file_pace *)arg; return SQLITE_OK;
	case DB_FILE_SYNC: return sync_pages(base);
	case DB_FILE_COPY_ANEW: copy_anew(base); return SQLITE_OK;
	case DB_FILE_FIRST: of(base)->first = arg; return SQLITE_OK;
	default: return shim_control(base, op, arg);
	}
}

/* Version 2: files are not mapped into memory, where nobody would look at the sums. */
static const sqlite3_io_methods methods = {
	.iVersion = 2,
	.xClose = shim_close,
	.xRead = on_read,
	.xWrite = on_write,
	.xTruncate = shim_truncate,
	.xSync = on_sync,
	.xFileSize = shim_size,
	.xLock = shim_lock,
	.xUnlock = shim_unlock,
	.xCheckReservedLock = shim_check_lock,
	.xFileControl = on_control,
	.xSectorSize = shim_sector_size,
	.xDeviceCharacteristics = shim_characteristics,
	.xShmMap = on_shm_map,
	.xShmLock = shim_shm_lock,
	.xShmBarrier = shim_shm_barrier,
	.xShmUnmap = on_shm_unmap,
};

int db_file_open(struct db_file *f, sqlite3_vfs *real, const char *name, int flags, int *out_flags)
{
	*f = (struct db_file){.checked = true};
	return shim_open(&f->shim, sizeof *f, &methods, real, name, flags, out_flags);
}

uint32_t db_file_damaged(void)
{
	return damaged;
}
