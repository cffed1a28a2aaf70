#include "store/sqlite/log_file.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "store/sqlite/db_file.h"

enum {
	LOG_HEADER = 32, /* bytes of the file header, written when a log starts or restarts */
	/* A frame (SQLite's "WAL-mode file format", 2): its header, the field in it that marks the end of a transaction, its
	 * page. */
	HEADER = 24,
	HEADER_ENDS = 4,
	HEADER_ENDS_LEN = 4,
	PAGE = 4096,
	GATHERED_MAX = 31 * (HEADER + PAGE), /* the default VFS writes up to 128 KiB less one byte with one call */
};

static struct log_file *of(sqlite3_file *f)
{
	return (struct log_file *)(void *)f;
}

static int write_out(struct log_file *f)
{
	assert(f->len >= 0 && f->len <= GATHERED_MAX);
	int len = f->len;
	f->len = 0;
	return len == 0 ? SQLITE_OK : shim_write(&f->shim.base, f->gathered, len, f->at);
}

/* Is this the next header or page to append? */
static bool is_appended(const struct log_file *f, int n, sqlite3_int64 at)
{
	return at == f->end && n == (f->page_next ? PAGE : HEADER);
}

static int gather(struct log_file *f, const void *bytes, int n, sqlite3_int64 at)
{
	static const char goes_on[HEADER_ENDS_LEN];
	if (f->len == 0)
		f->at = at;
	assert(f->len + n <= GATHERED_MAX && f->at + f->len == at);
	memcpy(f->gathered + f->len, bytes, (size_t)n);
	f->len += n;
	f->end += n;
	f->page_next = n == HEADER;
	if (f->page_next)
		f->ends = memcmp((const char *)bytes + HEADER_ENDS, goes_on, sizeof goes_on) != 0;
	return !f->page_next && f->ends ? write_out(f) : SQLITE_OK;
}

/* Writes at once, after everything that was gathered. */
static int write_now(struct log_file *f, const void *bytes, int n, sqlite3_int64 at)
{
	int rc = write_out(f);
	if (rc == SQLITE_OK)
		rc = shim_write(&f->shim.base, bytes, n, at);
	if (rc == SQLITE_OK && at == 0 && n == LOG_HEADER) {
		f->end = LOG_HEADER;
		f->page_next = false;
	}
	return rc;
}

static int on_write(sqlite3_file *base, const void *bytes, int n, sqlite3_int64 at)
{
	struct log_file *f = of(base);
	if (f->gathered == NULL)
		f->gathered = malloc(GATHERED_MAX); /* without it, everything is written at once */
	if (f->gathered == NULL || !is_appended(f, n, at))
		return write_now(f, bytes, n, at);
	int rc = f->len + n > GATHERED_MAX ? write_out(f) : SQLITE_OK;
	return rc == SQLITE_OK ? gather(f, bytes, n, at) : rc;
}

static int on_read(sqlite3_file *base, void *bytes, int n, sqlite3_int64 at)
{
	int rc = write_out(of(base));
	return rc == SQLITE_OK ? shim_read(base, bytes, n, at) : rc;
}

static int on_truncate(sqlite3_file *base, sqlite3_int64 size)
{
	int rc = write_out(of(base));
	return rc == SQLITE_OK ? shim_truncate(base, size) : rc;
}

/* After a sync SQLite writes to the WAL index: checks that it can. */
static int on_sync(sqlite3_file *base, int flags)
{
	sqlite3_file *db = of(base)->db;
	int rc = write_out(of(base));
	if (rc == SQLITE_OK)
		rc = shim_sync(base, flags);
	return rc == SQLITE_OK && db != NULL ? db->pMethods->xFileControl(db, DB_FILE_INDEX, NULL) : rc;
}

static int on_size(sqlite3_file *base, sqlite3_int64 *size)
{
	int rc = write_out(of(base));
	return rc == SQLITE_OK ? shim_size(base, size) : rc;
}

/* What is still gathered belongs to a transaction that was not committed. */
static int on_close(sqlite3_file *base)
{
	free(of(base)->gathered);
	return shim_close(base);
}

/* Version 1: without shared memory and mapping, which concern the file of the database. */
static const sqlite3_io_methods methods = {
	.iVersion = 1,
	.xClose = on_close,
	.xRead = on_read,
	.xWrite = on_write,
	.xTruncate = on_truncate,
	.xSync = on_sync,
	.xFileSize = on_size,
	.xLock = shim_lock,
	.xUnlock = shim_unlock,
	.xCheckReservedLock = shim_check_lock,
	.xFileControl = shim_control,
	.xSectorSize = shim_sector_size,
	.xDeviceCharacteristics = shim_characteristics,
};

int log_file_open(struct log_file *f, sqlite3_vfs *real, const char *name, int flags, int *out_flags)
{
	*f = (struct log_file){.db = sqlite3_database_file_object(name), .end = -1};
	return shim_open(&f->shim, sizeof *f, &methods, real, name, flags, out_flags);
}
