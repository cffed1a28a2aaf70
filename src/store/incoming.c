#include "store/incoming.h"

#include "store/db.h"

enum column { SEQ, TIME, TOPIC, ID, DATA, SUM };

struct table {
	sqlite3_vtab base; /* first: SQLite's */
	const struct incoming *in;
};

struct cursor {
	sqlite3_vtab_cursor base; /* first: SQLite's */
	const struct incoming_row *row;
	const struct incoming_row *end;
};

static int on_connect(sqlite3 *db, void *arg, int argc, const char *const *argv, sqlite3_vtab **out, char **error)
{
	(void)argc;
	(void)argv;
	(void)error;
	int rc = sqlite3_declare_vtab(db, "CREATE TABLE incoming(seq, time, topic, id, data, sum)");
	struct table *t = rc == SQLITE_OK ? sqlite3_malloc(sizeof *t) : NULL;
	if (t == NULL)
		return rc == SQLITE_OK ? SQLITE_NOMEM : rc;
	*t = (struct table){.in = arg};
	*out = &t->base;
	return SQLITE_OK;
}

static int on_disconnect(sqlite3_vtab *table)
{
	sqlite3_free(table);
	return SQLITE_OK;
}

static int on_best_index(sqlite3_vtab *table, sqlite3_index_info *info)
{
	(void)table;
	(void)info; /* there is one way: from the first to the last */
	return SQLITE_OK;
}

static int on_open(sqlite3_vtab *table, sqlite3_vtab_cursor **out)
{
	(void)table;
	struct cursor *c = sqlite3_malloc(sizeof *c);
	if (c == NULL)
		return SQLITE_NOMEM;
	*c = (struct cursor){0};
	*out = &c->base;
	return SQLITE_OK;
}

static int on_close(sqlite3_vtab_cursor *cursor)
{
	sqlite3_free(cursor);
	return SQLITE_OK;
}

static int on_filter(sqlite3_vtab_cursor *cursor, int number, const char *text, int argc, sqlite3_value **argv)
{
	(void)number;
	(void)text;
	(void)argc;
	(void)argv;
	struct cursor *c = (struct cursor *)cursor;
	const struct incoming *in = ((const struct table *)cursor->pVtab)->in;
	c->row = in->rows;
	c->end = in->rows + in->count;
	return SQLITE_OK;
}

static int on_next(sqlite3_vtab_cursor *cursor)
{
	((struct cursor *)cursor)->row++;
	return SQLITE_OK;
}

static int on_eof(sqlite3_vtab_cursor *cursor)
{
	const struct cursor *c = (const struct cursor *)cursor;
	return c->row == c->end;
}

static void put_text(sqlite3_context *out, struct slice text)
{
	sqlite3_result_text(out, text.p, (int)text.len, SQLITE_STATIC);
}

static int on_column(sqlite3_vtab_cursor *cursor, sqlite3_context *out, int column)
{
	const struct incoming_row *r = ((const struct cursor *)cursor)->row;
	switch ((enum column)column) {
	case SEQ: sqlite3_result_int64(out, (sqlite3_int64)r->seq); break;
	case TIME: sqlite3_result_int64(out, r->time_ms); break;
	case TOPIC: sqlite3_result_int64(out, r->topic); break;
	case ID:
		if (r->id.len > 0)
			put_text(out, r->id);
		break; /* NULL is what it is without a result */
	case DATA: put_text(out, r->data); break;
	case SUM: sqlite3_result_int64(out, r->sum); break;
	}
	return SQLITE_OK;
}

static int on_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *out)
{
	*out = (sqlite3_int64)((const struct cursor *)cursor)->row->seq;
	return SQLITE_OK;
}

enum err incoming_register(sqlite3 *db, struct incoming *in, struct fault *fault)
{
	/* Without xCreate it is there by itself, in no schema. */
	static const sqlite3_module module = {
		.xConnect = on_connect,
		.xBestIndex = on_best_index,
		.xDisconnect = on_disconnect,
		.xOpen = on_open,
		.xClose = on_close,
		.xFilter = on_filter,
		.xNext = on_next,
		.xEof = on_eof,
		.xColumn = on_column,
		.xRowid = on_rowid,
	};
	int rc = sqlite3_create_module(db, "incoming", &module, in);
	return rc == SQLITE_OK ? ERR_NONE : db_fault(db, rc, "making a table of what comes in", fault);
}
