#include "store/aside.h"

#include <stdio.h>

#include "store/db.h"
#include "store/store_inside.h"

enum { SQL_LEN = 512 };

static enum err copy_table(sqlite3 *from, sqlite3 *to, const char *table, struct fault *fault)
{
	char sql[SQL_LEN];
	sqlite3_stmt *rows = NULL;
	sqlite3_stmt *put = NULL;
	snprintf(sql, sizeof sql, "CREATE TEMP TABLE aside_%s AS SELECT * FROM %s WHERE 0", table, table);
	enum err err = db_exec(to, sql, fault);
	snprintf(sql, sizeof sql, "SELECT * FROM %s", table);
	if (!err)
		err = db_prepare(from, sql, &rows, fault);
	int columns = err ? 0 : sqlite3_column_count(rows);
	int n = snprintf(sql, sizeof sql, "INSERT INTO temp.aside_%s VALUES (?", table);
	for (int i = 1; i < columns; i++)
		n += snprintf(sql + n, sizeof sql - (size_t)n, ",?");
	snprintf(sql + n, sizeof sql - (size_t)n, ")");
	if (!err)
		err = db_prepare(to, sql, &put, fault);
	int rc = SQLITE_DONE;
	while (!err && (rc = sqlite3_step(rows)) == SQLITE_ROW) {
		for (int i = 0; i < columns; i++)
			sqlite3_bind_value(put, i + 1, sqlite3_column_value(rows, i));
		int done = sqlite3_step(put);
		sqlite3_reset(put);
		err = done == SQLITE_DONE ? ERR_NONE : db_fault(to, done, table, fault);
	}
	if (!err && rc != SQLITE_DONE)
		err = db_fault(from, rc, table, fault);
	sqlite3_finalize(rows);
	sqlite3_finalize(put);
	return err;
}

enum err aside_read_db(sqlite3 *from, struct store *to, struct fault *fault)
{
	static const char *const tables[] = {"session", "note", "id_past"};
	enum err err = db_exec(from, "BEGIN", fault);
	for (size_t i = 0; !err && i < sizeof tables / sizeof *tables; i++)
		err = copy_table(from, to->db, tables[i], fault);
	db_rollback(from);
	return err;
}

enum err aside_read(const char *dir, struct store *to, struct fault *fault)
{
	char path[STORE_PATH_LEN + 16];
	sqlite3 *from;
	snprintf(path, sizeof path, "%s/tidemark.db", dir);
	enum err err = db_open(path, DB_READ, &from, fault);
	if (err)
		return err;
	err = aside_read_db(from, to, fault);
	db_close(from);
	return err;
}

enum err aside_write(struct store *to, uint64_t head, bool ids, struct fault *fault)
{
	char sessions[SQL_LEN];
	char notes[SQL_LEN];
	char past[SQL_LEN];
	snprintf(sessions, sizeof sessions,
		 "DELETE FROM session; INSERT INTO session(name, acked, updated) "
		 "SELECT name, min(acked, %llu), updated FROM temp.aside_session",
		 (unsigned long long)head);
	/* Figures that count events past the end are left out: they are counted again from the log. */
	snprintf(notes, sizeof notes,
		 "DELETE FROM note; INSERT INTO note SELECT * FROM temp.aside_note WHERE kind NOT IN "
		 "('monitor', 'service', 'minute', 'conversation') OR "
		 "(SELECT max(at) FROM temp.aside_note WHERE kind = 'monitor') <= %llu",
		 (unsigned long long)head);
	snprintf(past, sizeof past, "INSERT OR REPLACE INTO id_past SELECT * FROM temp.aside_id_past WHERE seq <= %llu",
		 (unsigned long long)head);
	enum err err = db_exec(to->db, sessions, fault);
	if (!err)
		err = db_exec(to->db, notes, fault);
	if (!err && ids)
		err = db_exec(to->db, past, fault);
	return err;
}
