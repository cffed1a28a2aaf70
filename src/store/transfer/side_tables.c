#include "store/transfer/side_tables.h"

#include "base/system/path.h"
#include "store/log/store_internal.h"
#include "store/sqlite/db.h"

/* A table, and its copy in the temporary database. */
struct side_table {
	const char *create;
	const char *select;
	const char *insert;
};

static const struct side_table tables[] = {
	{"CREATE TEMP TABLE side_session AS SELECT * FROM session WHERE 0",
	 "SELECT name, acked, updated, filter, epoch FROM session",
	 "INSERT INTO temp.side_session(name, acked, updated, filter, epoch) VALUES (?, ?, ?, ?, ?)"},
	{"CREATE TEMP TABLE side_note AS SELECT * FROM note WHERE 0", "SELECT kind, key, at, value FROM note",
	 "INSERT INTO temp.side_note(kind, key, at, value) VALUES (?, ?, ?, ?)"},
};

enum { SLICE = 10000 }; /* rows that one read transaction takes */

/* Up to a million rows: each read transaction takes a part of them, so that a server can write its log back. */
static const struct side_table expired_ids = {
	"CREATE TEMP TABLE side_id_past AS SELECT * FROM id_past WHERE 0",
	"SELECT seq, key, tag FROM id_past WHERE seq > ?1 ORDER BY seq LIMIT ?2",
	"INSERT INTO temp.side_id_past(seq, key, tag) VALUES (?, ?, ?)",
};

/* The rows that `rows` finds now; *last is the number in the first column of the last one. */
static enum err copy_rows(sqlite3_stmt *rows, sqlite3_stmt *put, sqlite3_int64 *last, int *count, struct fault *fault)
{
	enum err err = ERR_NONE;
	int rc = SQLITE_DONE;
	for (*count = 0; !err && (rc = sqlite3_step(rows)) == SQLITE_ROW; ++*count) {
		for (int i = 0; i < sqlite3_column_count(rows); i++)
			sqlite3_bind_value(put, i + 1, sqlite3_column_value(rows, i));
		*last = sqlite3_column_int64(rows, 0);
		int done = sqlite3_step(put);
		sqlite3_reset(put);
		if (done != SQLITE_DONE)
			err = db_fault(sqlite3_db_handle(put), done, "copying sessions, notes and ids", fault);
	}
	if (!err && rc != SQLITE_DONE)
		err = db_fault(sqlite3_db_handle(rows), rc, "reading sessions, notes and ids", fault);
	sqlite3_reset(rows);
	return err;
}

static enum err copy_table(sqlite3 *from, sqlite3 *to, const struct side_table *t, struct fault *fault)
{
	sqlite3_stmt *rows = NULL;
	sqlite3_stmt *put = NULL;
	sqlite3_int64 last = 0;
	enum err err = db_exec(to, t->create, fault);
	if (!err)
		err = db_prepare(from, t->select, &rows, fault);
	if (!err)
		err = db_prepare(to, t->insert, &put, fault);
	for (int count = SLICE; !err && count == SLICE;) { /* rows added meanwhile belong to events that are not copied */
		bool in_slices =
			sqlite3_bind_int64(rows, 1, last) == SQLITE_OK && sqlite3_bind_int(rows, 2, SLICE) == SQLITE_OK;
		err = copy_rows(rows, put, &last, &count, fault);
		count = in_slices ? count : 0;
	}
	sqlite3_finalize(rows);
	sqlite3_finalize(put);
	return err;
}

enum err side_tables_read_db(sqlite3 *from, struct store *to, struct fault *fault)
{
	enum err err = db_exec(from, "BEGIN", fault);
	for (size_t i = 0; !err && i < sizeof tables / sizeof *tables; i++)
		err = copy_table(from, to->db, &tables[i], fault);
	db_rollback(from);
	return err ? err : copy_table(from, to->db, &expired_ids, fault);
}

enum err side_tables_read(const char *dir, struct store *to, struct fault *fault)
{
	char path[PATH_MAX];
	sqlite3 *from;
	store_files_db(dir, path);
	enum err err = db_open(path, DB_READ, &from, fault);
	if (err)
		return err;
	err = side_tables_read_db(from, to, fault);
	db_close(from);
	return err;
}

enum err side_tables_write(struct store *to, uint64_t head, bool ids, struct fault *fault)
{
	const struct db_value end = DB_NUMBER(head);
	enum err err = db_exec(to->db, "DELETE FROM session; DELETE FROM note", fault);
	/* A position after the end is past the end of its line, so its reader gets a gap. */
	if (!err)
		err = db_exec(to->db, "INSERT INTO session SELECT * FROM temp.side_session", fault);
	/* Figures that count events past the end are left out: they are counted again from the log. */
	if (!err)
		err = db_exec_with(to->db,
				   "INSERT INTO note SELECT * FROM temp.side_note WHERE kind NOT IN "
				   "('monitor', 'service', 'minute', 'conversation', 'quarantine') OR "
				   "(SELECT max(at) FROM temp.side_note WHERE kind = 'monitor') <= ?",
				   1, &end, fault);
	if (!err && ids)
		err = db_exec_with(to->db, "INSERT OR REPLACE INTO id_past SELECT * FROM temp.side_id_past WHERE seq <= ?",
				   1, &end, fault);
	return err;
}
