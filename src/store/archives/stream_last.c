#include "store/archives/stream_last.h"

#include "store/sqlite/db.h"
#include "store/sqlite/meta.h"

enum err stream_last_unknown(sqlite3 *db, uint64_t *seq, struct fault *fault)
{
	int64_t value = 0;
	enum err err = meta_get(db, "last_unknown", 0, &value, fault);
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

enum { SLICE = 10000 }; /* rows that one read transaction takes */

/* Copies the next rows with seqs up to `head`. *unknown becomes `head` if a row has a higher one. */
static enum err copy_rows(sqlite3_stmt *rows, sqlite3_stmt *put, uint64_t head, uint64_t *unknown, int *count,
			  struct fault *fault)
{
	enum err err = ERR_NONE;
	int rc = SQLITE_DONE;
	sqlite3_value *last = NULL;
	for (*count = 0; !err && (rc = sqlite3_step(rows)) == SQLITE_ROW; ++*count) {
		sqlite3_value_free(last);
		last = sqlite3_value_dup(sqlite3_column_value(rows, 0));
		if ((uint64_t)sqlite3_column_int64(rows, 1) > head) {
			*unknown = head;
			continue;
		}
		sqlite3_bind_value(put, 1, sqlite3_column_value(rows, 0));
		sqlite3_bind_value(put, 2, sqlite3_column_value(rows, 1));
		int done = sqlite3_step(put);
		sqlite3_reset(put);
		if (done != SQLITE_DONE)
			err = db_fault(sqlite3_db_handle(put), done, "copying the last seqs of streams", fault);
	}
	if (!err && rc != SQLITE_DONE)
		err = db_fault(sqlite3_db_handle(rows), rc, "reading the last seqs of streams", fault);
	sqlite3_reset(rows);
	if (!err && last != NULL && sqlite3_bind_value(rows, 1, last) != SQLITE_OK)
		err = fault_nomem(fault);
	sqlite3_value_free(last);
	return err;
}

static enum err copy_all(sqlite3 *from, sqlite3_stmt *put, uint64_t head, uint64_t *unknown, struct fault *fault)
{
	sqlite3_stmt *rows;
	int count = SLICE;
	enum err err = db_prepare(from, "SELECT stream, last FROM stream_last WHERE stream > ?1 ORDER BY stream LIMIT ?2",
				  &rows, fault);
	if (err)
		return err;
	sqlite3_bind_text(rows, 1, "", 0, SQLITE_STATIC); /* names are longer */
	sqlite3_bind_int(rows, 2, SLICE);
	while (!err && count == SLICE)
		err = copy_rows(rows, put, head, unknown, &count, fault);
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
	err = copy_all(from, put, head, &unknown, fault);
	sqlite3_finalize(put);
	return err || unknown == 0 ? err : stream_last_note_unknown(to, unknown, false, fault);
}
