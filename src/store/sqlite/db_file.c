#include "store/sqlite/db_file.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/data/checksum.h"

/* Offsets in the header of a database (its file format, 1.3). */
enum { HEADER_PAGE_SIZE = 16, HEADER_RESERVED = 20, HEADER_SEEN = 21 };

enum { WATCH_EVERY = 256 };

static _Thread_local uint32_t damaged;

static struct db_file *of(sqlite3_file *f)
{
	return (struct db_file *)(void *)f;
}

/* Learns from a header that is read or written whether pages have sums. */
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
	return checksum_name((struct slice){page, DB_FILE_PAGE - DB_FILE_SUM_LEN});
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
	if (f->watch.reads != NULL && f->reads++ % WATCH_EVERY == 0)
		f->watch.reads(f->watch.arg);
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

/* --- the index of the log --- */

/* SQLite's "WAL-mode file format", 2.1 and 2.3. */
enum {
	INDEX_PART = 32768,
	FRAMES = 16, /* offset of the number of frames */
	COPIED_FRAMES = 96,
	PART_FRAMES = 4096,    /* frames per part */
	FIRST_PART_LACKS = 34, /* fewer in the first part, which has the header */
	LOCK_WRITE = 0,
	LOCK_READ = 3,
};

static bool keep_part(struct db_file *f, int number, void volatile *part)
{
	if (number >= f->index_count) {
		void volatile **grown = realloc(f->index, ((size_t)number + 1) * sizeof *grown);
		if (grown == NULL)
			return false;
		for (int i = f->index_count; i <= number; i++)
			grown[i] = NULL;
		f->index = grown;
		f->index_count = number + 1;
	}
	f->index[number] = part;
	return true;
}

static void forget_parts(struct db_file *f)
{
	free(f->index);
	f->index = NULL;
	f->index_count = 0;
}

/* Can these bytes be written? EINVAL: an older kernel, which cannot tell. */
static bool is_writable(void volatile *part, size_t size)
{
	uintptr_t rest = (uintptr_t)part % (uintptr_t)sysconf(_SC_PAGESIZE);
	return madvise((char *)(uintptr_t)part - rest, size + rest, MADV_POPULATE_WRITE) == 0 || errno == EINVAL;
}

static int on_shm_map(sqlite3_file *base, int page, int size, int extend, void volatile **out)
{
	int rc = shim_shm_map(base, page, size, extend, out);
	if (rc != SQLITE_OK || *out == NULL)
		return rc;
	if (extend && !is_writable(*out, (size_t)size))
		return shim_shm_failed(base, "write", SQLITE_IOERR_SHMMAP, 0);
	return keep_part(of(base), page, *out) ? SQLITE_OK : SQLITE_NOMEM;
}

static int on_shm_unmap(sqlite3_file *base, int remove)
{
	forget_parts(of(base));
	return shim_shm_unmap(base, remove);
}

static bool is_part_writable(const struct db_file *f, uint32_t number)
{
	return number >= (uint32_t)f->index_count || f->index[number] == NULL || is_writable(f->index[number], INDEX_PART);
}

static uint32_t index_number(const struct db_file *f, int at)
{
	assert(f->index_count > 0 && f->index[0] != NULL);
	return __atomic_load_n((uint32_t volatile *)f->index[0] + at / (int)sizeof(uint32_t), __ATOMIC_RELAXED);
}

/* A write transaction appends to the part with the last frame and to the next one, or, if all of the log was copied,
 * restarts it in part 0. Other transactions write to the beginning of part 0 only. */
static bool is_index_writable(const struct db_file *f, bool appends)
{
	if (f->index_count == 0 || f->index[0] == NULL)
		return true;
	if (!is_writable(f->index[0], 1))
		return false;
	if (!appends)
		return true;
	uint32_t frames = index_number(f, FRAMES);
	uint32_t part = frames == index_number(f, COPIED_FRAMES) ? 0 : (frames + FIRST_PART_LACKS - 1) / PART_FRAMES;
	return is_part_writable(f, part) && is_part_writable(f, part + 1);
}

static int check_index(sqlite3_file *base, bool appends)
{
	return is_index_writable(of(base), appends) ? SQLITE_OK : shim_shm_failed(base, "write", SQLITE_IOERR_SHMMAP, 0);
}

/* For a reader that cannot write its mark, BUSY makes SQLite use an existing mark. */
static int on_shm_lock(sqlite3_file *base, int offset, int n, int flags)
{
	bool writes = flags == (SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE);
	int rc = writes ? check_index(base, offset == LOCK_WRITE) : SQLITE_OK;
	if (rc != SQLITE_OK)
		return offset >= LOCK_READ ? SQLITE_BUSY : rc;
	return shim_shm_lock(base, offset, n, flags);
}

static int copy_anew(sqlite3_file *base)
{
	void volatile *index = NULL;
	if (of(base)->index_count == 0)
		return SQLITE_OK;
	int rc = shim_shm_map(base, 0, INDEX_PART, 0, &index);
	if (rc != SQLITE_OK || index == NULL)
		return rc;
	if (!is_writable(index, 1))
		return shim_shm_failed(base, "write", SQLITE_IOERR_SHMMAP, 0);
	__atomic_store_n((uint32_t volatile *)index + COPIED_FRAMES / sizeof(uint32_t), 0, __ATOMIC_SEQ_CST);
	return SQLITE_OK;
}

/* --- the pages --- */

static int on_close(sqlite3_file *base)
{
	forget_parts(of(base));
	return shim_close(base);
}

static int on_sync(sqlite3_file *base, int flags)
{
	of(base)->unsynced = 0;
	int rc = shim_sync(base, flags);
	if (rc != SQLITE_OK)
		copy_anew(base);
	return rc == SQLITE_OK ? check_index(base, false) : rc;
}

/* A sync that SQLite has not asked for. */
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
	case DB_FILE_WATCH: of(base)->watch = *(const struct db_file_watch *)arg; return SQLITE_OK;
	case DB_FILE_SYNC: return sync_pages(base);
	case DB_FILE_INDEX: return check_index(base, true);
	case DB_FILE_COPY_ANEW: return copy_anew(base);
	case DB_FILE_FIRST: of(base)->first = arg; return SQLITE_OK;
	default: return shim_control(base, op, arg);
	}
}

/* Version 2: without xFetch, so files are not mapped into memory, where sums would not be checked. */
static const sqlite3_io_methods methods = {
	.iVersion = 2,
	.xClose = on_close,
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
	.xShmLock = on_shm_lock,
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
