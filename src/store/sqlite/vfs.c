#include "store/sqlite/vfs.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>

#include "store/sqlite/db_file.h"
#include "store/sqlite/log_file.h"

static sqlite3_vfs vfs;

union file {
	struct db_file db;
	struct log_file log;
};

static int open_file(sqlite3_vfs *real, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
	union file *f = (union file *)(void *)file;
	if ((flags & SQLITE_OPEN_MAIN_DB) != 0)
		return db_file_open(&f->db, real, name, flags, out_flags);
	if ((flags & SQLITE_OPEN_WAL) != 0)
		return log_file_open(&f->log, real, name, flags, out_flags);
	return real->xOpen(real, name, file, flags, out_flags);
}

static int on_open(sqlite3_vfs *v, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
	errno = 0;
	int rc = open_file(v->pAppData, name, file, flags, out_flags);
	return rc == SQLITE_OK ? rc : shim_fail(name, "", "open", rc, errno);
}

static void make_vfs(void)
{
	sqlite3_vfs *real = sqlite3_vfs_find(NULL);
	if (real == NULL)
		return;
	vfs = *real;
	vfs.pAppData = real;
	vfs.szOsFile = (int)sizeof(union file) + real->szOsFile;
	vfs.zName = "tidemark";
	vfs.pNext = NULL;
	vfs.xOpen = on_open;
	if (sqlite3_vfs_register(&vfs, 0) != SQLITE_OK)
		vfs.zName = NULL;
}

const char *vfs_name(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, make_vfs);
	return vfs.zName;
}
