/* Verify: SQLite's structures. SQLite checks the database, or a table, in one read transaction; so the check is interrupted
 * when the write-ahead log becomes too long, and repeated table by table. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/system/path.h"
#include "store/repair/verify_internal.h"
#include "store/sqlite/db.h"

enum {
	LOG_MAX = 128 * 1024 * 1024, /* twice of what a server leaves it at (store_upkeep.c); in the help of verify */
	/* How long to wait for a server to write the log back. */
	TRIES = 100,
	TRY_MS = 100,
};

struct watch {
	sqlite3 *db;
	char log[PATH_MAX];
	bool passed;
};

static bool is_long(const struct watch *w)
{
	struct stat file;
	return stat(w->log, &file) == 0 && file.st_size > LOG_MAX;
}

static void on_reads(void *arg)
{
	struct watch *w = arg;
	w->passed = w->passed || is_long(w);
	if (w->passed)
		sqlite3_interrupt(w->db);
}

static bool wait_for_log(const struct watch *w)
{
	for (int i = 0; i < TRIES && is_long(w); i++)
		nanosleep(&(struct timespec){0, TRY_MS * 1000000L}, NULL);
	return !is_long(w);
}

/* Checks a table, or everything (NULL). w->passed: interrupted, the result is not known. */
static enum err check(struct verify_counts *c, struct watch *w, const char *table)
{
	sqlite3_stmt *st;
	enum err err = db_prepare(
		w->db, table != NULL ? "SELECT integrity_check FROM pragma_integrity_check(?)" : "PRAGMA integrity_check(1)",
		&st, c->fault);
	if (err)
		return err;
	if (table != NULL)
		sqlite3_bind_text(st, 1, table, -1, SQLITE_STATIC);
	w->passed = false;
	int rc = sqlite3_step(st);
	const char *text = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(st, 0) : NULL;
	if (!w->passed && rc != SQLITE_ROW)
		err = db_fault(w->db, rc, "checking the database", c->fault);
	else if (!w->passed && (text == NULL || strcmp(text, "ok") != 0))
		err = fault_set(c->fault, ERR_CORRUPT, "the database is damaged: %.150s", text != NULL ? text : "");
	sqlite3_finalize(st);
	return err;
}

static void skip(struct verify_counts *c, const char *table)
{
	size_t len = strlen(c->out->skipped);
	snprintf(c->out->skipped + len, sizeof c->out->skipped - len, "%s%s", len > 0 ? ", " : "", table);
}

enum err verify_structure(struct verify_counts *c)
{
	static const char *const tables[] = {"sqlite_schema", "meta",    "topic",  "line",        "session", "note",
					     "event",         "posting", "id_key", "stream_last", "id_past"};
	struct watch w = {.db = c->reader->db};
	struct db_file_watch watch = {on_reads, &w};
	path_format(w.log, "%s-wal", store_path(c->reader->store));
	db_watch_reads(w.db, watch);
	bool can = wait_for_log(&w);
	enum err err = can ? check(c, &w, NULL) : ERR_NONE;
	bool all = can && !w.passed;
	for (size_t i = 0; !err && !all && i < sizeof tables / sizeof *tables; i++) {
		can = can && wait_for_log(&w);
		if (can)
			err = check(c, &w, tables[i]);
		if (!can || w.passed)
			skip(c, tables[i]);
	}
	db_watch_reads(w.db, (struct db_file_watch){NULL, NULL});
	return err;
}
