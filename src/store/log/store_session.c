/* Sessions in the database. */
#include "store/log/store.h"

#include <stdlib.h>

#include "store/log/store_internal.h"
#include "store/sqlite/db.h"

enum err store_session_put(struct store *s, const struct stored_session *session, struct fault *fault)
{
	sqlite3_stmt *st = s->statements[S_SESSION_PUT];
	enum err err = store_begin(s, fault);
	if (err)
		return err;
	store_bind(st, 1, session->name);
	sqlite3_bind_int64(st, 2, (sqlite3_int64)session->acked);
	sqlite3_bind_int64(st, 3, session->updated_ms);
	if (session->filter.p != NULL)
		store_bind(st, 4, session->filter);
	else
		sqlite3_bind_null(st, 4);
	store_bind(st, 5, session->epoch);
	return store_run(s, S_SESSION_PUT, "storing a session", fault);
}

enum err store_session_each(struct store *s, store_session_fn *each, void *arg, struct fault *fault)
{
	sqlite3_stmt *st;
	enum err err = db_prepare(s->db, "SELECT name, acked, updated, filter, epoch FROM session", &st, fault);
	if (err)
		return err;
	int rc;
	while (!err && (rc = sqlite3_step(st)) != SQLITE_DONE) {
		struct stored_session session = {
			.name = {(const char *)sqlite3_column_text(st, 0), (size_t)sqlite3_column_bytes(st, 0)},
			.acked = (uint64_t)sqlite3_column_int64(st, 1),
			.updated_ms = sqlite3_column_int64(st, 2),
			.filter = {(const char *)sqlite3_column_text(st, 3), (size_t)sqlite3_column_bytes(st, 3)},
			.epoch = {(const char *)sqlite3_column_text(st, 4), (size_t)sqlite3_column_bytes(st, 4)},
		};
		err = rc == SQLITE_ROW ? each(arg, &session) : db_fault(s->db, rc, "loading the sessions", fault);
	}
	sqlite3_finalize(st);
	return err;
}

enum err store_session_delete(struct store *s, struct slice name, struct fault *fault)
{
	enum err err = store_begin(s, fault);
	if (err)
		return err;
	store_bind(s->statements[S_SESSION_DELETE], 1, name);
	return store_run(s, S_SESSION_DELETE, "deleting a session", fault);
}
