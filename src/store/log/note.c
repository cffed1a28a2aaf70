/* Notes: small documents of other modules (schema/002_note.sql). */
#include "store/log/store_internal.h"
#include "store/sqlite/db.h"

enum err store_note_put(struct store *s, const char *kind, struct slice key, int64_t at, struct slice value,
			struct fault *fault)
{
	enum err err = store_begin(s, fault);
	if (err)
		return err;
	sqlite3_stmt *st = s->statements[S_NOTE_PUT];
	store_bind(st, 1, slice_of(kind));
	store_bind(st, 2, key);
	sqlite3_bind_int64(st, 3, at);
	store_bind(st, 4, value);
	return store_run(s, S_NOTE_PUT, "storing a note", fault);
}

enum err store_note_delete(struct store *s, const char *kind, struct slice key, struct fault *fault)
{
	enum err err = store_begin(s, fault);
	if (err)
		return err;
	store_bind(s->statements[S_NOTE_DELETE], 1, slice_of(kind));
	store_bind(s->statements[S_NOTE_DELETE], 2, key);
	return store_run(s, S_NOTE_DELETE, "deleting a note", fault);
}

enum err store_note_trim(struct store *s, const char *kind, int64_t before, struct fault *fault)
{
	enum err err = store_begin(s, fault);
	if (err)
		return err;
	store_bind(s->statements[S_NOTE_TRIM], 1, slice_of(kind));
	sqlite3_bind_int64(s->statements[S_NOTE_TRIM], 2, before);
	return store_run(s, S_NOTE_TRIM, "deleting old notes", fault);
}

enum err store_note_each(struct store *s, const char *kind, store_note_fn *each, void *arg, struct fault *fault)
{
	sqlite3_stmt *st;
	enum err err = db_prepare(s->db, "SELECT key, at, value FROM note WHERE kind = ? ORDER BY at", &st, fault);
	if (err)
		return err;
	store_bind(st, 1, slice_of(kind));
	int rc;
	while (!err && (rc = sqlite3_step(st)) != SQLITE_DONE) {
		struct slice key = {(const char *)sqlite3_column_text(st, 0), (size_t)sqlite3_column_bytes(st, 0)};
		struct slice value = {(const char *)sqlite3_column_text(st, 2), (size_t)sqlite3_column_bytes(st, 2)};
		if (rc != SQLITE_ROW)
			err = db_fault(s->db, rc, "loading notes", fault);
		else if ((err = each(arg, key, sqlite3_column_int64(st, 1), value)) != ERR_NONE)
			fault_set(fault, err, "cannot load the note %s of kind %s: %s", key.p, kind, err_name(err));
	}
	sqlite3_finalize(st);
	return err;
}
