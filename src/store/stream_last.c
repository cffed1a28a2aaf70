#include "store/stream_last.h"

#include "store/db.h"

enum err stream_last_unknown(sqlite3 *db, uint64_t *seq, struct fault *fault)
{
	sqlite3_int64 value = 0;
	enum err err = db_integer(db, "SELECT value FROM meta WHERE key = 'last_unknown'", 0, &value, fault);
	*seq = (uint64_t)value;
	return err;
}

enum err stream_last_note_unknown(sqlite3 *db, uint64_t seq, bool accept, struct fault *fault)
{
	const struct db_value value = DB_NUMBER(seq);
	return db_exec_with(db,
			    accept ? "INSERT OR REPLACE INTO meta(key, value) VALUES ('last_unknown', ?)"
				   : "INSERT INTO meta(key, value) VALUES ('last_unknown', ?) "
				     "ON CONFLICT(key) DO UPDATE SET value = max(value, excluded.value)",
			    1, &value, fault);
}

/* The rows of `from`, at most `head`; *unknown is `head` where one is past it. */
static enum err copy_rows(sqlite3 *from, sqlite3_stmt *put, uint64_t head, uint64_t *unknown, struct fault *fault)
{
	sqlite3_stmt *rows;
	enum err err = db_prepare(from, "SELECT stream, last FROM stream_last", &rows, fault);
	if (err)
		return err;
	int rc = SQLITE_DONE;
	while (!err && (rc = sqlite3_step(rows)) == SQLITE_ROW) {
		if ((uint64_t)sqlite3_column_int64(rows, 1) > head) {
			*unknown = head;
			continue;
		}
		sqlite3_bind_value(put, 1, sqlite3_column_value(rows, 0));
		sqlite3_bind_value(put, 2, sqlite3_column_value(rows, 1));
		int done = sqlite3_step(put);
		sqlite3_reset(put);
		err = done == SQLITE_DONE
			      ? ERR_NONE
			      : db_fault(sqlite3_db_handle(put), done, "copying the last seqs of streams", fault);
	}
	if (!err && rc != SQLITE_DONE)
		err = db_fault(from, rc, "reading the last seqs of streams", fault);
	sqlite3_finalize(rows);
	return err;
}

enum err stream_last_copy(sqlite3 *from, sqlite3 *to, uint64_t head, struct fault *fault)
{
	sqlite3_stmt *put;
	uint64_t unknown = 0;
	enum err err = stream_last_unknown(from, &unknown, fault);
	if (!err)
		err = db_prepare(to, STREAM_LAST_PUT, &put, fault);
	if (err)
		return err;
	unknown = unknown < head ? unknown : head;
	err = copy_rows(from, put, head, &unknown, fault);
	sqlite3_finalize(put);
	return err || unknown == 0 ? err : stream_last_note_unknown(to, unknown, false, fault);
}
