/* Translating SQLite's errors: which file is concerned, and what is wrong. */
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/system/path.h"
#include "base/system/sys.h"
#include "store/sqlite/db.h"
#include "store/sqlite/shim.h"

/* The errno of a failed system call; 0: none failed, or it is not known. */
static int system_errno(sqlite3 *db, int rc)
{
	const struct shim_failure *f = shim_failure(rc);
	bool failed = (rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN;
	if (f != NULL)
		return f->why;
	return db != NULL && failed ? sqlite3_system_errno(db) : 0;
}

static enum err code_of(sqlite3 *db, int rc)
{
	if (rc == SQLITE_IOERR_DATA)
		return ERR_CORRUPT; /* db_file.h */
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE: return ERR_NONE;
	case SQLITE_NOMEM: return ERR_NOMEM;
	case SQLITE_FULL: return ERR_FULL;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_CONSTRAINT: return ERR_CORRUPT;
	case SQLITE_BUSY:
	case SQLITE_LOCKED: return ERR_BUSY;
	case SQLITE_TOOBIG: return ERR_TOO_LARGE;
	default: return sys_err(system_errno(db, rc));
	}
}

/* Names the file of the database that cannot be written, or else its directory. */
static enum err fail_read_only(const char *path, struct fault *fault)
{
	static const char *const endings[] = {"", "-wal", "-shm"};
	char name[PATH_MAX];
	for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
		path_format(name, "%s%s", path, endings[i]);
		if (access(name, W_OK) != 0 && errno != ENOENT)
			return sys_fail(fault, "cannot write", name, errno);
	}
	path_format(name, "%s", path);
	const char *dir = dirname(name);
	return sys_fail(fault, "cannot write", dir, access(dir, W_OK) != 0 ? errno : EROFS);
}

static enum err explain(sqlite3 *db, int rc, struct fault *fault)
{
	const struct shim_failure *f = shim_failure(rc);
	const char *path = db != NULL ? sqlite3_db_filename(db, "main") : NULL;
	const char *words = db != NULL ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
	enum err code = code_of(db, rc);
	char what[32];
	path = path != NULL && path[0] != '\0' ? path : "the database";
	if (rc == SQLITE_IOERR_DATA)
		return fault_set(fault, code, "page %u of %s is damaged: its sum does not match", db_file_damaged(), path);
	if (f != NULL) {
		snprintf(what, sizeof what, "cannot %s", f->verb);
		return sys_fail(fault, what, f->path, f->why);
	}
	switch (rc & 0xff) {
	case SQLITE_NOMEM: return fault_set(fault, code, "out of memory");
	case SQLITE_FULL: return sys_fail(fault, "cannot write", path, ENOSPC);
	case SQLITE_IOERR: return sys_fail(fault, "cannot read or write", path, system_errno(db, rc));
	case SQLITE_CANTOPEN: return sys_fail(fault, "cannot open", path, system_errno(db, rc));
	case SQLITE_READONLY: return fail_read_only(path, fault);
	case SQLITE_BUSY:
	case SQLITE_LOCKED: return fault_set(fault, code, "another program has locked %s", path);
	case SQLITE_NOTADB: return fault_set(fault, code, "%s is not a database, or its first page is damaged", path);
	case SQLITE_CORRUPT: return fault_set(fault, code, "%s is damaged: %s", path, words);
	default: return fault_set(fault, code, "%s: %s", path, words);
	}
}

enum err db_fault(sqlite3 *db, int rc, const char *what, struct fault *fault)
{
	enum err err = explain(db, rc, fault);
	return what != NULL ? fault_in(fault, what, err) : err;
}
