#include "store/open/lineage_rows.h"

#include <inttypes.h>
#include <string.h>

#include "base/system/random.h"
#include "base/system/sys.h"
#include "store/sqlite/db.h"
#include "store/sqlite/meta.h"

enum { BOOT_LEN = 40 };

static enum err add_row(struct lineage *l, sqlite3_stmt *st, struct fault *fault)
{
	struct line line = {.first = (uint64_t)sqlite3_column_int64(st, 0)};
	if (line.first == 0 || sqlite3_column_bytes(st, 1) != LINE_EPOCH_LEN)
		return fault_set(fault, ERR_CORRUPT, "the line of history that begins with event %" PRIu64 " is damaged",
				 line.first);
	memcpy(line.epoch, sqlite3_column_text(st, 1), LINE_EPOCH_LEN);
	return lineage_append(l, &line) ? ERR_NONE : fault_nomem(fault);
}

enum err lineage_rows_load(sqlite3 *db, struct lineage *out, struct fault *fault)
{
	*out = (struct lineage){0};
	sqlite3_stmt *st;
	enum err err = db_prepare(db, "SELECT first, epoch FROM line ORDER BY first", &st, fault);
	if (err)
		return err;
	int rc;
	while (!err && (rc = sqlite3_step(st)) != SQLITE_DONE)
		err = rc == SQLITE_ROW ? add_row(out, st, fault) : db_fault(db, rc, "reading the lines of history", fault);
	sqlite3_finalize(st);
	if (err)
		lineage_finish(out);
	return err;
}

static enum err put(sqlite3 *db, const struct line *line, struct fault *fault)
{
	const struct db_value values[] = {DB_NUMBER(line->first), DB_TEXT(line->epoch)};
	return db_exec_with(db, "INSERT OR REPLACE INTO line(first, epoch) VALUES (?, ?)", 2, values, fault);
}

enum err lineage_rows_save_copy(sqlite3 *db, const struct lineage *l, uint64_t last, struct fault *fault)
{
	enum err err = db_exec(
		db, "SAVEPOINT line; DELETE FROM line; INSERT OR REPLACE INTO meta(key, value) VALUES ('copy', 1)", fault);
	for (uint32_t i = 0; !err && i < l->count && (i == 0 || l->lines[i].first <= last); i++)
		err = put(db, &l->lines[i], fault);
	if (!err)
		err = db_exec(db, "RELEASE line", fault);
	if (err)
		db_rollback(db);
	return err;
}

enum err lineage_rows_begin(sqlite3 *db, struct lineage *l, uint64_t first, struct fault *fault)
{
	struct line line = {.first = first};
	random_hex(line.epoch, LINE_EPOCH_LEN / 2);
	bool replaces = l->count > 0 && l->lines[l->count - 1].first == first;
	if (replaces)
		l->lines[l->count - 1] = line;
	else if (!lineage_append(l, &line))
		return fault_nomem(fault);
	enum err err = db_exec(db, "SAVEPOINT line", fault);
	if (!err)
		err = put(db, &line, fault);
	if (!err)
		err = db_exec(db, "DELETE FROM meta WHERE key = 'copy'; RELEASE line", fault);
	if (err)
		db_rollback(db);
	return err;
}

enum err lineage_rows_in_doubt(sqlite3 *db, bool *doubt, struct fault *fault)
{
	char boot[BOOT_LEN];
	sqlite3_int64 found = 0;
	sys_boot(boot, sizeof boot);
	enum err err = db_integer_with(db, "SELECT 1 FROM meta WHERE key = 'copy' OR (key = 'relaxed' AND value <> ?)",
				       &DB_TEXT(boot), 0, &found, fault);
	*doubt = found != 0;
	return err;
}

/* On stable storage before the first event that may be lost. */
enum err lineage_rows_note_relaxed(sqlite3 *db, bool relaxed, struct fault *fault)
{
	char boot[BOOT_LEN];
	if (!relaxed)
		return meta_delete(db, "relaxed", fault);
	sys_boot(boot, sizeof boot);
	enum err err = db_exec(db, "PRAGMA synchronous=FULL", fault);
	if (!err)
		err = meta_put_text(db, "relaxed", boot, fault);
	return err ? err : db_exec(db, "PRAGMA synchronous=NORMAL", fault);
}
