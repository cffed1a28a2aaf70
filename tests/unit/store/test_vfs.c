/* What SQLite writes through our file system is what it would be without. */
#include <sqlite3.h>
#include <unistd.h>

#include "store/sqlite/db_file.h"
#include "store/sqlite/shim.h"
#include "store/sqlite/vfs.h"
#include "unit/temp_dir.h"

enum { ROUNDS = 300, ROWS = 40, PAGES = 100, PIECE = 8 };

static char dir[TEMP_DIR_LEN];
static char path[96];

static void run(sqlite3 *db, const char *sql)
{
	char *error = NULL;
	if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
		fprintf(stderr, "%s: %s\n", sql, error);
	CHECK(error == NULL);
}

static sqlite3 *open_db(const char *vfs)
{
	sqlite3 *db;
	int reserved = DB_FILE_SUM_LEN;
	CHECK(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs) == SQLITE_OK);
	sqlite3_file_control(db, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved);
	run(db, "PRAGMA page_size=4096; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0");
	return db;
}

static void fresh_path(void)
{
	temp_dir_make(dir);
	snprintf(path, sizeof path, "%s/x.db", dir);
}

static void remove_dir(void)
{
	temp_dir_remove(dir);
}

static sqlite3_int64 number(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *s;
	CHECK(sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW);
	sqlite3_int64 n = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return n;
}

/* A cache of ten pages spills into the log in the middle of a transaction, reads it there and writes it again; part of it is
 * rolled back. Somebody else, with the ordinary file system, reads each commit at once. Fails when what is gathered is not
 * written before it is read, or not before readers are told (here nothing is synced). */
static void a_gathered_log_is_a_log(void)
{
	char sql[256];
	fresh_path();
	sqlite3 *db = open_db(vfs_name());
	sqlite3 *other = open_db(NULL);
	run(db, "PRAGMA cache_size=10; PRAGMA synchronous=NORMAL; CREATE TABLE t(id INTEGER PRIMARY KEY, n, pad)");
	for (int i = 0; i < ROUNDS; i++) {
		run(db, "BEGIN");
		for (int k = 0; k < ROWS; k++) {
			snprintf(sql, sizeof sql, "INSERT OR REPLACE INTO t VALUES (%d, %d, randomblob(%d))",
				 (i * 7919 + k * 104729) % 2000, i, 100 + (i * 31 + k * 17) % 1500);
			run(db, sql);
			if (k == ROWS / 2)
				run(db, "SAVEPOINT half");
		}
		if (i % 3 == 0)
			run(db, "ROLLBACK TO half");
		run(db, i % 7 == 6 ? "ROLLBACK" : "COMMIT");
		static const char sum[] = "SELECT count(*) * 1000003 + sum(n) + sum(length(pad)) FROM t";
		CHECK(number(db, sum) == number(other, sum));
		if (i % 50 == 49)
			run(db, "PRAGMA wal_checkpoint(TRUNCATE)");
	}
	CHECK(number(other, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'") == 1);
	sqlite3_close(other);
	sqlite3_close(db);
	remove_dir();
}

static int pieces;

static void on_piece(void *arg)
{
	pieces += *(int *)arg;
}

/* Fails when the pace is not kept, or the rest is forgotten. */
static void a_checkpoint_waits_for_the_disk_piece_by_piece(void)
{
	int one = 1;
	struct db_file_pace pace = {PIECE, on_piece, &one};
	fresh_path();
	sqlite3 *db = open_db(vfs_name());
	run(db, "CREATE TABLE t(x)");
	for (int i = 0; i < PAGES; i++)
		run(db, "INSERT INTO t VALUES (randomblob(3800))");
	CHECK(sqlite3_file_control(db, "main", DB_FILE_PACE, &pace) == SQLITE_OK);
	sqlite3 *reader = open_db(NULL);
	run(reader, "BEGIN");
	CHECK(number(reader, "SELECT count(*) FROM t") == PAGES);
	run(db, "INSERT INTO t VALUES (1)"); /* not all can be copied: SQLite itself does not wait */
	CHECK(sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL) == SQLITE_OK);
	CHECK(pieces >= PAGES / PIECE);
	int before = pieces;
	CHECK(sqlite3_file_control(db, "main", DB_FILE_SYNC, NULL) == SQLITE_OK && pieces == before + 1);
	CHECK(sqlite3_file_control(db, "main", DB_FILE_SYNC, NULL) == SQLITE_OK && pieces == before + 1);
	sqlite3_close(reader);
	sqlite3_close(db);
	remove_dir();
}

static int lock_index(sqlite3_file *file, int offset)
{
	return file->pMethods->xShmLock(file, offset, 1, SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE);
}

/* The index is asked for before it is written: its second part by transactions that write, its beginning by all others.
 * Fails where on_shm_lock asks for nothing, or for the first part alone. */
static void an_index_that_cannot_be_written_is_an_error(void)
{
	enum { PART = 32768, WRITE = 0, COPY = 1, READ = 3 };
	char shm[128];
	sqlite3_file *file;
	fresh_path();
	sqlite3 *db = open_db(vfs_name());
	run(db, "PRAGMA synchronous=NORMAL; CREATE TABLE t(x)");
	for (int i = 0; i < 2; i++) /* more than the 4,062 pages of the first part */
		run(db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4200) "
			"INSERT INTO t SELECT randomblob(3000) FROM n");
	CHECK(sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file) == SQLITE_OK);
	snprintf(shm, sizeof shm, "%s-shm", path);
	CHECK(truncate(shm, PART) == 0);
	CHECK(lock_index(file, WRITE) == SQLITE_IOERR_SHMMAP);
	CHECK(lock_index(file, COPY) == SQLITE_OK && lock_index(file, READ) == SQLITE_OK);
	CHECK(truncate(shm, 0) == 0);
	CHECK(lock_index(file, COPY) == SQLITE_IOERR_SHMMAP && lock_index(file, READ) == SQLITE_BUSY);
	CHECK(sqlite3_file_control(db, "main", DB_FILE_COPY_ANEW, NULL) == SQLITE_IOERR_SHMMAP);
	const struct shim_failure *f = shim_failure(SQLITE_IOERR_SHMMAP);
	CHECK(f != NULL && strstr(f->path, "x.db-shm") != NULL);
	CHECK(truncate(shm, 3 * PART) == 0); /* closing it reads the index */
	sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	CHECK(sqlite3_close(db) == SQLITE_OK);
	remove_dir();
}

struct reads {
	sqlite3 *db;
	int count;
};

static void on_reads(void *arg)
{
	struct reads *r = arg;
	r->count++;
	sqlite3_interrupt(r->db);
}

/* A check of the structure can be broken off while it reads. */
static void a_check_is_interrupted_while_it_reads(void)
{
	enum { PAGES_READ = 3000, EVERY = 256 };
	fresh_path();
	sqlite3 *db = open_db(vfs_name());
	run(db, "PRAGMA synchronous=OFF; PRAGMA cache_size=10; CREATE TABLE t(x)");
	run(db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) "
		"INSERT INTO t SELECT randomblob(3800) FROM n; PRAGMA wal_checkpoint(TRUNCATE)");
	struct reads reads = {.db = db};
	struct db_file_watch watch = {on_reads, &reads};
	CHECK(sqlite3_file_control(db, "main", DB_FILE_WATCH, &watch) == SQLITE_OK);
	CHECK(sqlite3_exec(db, "PRAGMA integrity_check", NULL, NULL, NULL) == SQLITE_INTERRUPT);
	CHECK(reads.count > 0 && reads.count < PAGES_READ / EVERY / 2);
	sqlite3_close(db);
	remove_dir();
}

int main(void)
{
	RUN(a_check_is_interrupted_while_it_reads);
	RUN(an_index_that_cannot_be_written_is_an_error);
	RUN(a_gathered_log_is_a_log);
	RUN(a_checkpoint_waits_for_the_disk_piece_by_piece);
	return check_end();
}
