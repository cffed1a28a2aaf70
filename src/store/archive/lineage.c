#include "store/archive/lineage.h"

#include <stdlib.h>
#include <string.h>

#include "base/system/random.h"
#include "base/system/sys.h"
#include "store/sqlite/db.h"

enum { BOOT_LEN = 40 };

void lineage_finish(struct lineage *l)
{
	free(l->lines);
	*l = (struct lineage){0};
}

static bool add(struct lineage *l, const struct line *line)
{
	struct line *lines = realloc(l->lines, (l->count + 1) * sizeof *lines);
	if (lines == NULL)
		return false;
	l->lines = lines;
	l->lines[l->count++] = *line;
	return true;
}

bool lineage_copy(struct lineage *out, const struct line *lines, uint32_t count)
{
	*out = (struct lineage){0};
	for (uint32_t i = 0; i < count; i++)
		if (!add(out, &lines[i])) {
			lineage_finish(out);
			return false;
		}
	return true;
}

/* --- in the database --- */

static enum err add_row(struct lineage *l, sqlite3_stmt *st, struct fault *fault)
{
	struct line line = {.first = (uint64_t)sqlite3_column_int64(st, 0)};
	if (line.first == 0 || sqlite3_column_bytes(st, 1) != STORE_EPOCH_LEN)
		return fault_set(fault, ERR_CORRUPT, "the line of history that begins with event %llu is damaged",
				 (unsigned long long)line.first);
	memcpy(line.epoch, sqlite3_column_text(st, 1), STORE_EPOCH_LEN);
	return add(l, &line) ? ERR_NONE : fault_set(fault, ERR_NOMEM, "out of memory");
}

enum err lineage_load(sqlite3 *db, struct lineage *out, struct fault *fault)
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

enum err lineage_save_copy(sqlite3 *db, const struct lineage *l, uint64_t last, struct fault *fault)
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

enum err lineage_begin(sqlite3 *db, struct lineage *l, uint64_t first, struct fault *fault)
{
	struct line line = {.first = first};
	random_hex(line.epoch, STORE_EPOCH_LEN / 2);
	bool replaces = l->count > 0 && l->lines[l->count - 1].first == first;
	if (replaces)
		l->lines[l->count - 1] = line;
	else if (!add(l, &line))
		return fault_set(fault, ERR_NOMEM, "out of memory");
	enum err err = db_exec(db, "SAVEPOINT line", fault);
	if (!err)
		err = put(db, &line, fault);
	if (!err)
		err = db_exec(db, "DELETE FROM meta WHERE key = 'copy'; RELEASE line", fault);
	if (err)
		db_rollback(db);
	return err;
}

enum err lineage_in_doubt(sqlite3 *db, bool *doubt, struct fault *fault)
{
	char boot[BOOT_LEN];
	sqlite3_int64 found = 0;
	sys_boot(boot, sizeof boot);
	enum err err = db_integer_with(db, "SELECT 1 FROM meta WHERE key = 'copy' OR (key = 'relaxed' AND value <> ?)", 1,
				       &DB_TEXT(boot), 0, &found, fault);
	*doubt = found != 0;
	return err;
}

/* On the disk before the first event that may be lost. */
enum err lineage_note_relaxed(sqlite3 *db, bool relaxed, struct fault *fault)
{
	char boot[BOOT_LEN];
	if (!relaxed)
		return db_exec(db, "DELETE FROM meta WHERE key = 'relaxed'", fault);
	sys_boot(boot, sizeof boot);
	enum err err = db_exec(db, "PRAGMA synchronous=FULL", fault);
	if (!err)
		err = db_exec_with(db, "INSERT OR REPLACE INTO meta(key, value) VALUES ('relaxed', ?)", 1, &DB_TEXT(boot),
				   fault);
	return err ? err : db_exec(db, "PRAGMA synchronous=NORMAL", fault);
}

/* --- asking --- */

void lineage_write(struct buf *out, const struct line *lines, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		buf_printf(out, "%s{\"epoch\":\"%s\",\"first\":%llu}", i > 0 ? "," : "[", lines[i].epoch,
			   (unsigned long long)lines[i].first);
	buf_adds(out, count > 0 ? "]" : "[]");
}

bool lineage_end(const struct lineage *l, const char *epoch, uint64_t *end)
{
	for (uint32_t i = 0; i < l->count; i++)
		if (strcmp(l->lines[i].epoch, epoch) == 0) {
			*end = i + 1 < l->count ? l->lines[i + 1].first - 1 : UINT64_MAX;
			return true;
		}
	return false;
}

uint32_t lineage_span(const struct lineage *l, uint64_t first, uint64_t last, uint32_t *count)
{
	uint32_t from = 0;
	while (from + 1 < l->count && l->lines[from + 1].first <= first)
		from++;
	uint32_t end = from;
	while (end < l->count && l->lines[end].first <= last)
		end++;
	*count = end - from;
	return from;
}

bool lineage_is(const struct lineage *l, uint64_t first, uint64_t last, const struct line *lines, uint32_t count)
{
	uint32_t known;
	uint32_t from = lineage_span(l, first, last, &known);
	if (known != count)
		return false;
	for (uint32_t i = 0; i < count; i++)
		if (l->lines[from + i].first != lines[i].first || strcmp(l->lines[from + i].epoch, lines[i].epoch) != 0)
			return false;
	return true;
}

enum err lineage_join(struct lineage *l, uint64_t head, uint64_t first, uint64_t last, const struct line *lines,
		      uint32_t count, bool *same)
{
	uint64_t known = last < head ? last : head;
	uint32_t old = 0; /* of `lines`: those that events up to `known` are on */
	while (old < count && lines[old].first <= known)
		old++;
	uint64_t from = first > 1 ? first - 1 : 1;
	*same = l->count == 0 || from > known || lineage_is(l, from, known, lines, old);
	if (!*same)
		return ERR_NONE;
	/* A line without events yet: they come from the other. */
	while (last > head && l->count > 0 && l->lines[l->count - 1].first > head)
		l->count--;
	for (uint32_t i = l->count == 0 ? 0 : old; i < count; i++)
		if (!add(l, &lines[i]))
			return ERR_NOMEM;
	return ERR_NONE;
}

enum err lineage_insert(struct lineage *l, const struct line *line, bool *same)
{
	uint32_t at = 0;
	while (at < l->count && l->lines[at].first < line->first)
		at++;
	bool there = at < l->count && l->lines[at].first == line->first;
	*same = !there || strcmp(l->lines[at].epoch, line->epoch) == 0;
	if (there)
		return ERR_NONE;
	if (!add(l, line))
		return ERR_NOMEM;
	memmove(l->lines + at + 1, l->lines + at, (l->count - 1 - at) * sizeof *l->lines);
	l->lines[at] = *line;
	return ERR_NONE;
}
