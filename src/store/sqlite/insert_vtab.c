#include "store/sqlite/insert_vtab.h"

#include <assert.h>

#include "store/sqlite/db.h"

enum event_column { SEQ, TIME, TOPIC, ID, DATA, SUM };
enum topic_column { NUMBER, STREAM, TYPE, FIRST, LAST, COUNT, BYTES };

struct table {
	sqlite3_vtab base; /* first: SQLite's */
	const struct insert_rows *in;
	size_t row_size;
};

struct cursor {
	sqlite3_vtab_cursor base; /* first: SQLite's */
	const char *row;
	const char *end;
};

static int connect_as(sqlite3 *db, const char *sql, size_t row_size, void *arg, sqlite3_vtab **out)
{
	int rc = sqlite3_declare_vtab(db, sql);
	struct table *t = rc == SQLITE_OK ? sqlite3_malloc(sizeof *t) : NULL;
	if (t == NULL)
		return rc == SQLITE_OK ? SQLITE_NOMEM : rc;
	*t = (struct table){.in = arg, .row_size = row_size};
	*out = &t->base;
	return SQLITE_OK;
}

static int on_connect_events(sqlite3 *db, void *arg, int argc, const char *const *argv, sqlite3_vtab **out, char **error)
{
	(void)argc;
	(void)argv;
	(void)error;
	return connect_as(db, "CREATE TABLE incoming(seq, time, topic, id, data, sum)", sizeof(struct insert_row), arg, out);
}

static int on_connect_topics(sqlite3 *db, void *arg, int argc, const char *const *argv, sqlite3_vtab **out, char **error)
{
	(void)argc;
	(void)argv;
	(void)error;
	return connect_as(db, "CREATE TABLE incoming_topic(id, stream, type, first, last, count, bytes)",
			  sizeof(struct insert_topic), arg, out);
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
	const struct table *t = (const struct table *)cursor->pVtab;
	assert(t->in->count == 0 || t->in->rows != NULL);
	c->row = t->in->rows;
	c->end = t->in->count > 0 ? c->row + t->in->count * t->row_size : c->row;
	return SQLITE_OK;
}

static int on_next(sqlite3_vtab_cursor *cursor)
{
	struct cursor *c = (struct cursor *)cursor;
	assert(c->row < c->end);
	c->row += ((const struct table *)cursor->pVtab)->row_size;
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

static int on_event_column(sqlite3_vtab_cursor *cursor, sqlite3_context *out, int column)
{
	const struct insert_row *r = (const void *)((const struct cursor *)cursor)->row;
	switch ((enum event_column)column) {
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

/* With the figures of its first event: store_internal.h says when they hold. */
static int on_topic_column(sqlite3_vtab_cursor *cursor, sqlite3_context *out, int column)
{
	const struct insert_topic *t = (const void *)((const struct cursor *)cursor)->row;
	switch ((enum topic_column)column) {
	case NUMBER: sqlite3_result_int64(out, t->topic); break;
	case STREAM: put_text(out, t->stream); break;
	case TYPE: put_text(out, t->type); break;
	case FIRST:
	case LAST: sqlite3_result_int64(out, (sqlite3_int64)t->first); break;
	case COUNT: sqlite3_result_int64(out, t->first != 0); break;
	case BYTES: sqlite3_result_int64(out, t->bytes); break;
	}
	return SQLITE_OK;
}

/* The address of the row; the value is not used. */
static int on_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *out)
{
	*out = (sqlite3_int64)(intptr_t)((const struct cursor *)cursor)->row;
	return SQLITE_OK;
}

/* Without xCreate the tables are eponymous: they exist without being created. */
#define MODULE(connect, column)                                                                                             \
	{                                                                                                                   \
		.xConnect = (connect), .xBestIndex = on_best_index, .xDisconnect = on_disconnect, .xOpen = on_open,         \
		.xClose = on_close, .xFilter = on_filter, .xNext = on_next, .xEof = on_eof, .xColumn = (column),            \
		.xRowid = on_rowid,                                                                                         \
	}

enum err insert_vtab_register(sqlite3 *db, struct insert_rows *events, struct insert_rows *topics, struct fault *fault)
{
	static const sqlite3_module event_module = MODULE(on_connect_events, on_event_column);
	static const sqlite3_module topic_module = MODULE(on_connect_topics, on_topic_column);
	int rc = sqlite3_create_module(db, "incoming", &event_module, events);
	if (rc == SQLITE_OK)
		rc = sqlite3_create_module(db, "incoming_topic", &topic_module, topics);
	return rc == SQLITE_OK ? ERR_NONE : db_fault(db, rc, "making the tables for inserts", fault);
}
