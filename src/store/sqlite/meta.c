#include "store/sqlite/meta.h"

#include <stdio.h>

static const char select_sql[] = "SELECT value FROM meta WHERE key = ?";
static const char put_sql[] = "INSERT OR REPLACE INTO meta(key, value) VALUES (?, ?)";

enum err meta_get(sqlite3 *db, const char *key, int64_t missing, int64_t *out, struct fault *fault)
{
	sqlite3_int64 value = missing;
	enum err err = db_integer_with(db, select_sql, &DB_TEXT(key), missing, &value, fault);
	*out = value;
	return err;
}

enum err meta_get_text(sqlite3 *db, const char *key, struct buf *out, bool *there, struct fault *fault)
{
	sqlite3_stmt *st;
	*there = false;
	enum err err = db_prepare(db, select_sql, &st, fault);
	if (err)
		return err;
	sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC);
	int rc = sqlite3_step(st);
	*there = rc == SQLITE_ROW;
	if (*there)
		buf_add(out, sqlite3_column_text(st, 0), (size_t)sqlite3_column_bytes(st, 0));
	else if (rc != SQLITE_DONE)
		err = db_fault(db, rc, "reading the table meta", fault);
	sqlite3_finalize(st);
	if (buf_reserve(out, 1))
		out->data[out->len] = '\0';
	return err ? err : buf_failed(out) ? fault_nomem(fault) : ERR_NONE;
}

void meta_get_short(sqlite3 *db, const char *key, char *out, size_t size)
{
	struct buf text;
	struct fault unsaid;
	bool there;
	buf_init(&text);
	if (meta_get_text(db, key, &text, &there, &unsaid) == ERR_NONE && there)
		snprintf(out, size, "%s", text.data);
	buf_finish(&text);
}

enum err meta_put(sqlite3 *db, const char *key, int64_t value, struct fault *fault)
{
	const struct db_value values[] = {DB_TEXT(key), DB_NUMBER(value)};
	return db_exec_with(db, put_sql, 2, values, fault);
}

enum err meta_put_text(sqlite3 *db, const char *key, const char *value, struct fault *fault)
{
	const struct db_value values[] = {DB_TEXT(key), DB_TEXT(value)};
	return db_exec_with(db, put_sql, 2, values, fault);
}

enum err meta_delete(sqlite3 *db, const char *key, struct fault *fault)
{
	return db_exec_with(db, "DELETE FROM meta WHERE key = ?", 1, &DB_TEXT(key), fault);
}
