#include "store/sqlite/db.h"

#include <assert.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/assets.h"
#include "base/system/path.h"
#include "base/system/sys.h"
#include "store/sqlite/vfs.h"

enum { APPLICATION_ID = 0x7469646d /* the same in schema/001_store.sql */ };

enum err db_exec(sqlite3 *db, const char *sql, struct fault *fault)
{
	int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
	return rc == SQLITE_OK ? ERR_NONE : db_fault(db, rc, NULL, fault);
}

enum err db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **out, struct fault *fault)
{
	int rc = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
	return rc == SQLITE_OK ? ERR_NONE : db_fault(db, rc, NULL, fault);
}

static enum err prepare_with(sqlite3 *db, const char *sql, int count, const struct db_value *values, sqlite3_stmt **out,
			     struct fault *fault)
{
	enum err err = db_prepare(db, sql, out, fault);
	if (err)
		return err;
	assert(sqlite3_bind_parameter_count(*out) == count);
	for (int i = 0; i < count; i++)
		if (values[i].text != NULL)
			sqlite3_bind_text(*out, i + 1, values[i].text, -1, SQLITE_STATIC);
		else
			sqlite3_bind_int64(*out, i + 1, values[i].number);
	return ERR_NONE;
}

enum err db_exec_with(sqlite3 *db, const char *sql, int count, const struct db_value *values, struct fault *fault)
{
	sqlite3_stmt *s;
	enum err err = prepare_with(db, sql, count, values, &s, fault);
	if (err)
		return err;
	int rc = sqlite3_step(s);
	if (rc != SQLITE_DONE)
		err = db_fault(db, rc, NULL, fault);
	sqlite3_finalize(s);
	return err;
}

enum err db_integer(sqlite3 *db, const char *sql, sqlite3_int64 missing, sqlite3_int64 *out, struct fault *fault)
{
	return db_integer_with(db, sql, NULL, missing, out, fault);
}

enum err db_integer_with(sqlite3 *db, const char *sql, const struct db_value *value, sqlite3_int64 missing,
			 sqlite3_int64 *out, struct fault *fault)
{
	sqlite3_stmt *s;
	enum err err = prepare_with(db, sql, value != NULL, value, &s, fault);
	if (err)
		return err;
	int rc = sqlite3_step(s);
	*out = rc == SQLITE_ROW && sqlite3_column_type(s, 0) != SQLITE_NULL ? sqlite3_column_int64(s, 0) : missing;
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		err = db_fault(db, rc, NULL, fault);
	sqlite3_finalize(s);
	return err;
}

static enum err exec_all(sqlite3 *db, const char *const *sql, struct fault *fault)
{
	enum err err = ERR_NONE;
	for (; !err && *sql != NULL; sql++)
		err = db_exec(db, *sql, fault);
	return err;
}

/* Nothing is left to SQLite's defaults, which differ between builds (Debian's has SECURE_DELETE on). mmap is off
 * because an I/O error would be a SIGBUS. Checkpoints are our own business: see store_maintain. */
static enum err set_up(sqlite3 *db, enum db_mode mode, struct fault *fault)
{
	static const char *const all[] = {"PRAGMA mmap_size=0",        "PRAGMA wal_autocheckpoint=0",
					  "PRAGMA secure_delete=OFF",  "PRAGMA temp_store=MEMORY",
					  "PRAGMA trusted_schema=OFF", "PRAGMA cell_size_check=ON",
					  "PRAGMA foreign_keys=OFF",   "PRAGMA locking_mode=NORMAL",
					  "PRAGMA cache_size=-4096",   NULL};
	static const char *const writer[] = {"PRAGMA page_size=4096",   "PRAGMA auto_vacuum=NONE",
					     "PRAGMA journal_mode=WAL", "PRAGMA journal_size_limit=67108864",
					     "PRAGMA cache_size=-8192", NULL};
	/* Before the first page of a new file is written. */
	int reserved = DB_FILE_SUM_LEN;
	bool writes = mode == DB_WRITE || mode == DB_WRITE_RELAXED;
	if (writes)
		sqlite3_file_control(db, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved);
	enum err err = exec_all(db, all, fault);
	if (!err)
		err = writes ? exec_all(db, writer, fault) : db_exec(db, "PRAGMA query_only=ON", fault);
	if (!err && mode != DB_READ)
		err = db_exec(db, mode == DB_WRITE_RELAXED ? "PRAGMA synchronous=NORMAL" : "PRAGMA synchronous=FULL", fault);
	return err;
}

static enum err check_version(sqlite3 *db, const char *path, int known, sqlite3_int64 *version, struct fault *fault)
{
	sqlite3_int64 id;
	enum err err = db_integer(db, "PRAGMA application_id", 0, &id, fault);
	if (!err)
		err = db_integer(db, "PRAGMA user_version", 0, version, fault);
	if (err)
		return err;
	sqlite3_int64 tables;
	err = db_integer(db, "SELECT count(*) FROM sqlite_master", 0, &tables, fault);
	if (err)
		return err;
	if (tables > 0 && id != APPLICATION_ID)
		return fault_set(fault, ERR_CORRUPT, "%s is not a Tidemark store (application id %#" PRIx64 ")", path,
				 (uint64_t)id);
	if (*version < 0)
		return fault_set(fault, ERR_CORRUPT, "%s is damaged: its schema has the number %" PRId64, path,
				 (int64_t)*version);
	if (*version > known)
		return fault_set(fault, ERR_NEWER,
				 "%s was made by a newer version of Tidemark (its schema is %" PRId64
				 ", this version knows %d)",
				 path, (int64_t)*version, known);
	return ERR_NONE;
}

/* Runs the missing migrations, each in its own transaction, which also sets the version. */
static enum err migrate(sqlite3 *db, sqlite3_int64 version, struct fault *fault)
{
	for (size_t i = (size_t)version; i < schema_assets.count; i++) {
		sqlite3_int64 stamped = 0;
		enum err err = db_exec(db, "BEGIN IMMEDIATE", fault);
		if (!err)
			err = db_exec(db, (const char *)schema_assets.items[i].bytes, fault);
		if (!err)
			err = db_integer(db, "PRAGMA user_version", 0, &stamped, fault);
		assert(err || stamped == (sqlite3_int64)i + 1);
		if (!err)
			err = db_exec(db, "COMMIT", fault);
		if (err) {
			char where[64];
			snprintf(where, sizeof where, "cannot migrate the store to schema %zu", i + 1);
			db_rollback(db);
			return fault_in(fault, where, err);
		}
	}
	return ERR_NONE;
}

/* *out is set also on failure, for sqlite3_close. */
static enum err open_file(const char *path, int flags, sqlite3 **out, struct fault *fault)
{
	*out = NULL;
	const char *vfs = vfs_name();
	if (vfs == NULL)
		return fault_nomem(fault);
	int rc = sqlite3_open_v2(path, out, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, vfs);
	if (*out != NULL) {
		sqlite3_extended_result_codes(*out, 1);
		sqlite3_busy_timeout(*out, DB_BUSY_MS); /* the first read may meet a writer that starts or resets its log */
	}
	return rc == SQLITE_OK ? ERR_NONE : db_fault(*out, sqlite3_extended_errcode(*out), NULL, fault);
}

static bool is_missing(const char *path, const char *ending)
{
	char name[PATH_MAX];
	path_format(name, "%s%s", path, ending);
	return access(name, F_OK) != 0;
}

static bool can_write_beside(const char *path)
{
	char dir[PATH_MAX];
	path_format(dir, "%s", path);
	return access(dirname(dir), W_OK) == 0;
}

/* A database without a write-ahead log has no writer: it is opened as immutable, since SQLite would otherwise create files.
 */
static enum err open_frozen(const char *path, sqlite3 **out, struct fault *fault)
{
	char uri[3 * PATH_MAX];
	size_t len = (size_t)snprintf(uri, sizeof uri, path[0] == '/' ? "file://" : "file:");
	for (; *path != '\0' && len + 32 < sizeof uri; path++)
		len += (size_t)snprintf(uri + len, sizeof uri - len, strchr("%?#", *path) != NULL ? "%%%02X" : "%c",
					(unsigned char)*path);
	snprintf(uri + len, sizeof uri - len, "?immutable=1");
	return open_file(uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, out, fault);
}

enum err db_open_damaged(const char *path, const void *first, bool checked, sqlite3 **out, struct fault *fault)
{
	sqlite3 *db;
	*out = NULL;
	enum err err = open_file(path, SQLITE_OPEN_READWRITE, &db, fault);
	if (!err) {
		sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		sqlite3_file_control(db, "main", DB_FILE_FIRST, (void *)first);
		sqlite3_file_control(db, "main", DB_FILE_CHECK, &checked);
		err = set_up(db, DB_READ, fault);
	}
	if (err)
		sqlite3_close(db);
	else
		*out = db;
	return err;
}

enum err db_open(const char *path, enum db_mode mode, sqlite3 **out, struct fault *fault)
{
	*out = NULL;
	int flags = mode == DB_READ         ? SQLITE_OPEN_READONLY
		    : mode == DB_WRITE_BACK ? SQLITE_OPEN_READWRITE
					    : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
	sqlite3 *db;
	bool frozen = mode == DB_READ && !is_missing(path, "") && is_missing(path, "-wal") && !can_write_beside(path);
	enum err err = frozen ? open_frozen(path, &db, fault) : open_file(path, flags, &db, fault);
	sqlite3_int64 version = 0;
	if (!err)
		err = check_version(db, path, (int)schema_assets.count, &version, fault);
	if (!err)
		err = set_up(db, mode, fault);
	bool migrates = mode == DB_WRITE || mode == DB_WRITE_RELAXED;
	if (!err && migrates)
		err = migrate(db, version, fault);
	else if (!err && (size_t)version < schema_assets.count)
		err = fault_set(fault, ERR_INVALID, "%s was made by an older version: start the server once to migrate it",
				path);
	if (err) {
		sqlite3_close(db);
		return err;
	}
	*out = db;
	return ERR_NONE;
}

enum err db_open_inspect(const char *path, sqlite3 **out, struct fault *fault)
{
	bool frozen = is_missing(path, "-wal"); /* a program that writes has one */
	sqlite3_int64 version;
	enum err err = frozen ? open_frozen(path, out, fault) : open_file(path, SQLITE_OPEN_READONLY, out, fault);
	if (!err) {
		err = check_version(*out, path, INT_MAX, &version, fault);
		/* An interrupted first start has left a journal, which only a writer can roll back. */
		if (err && (sqlite3_errcode(*out) & 0xff) == SQLITE_READONLY)
			err = ERR_CORRUPT;
	}
	if (err) {
		sqlite3_close(*out);
		*out = NULL;
	}
	return err;
}

enum err db_sync(sqlite3 *db, struct fault *fault)
{
	int rc = sqlite3_file_control(db, "main", DB_FILE_SYNC, NULL);
	return rc == SQLITE_OK ? ERR_NONE : db_fault(db, rc, "writing the log back", fault);
}

void db_set_pace(sqlite3 *db, struct db_file_pace pace)
{
	assert(pace.pages >= 0);
	sqlite3_file_control(db, "main", DB_FILE_PACE, &pace);
}

void db_watch_reads(sqlite3 *db, struct db_file_watch watch)
{
	sqlite3_file_control(db, "main", DB_FILE_WATCH, &watch);
}

bool db_read_first(sqlite3 *db, void *page)
{
	sqlite3_file *file;
	return sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file) == SQLITE_OK &&
	       file->pMethods->xRead(file, page, DB_FILE_PAGE, 0) == SQLITE_OK;
}

enum err db_copy_anew(sqlite3 *db, struct fault *fault)
{
	int rc = sqlite3_file_control(db, "main", DB_FILE_COPY_ANEW, NULL);
	return rc == SQLITE_OK ? ERR_NONE : db_fault(db, rc, "writing the log back", fault);
}

void db_trust_pages(sqlite3 *db)
{
	bool checked = false;
	sqlite3_file_control(db, "main", DB_FILE_CHECK, &checked);
}

bool db_rollback(sqlite3 *db)
{
	enum { TRIES = 3 };
	for (int i = 0; i < TRIES && !sqlite3_get_autocommit(db); i++)
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return sqlite3_get_autocommit(db) != 0;
}

void db_close(sqlite3 *db)
{
	sqlite3_close(db); /* statements are finalized by their owners */
}
