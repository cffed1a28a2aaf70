#include "tidemark/history.h"

#include <stdlib.h>

#include "base/clock.h"
#include "store/db.h"
#include "store/page_build.h"
#include "store/reader.h"
#include "store/sum.h"

enum {
	/* More topics than this, and walking the log costs less than asking the postings of each. */
	SEEK_TOPICS_MAX = 1024,
	/* Rows that one page looks at when it walks the log for a filter. */
	WALK_ROWS_MAX = 65536,
};

static const char *const reader_sql[READER_STATEMENTS] = {
	[R_UP] = "SELECT seq, time, topic, id, data, sum FROM event WHERE seq > ?1 AND seq < ?2 ORDER BY seq LIMIT ?3",
	[R_DOWN] =
		"SELECT seq, time, topic, id, data, sum FROM event WHERE seq > ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3",
	[R_ONE] = "SELECT seq, time, topic, id, data, sum FROM event WHERE seq = ?1",
	[R_TIME] = "SELECT time FROM event WHERE seq = ?1",
};

enum err reader_open(struct store *s, struct reader **out, struct fault *fault)
{
	*out = NULL;
	struct reader *r = calloc(1, sizeof *r);
	if (r == NULL)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	r->store = s;
	enum err err = db_open(store_path(s), DB_READ, &r->db, fault);
	for (int i = 0; !err && i < READER_STATEMENTS; i++)
		err = db_prepare(r->db, reader_sql[i], &r->statements[i], fault);
	if (err) {
		reader_close(r);
		return err;
	}
	*out = r;
	return ERR_NONE;
}

void reader_close(struct reader *r)
{
	if (r == NULL)
		return;
	for (int i = 0; i < READER_STATEMENTS; i++)
		sqlite3_finalize(r->statements[i]);
	db_close(r->db);
	free(r);
}

struct selection *history_select_take(struct store *s, struct filter *f)
{
	return selection_create_take(f, store_catalog(s));
}

/* The time of a row as text; rows of one commit share it. */
static const char *time_text(struct reader *r, int64_t time_ms)
{
	if (time_ms != r->text_ms || r->text[0] == '\0') {
		clock_format(time_ms, r->text);
		r->text_ms = time_ms;
	}
	return r->text;
}

enum err reader_row(struct reader *r, sqlite3_stmt *st, struct row *row, struct fault *fault)
{
	row->seq = (uint64_t)sqlite3_column_int64(st, 0);
	row->time_ms = sqlite3_column_int64(st, 1);
	row->topic = (uint32_t)sqlite3_column_int64(st, 2);
	row->id = (struct slice){(const char *)sqlite3_column_text(st, 3), (size_t)sqlite3_column_bytes(st, 3)};
	row->data = (struct slice){(const char *)sqlite3_column_text(st, 4), (size_t)sqlite3_column_bytes(st, 4)};
	struct catalog *catalog = store_catalog(r->store);
	bool known = row->topic < catalog_topics(catalog);
	uint64_t hash = known ? catalog_topic(catalog, row->topic)->hash : 0;
	int32_t sum = (int32_t)sqlite3_column_int64(st, 5);
	if (known && row->data.p != NULL && sum == sum_event(row->seq, row->time_ms, hash, row->id, row->data))
		return ERR_NONE;
	return fault_set(fault, ERR_CORRUPT, "event %llu is damaged: its sum does not match", (unsigned long long)row->seq);
}

/* Adds the row that `st` stands on. */
static enum err add_row(struct reader *r, sqlite3_stmt *st, struct page_builder *b, struct fault *fault)
{
	struct row row;
	enum err err = reader_row(r, st, &row, fault);
	if (err)
		return err;
	struct wire_event w = {row.seq, time_text(r, row.time_ms), catalog_topic(store_catalog(r->store), row.topic)->json,
			       row.id, row.data};
	err = page_builder_add(b, &w, row.time_ms, row.topic);
	return err ? fault_set(fault, err, "out of memory") : ERR_NONE;
}

/* What one page has taken so far, and where it stands. */
struct progress {
	const struct history_query *q;
	struct page_builder *builder;
	uint64_t position; /* the last seq looked at */
	bool full;
};

static void check_full(struct progress *p)
{
	p->full = page_builder_count(p->builder) >= p->q->count_max || page_builder_bytes(p->builder) >= p->q->bytes_max;
}

/* Walks the log. With a selection that is too wide for its postings, only what it has is taken. */
static enum err walk(struct reader *r, struct progress *p, uint64_t before, struct fault *fault)
{
	struct selection *select = p->q->select;
	bool open = selection_is_open(select);
	sqlite3_stmt *st = r->statements[p->q->descending ? R_DOWN : R_UP];
	sqlite3_bind_int64(st, 1, (sqlite3_int64)p->q->after);
	sqlite3_bind_int64(st, 2, (sqlite3_int64)before);
	sqlite3_bind_int64(st, 3, open ? p->q->count_max : WALK_ROWS_MAX);
	enum err err = ERR_NONE;
	int rc = SQLITE_DONE;
	int rows = 0;
	while (!err && !p->full && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		p->position = (uint64_t)sqlite3_column_int64(st, 0);
		if (open || selection_has(select, (uint32_t)sqlite3_column_int64(st, 2)))
			err = add_row(r, st, p->builder, fault);
		check_full(p);
		p->full = p->full || ++rows == WALK_ROWS_MAX;
	}
	if (!err && rc != SQLITE_ROW && rc != SQLITE_DONE)
		err = db_fault(r->db, rc, "reading events", fault);
	sqlite3_reset(st);
	return err;
}

/* Looks the matching seqs up in the trailing index, then reads just these. */
static enum err pick(struct reader *r, struct progress *p, uint64_t before, struct fault *fault)
{
	struct trail_query tq = {p->q->after, before, p->q->descending, p->q->count_max};
	uint64_t *seqs = malloc((size_t)tq.max * sizeof *seqs);
	if (seqs == NULL)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	uint32_t count;
	enum err err =
		trail_find(store_trail(r->store), r->db, p->q->select, store_catalog(r->store), tq, seqs, &count, fault);
	sqlite3_stmt *st = r->statements[R_ONE];
	for (uint32_t i = 0; !err && !p->full && i < count; i++) {
		sqlite3_bind_int64(st, 1, (sqlite3_int64)seqs[i]);
		int rc = sqlite3_step(st);
		if (rc == SQLITE_ROW)
			err = add_row(r, st, p->builder, fault);
		else
			err = rc == SQLITE_DONE ? fault_set(fault, ERR_CORRUPT, "event %llu is indexed, but not there",
							    (unsigned long long)seqs[i])
						: db_fault(r->db, rc, "reading an event", fault);
		sqlite3_reset(st);
		p->position = seqs[i];
		check_full(p);
	}
	free(seqs);
	return err;
}

enum err history_page_as(struct reader *r, const struct history_query *q, enum wire form, struct page **out,
			 struct fault *fault)
{
	*out = NULL;
	uint64_t head = store_head(r->store);
	uint64_t before = q->before == 0 || q->before > head + 1 ? head + 1 : q->before;
	struct progress p = {.q = q, .builder = page_builder_create(form, q->after), .full = q->count_max == 0};
	if (p.builder == NULL)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	bool empty = q->after + 1 >= before || q->count_max == 0;
	enum err err = ERR_NONE;
	if (!empty && !selection_is_open(q->select))
		err = selection_refresh(q->select);
	if (err)
		fault_set(fault, err, "out of memory");
	else if (!empty && (selection_is_open(q->select) || selection_count(q->select) > SEEK_TOPICS_MAX))
		err = walk(r, &p, before, fault);
	else if (!empty)
		err = pick(r, &p, before, fault);
	if (err) {
		page_builder_destroy(p.builder);
		return err;
	}
	/* A full page answers for what it looked at, any other for all that was asked. */
	uint64_t end = q->descending ? q->after : before - 1;
	*out = page_builder_take(p.builder, p.full ? p.position : end);
	return *out != NULL ? ERR_NONE : fault_set(fault, ERR_NOMEM, "out of memory");
}

enum err history_page(struct reader *r, const struct history_query *q, struct page **out, struct fault *fault)
{
	return history_page_as(r, q, WIRE_LINE, out, fault);
}

/* The time of an event that is there; *there is false where retention has taken it. */
static enum err time_of(struct reader *r, uint64_t seq, int64_t *time_ms, struct fault *fault)
{
	sqlite3_stmt *st = r->statements[R_TIME];
	sqlite3_bind_int64(st, 1, (sqlite3_int64)seq);
	int rc = sqlite3_step(st);
	*time_ms = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : INT64_MIN;
	sqlite3_reset(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_NONE : db_fault(r->db, rc, "reading a time", fault);
}

enum err history_seek_time(struct reader *r, int64_t time_ms, uint64_t *seq, struct fault *fault)
{
	/* Time never decreases with seq: bisect. Everything up to `low` is before, everything past `high` is not. */
	uint64_t low = store_first(r->store) - 1;
	uint64_t high = store_head(r->store);
	while (low < high) {
		uint64_t middle = low + (high - low + 1) / 2;
		int64_t at;
		enum err err = time_of(r, middle, &at, fault);
		if (err)
			return err;
		if (at < time_ms)
			low = middle;
		else
			high = middle - 1;
	}
	*seq = low;
	return ERR_NONE;
}
