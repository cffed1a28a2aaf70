#include "store/read/history.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/data/checksum.h"
#include "base/system/clock.h"
#include "event/page_build.h"
#include "store/read/reader.h"
#include "store/sqlite/db.h"

enum {
	/* With more topics than this, walking the log costs less than reading the postings of each topic. */
	SEEK_TOPICS_MAX = 1024,
	/* Rows that one page examines when it walks the log for a filter. */
	WALK_ROWS_MAX = 65536,
	PICK_ROWS = 4096, /* rows that it examines for conditions on payloads */
	MANY_ROWS = 256,
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
		return fault_nomem(fault);
	r->store = s;
	enum err err = db_open(store_path(s), DB_READ, &r->db, fault);
	for (int i = 0; !err && i < READER_STATEMENTS; i++)
		err = db_prepare(r->db, reader_sql[i], &r->statements[i], fault);
	if (!err)
		err = postings_open(&r->postings, r->db, store_catalog(s), fault);
	if (!err && (r->archives = archive_source_create(store_archives(s), store_catalog(s))) == NULL)
		err = fault_nomem(fault);
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
	postings_close(&r->postings);
	archive_source_destroy(r->archives);
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
	row->names = catalog_topic(store_catalog(r->store), row->topic);
	int32_t sum = (int32_t)sqlite3_column_int64(st, 5);
	if (row->names.stream.p != NULL && row->data.p != NULL &&
	    sum == checksum_event(row->seq, row->time_ms, row->names.hash, row->id, row->data))
		return ERR_NONE;
	return fault_set(fault, ERR_CORRUPT, "event %" PRIu64 " is damaged: its sum does not match", row->seq);
}

/* Adds the current row of `st`, if its payload fulfils the conditions. */
static enum err add_row(struct reader *r, sqlite3_stmt *st, const struct where *where, struct page_builder *b,
			struct fault *fault)
{
	struct row row;
	enum err err = reader_row(r, st, &row, fault);
	if (err || (where != NULL && !where_holds(where, row.names.type, row.data)))
		return err;
	struct encoding_event w = {row.seq, time_text(r, row.time_ms), row.names.json, row.id, row.data};
	err = page_builder_add(b, &w, row.time_ms, row.topic);
	return err ? fault_set(fault, err, "out of memory") : ERR_NONE;
}

/* The state of a page that is being read. The bounds are those of the part that it is read from: the log, or one archive. */
struct progress {
	const struct history_query *q;
	struct page_builder *builder;
	uint64_t after;
	uint64_t before;
	uint64_t position; /* the last seq that was examined */
	uint32_t rows;
	bool full;
};

static void check_full(struct progress *p)
{
	p->full = page_builder_count(p->builder) >= p->q->count_max || page_builder_bytes(p->builder) >= p->q->bytes_max ||
		  ++p->rows == WALK_ROWS_MAX;
}

static enum err missing(uint64_t seq, struct fault *fault)
{
	return fault_set(fault, ERR_CORRUPT, "event %" PRIu64 " is missing", seq);
}

/* Walks the log, and tests each event with the selection. The log has no holes: each row must follow the one before, and the
 * last must end the range. */
static enum err walk(struct reader *r, struct progress *p, struct fault *fault)
{
	bool down = p->q->descending;
	uint64_t next = down ? p->before - 1 : p->after + 1;
	struct selection *select = p->q->select;
	const struct where *where = selection_where(select);
	bool open = selection_is_open(select);
	sqlite3_stmt *st = r->statements[down ? R_DOWN : R_UP];
	sqlite3_bind_int64(st, 1, (sqlite3_int64)p->after);
	sqlite3_bind_int64(st, 2, (sqlite3_int64)p->before);
	sqlite3_bind_int64(st, 3, open ? p->q->count_max : WALK_ROWS_MAX);
	enum err err = ERR_NONE;
	int rc = SQLITE_DONE;
	while (!err && !p->full && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		p->position = (uint64_t)sqlite3_column_int64(st, 0);
		if (p->position != next)
			err = missing(next, fault);
		else if (open || selection_has(select, (uint32_t)sqlite3_column_int64(st, 2)))
			err = add_row(r, st, where, p->builder, fault);
		next = down ? next - 1 : next + 1;
		check_full(p);
	}
	if (!err && rc != SQLITE_ROW && rc != SQLITE_DONE)
		err = db_fault(r->db, rc, "reading events", fault);
	if (!err && !p->full && next != (down ? p->after : p->before))
		err = missing(next, fault);
	sqlite3_reset(st);
	return err;
}

/* Reads just these events. */
static enum err pick_rows(struct reader *r, struct progress *p, const uint64_t *seqs, uint32_t count, struct fault *fault)
{
	/* One read transaction for all: a transaction costs as much as a row or two. */
	enum err err = db_exec(r->db, "BEGIN", fault);
	if (err)
		return err;
	sqlite3_stmt *st = r->statements[R_ONE];
	const struct where *where = selection_where(p->q->select);
	for (uint32_t i = 0; !err && !p->full && i < count; i++) {
		sqlite3_bind_int64(st, 1, (sqlite3_int64)seqs[i]);
		int rc = sqlite3_step(st);
		if (rc == SQLITE_ROW)
			err = add_row(r, st, where, p->builder, fault);
		else
			err = rc == SQLITE_DONE
				      ? fault_set(fault, ERR_CORRUPT, "event %" PRIu64 " is indexed, but not there", seqs[i])
				      : db_fault(r->db, rc, "reading an event", fault);
		sqlite3_reset(st);
		p->position = seqs[i];
		check_full(p);
	}
	db_rollback(r->db);
	return err;
}

/* Finds the matching seqs in the index, then reads these events; with conditions on payloads, more than the page can hold.
 */
static enum err pick(struct reader *r, struct progress *p, struct fault *fault)
{
	bool by_payload = selection_where(p->q->select) != NULL;
	uint32_t max = by_payload && p->q->count_max < PICK_ROWS ? PICK_ROWS : p->q->count_max;
	struct seq_query sq = {p->after, p->before, p->q->descending, max};
	uint64_t *seqs = malloc((size_t)sq.max * sizeof *seqs);
	if (seqs == NULL)
		return fault_nomem(fault);
	struct seq_list found = {seqs, 0};
	enum err err = index_tail_find(store_index_tail(r->store), &r->postings, p->q->select, sq, &found, fault);
	if (!err && found.count > 0)
		err = pick_rows(r, p, seqs, found.count, fault);
	assert(err || found.count <= max);
	p->full = p->full || found.count == max; /* there may be more */
	free(seqs);
	return err;
}

/* --- from archives --- */

struct archive_walk {
	struct progress *progress;
	struct selection *select; /* NULL: everything */
};

static enum err on_archived(void *arg, const struct archived *event, bool *more, struct fault *fault)
{
	struct archive_walk *w = arg;
	struct progress *p = w->progress;
	enum err err = ERR_NONE;
	p->position = event->envelope.seq;
	const struct where *where = selection_where(w->select);
	if (selection_has(w->select, event->topic) &&
	    (where == NULL || where_holds(where, event->envelope.type, event->envelope.data)))
		err = page_builder_add_envelope(p->builder, p->position, event->text, event->time_ms, event->topic);
	check_full(p);
	*more = !p->full;
	return err ? fault_set(fault, err, "out of memory") : ERR_NONE;
}

/* Sets the bounds to the part in which the page begins; *archived: it is an archive. */
static enum err find_part(struct reader *r, struct progress *p, struct manifest *m, bool *archived, struct fault *fault)
{
	uint64_t after = p->after;
	uint64_t before = p->before;
	struct archive_set *set = store_archives(r->store);
	uint64_t log_first = store_log_first(r->store);
	bool down = p->q->descending;
	uint64_t start = down ? before - 1 : after + 1;
	assert(after + 1 < before && log_first > 0);
	*archived = start < log_first;
	if (!*archived) {
		p->after = after + 1 < log_first ? log_first - 1 : after;
		return ERR_NONE;
	}
	/* A descending page skips missing events; an ascending one fails, and the reader gets a gap. */
	uint64_t there = down ? archive_set_previous(set, before) : start;
	if (down && there <= after) {
		p->before = after + 1;
		p->position = after;
		return ERR_NONE;
	}
	enum err err = archive_set_want(set, there, m, fault);
	if (err)
		return err;
	p->before = down && there + 1 < before ? there + 1 : before;
	p->after = after + 1 < m->first ? m->first - 1 : after;
	p->before = p->before > m->last + 1 ? m->last + 1 : p->before;
	return ERR_NONE;
}

static enum err read_part(struct reader *r, struct progress *p, const struct manifest *m, bool archived, struct fault *fault)
{
	struct selection *select = p->q->select;
	if (p->after + 1 >= p->before)
		return ERR_NONE;
	if (selection_refresh(select) != ERR_NONE)
		return fault_nomem(fault);
	if (archived) {
		struct archive_walk w = {p, select};
		struct seq_query range = {.after = p->after, .before = p->before, .descending = p->q->descending};
		return archive_source_walk(r->archives, m, &range, on_archived, &w, fault);
	}
	return selection_is_wide(select) || selection_count(select) > SEEK_TOPICS_MAX ? walk(r, p, fault)
										      : pick(r, p, fault);
}

enum err reader_check_overtaken(struct reader *r, uint64_t after, bool *overtaken, struct fault *fault)
{
	enum err err = store_refresh(r->store, r->db, fault);
	*overtaken = !err && after + 1 < store_log_first(r->store);
	return err;
}

static enum err read_page(struct reader *r, const struct history_query *q, enum encoding encoding, struct page **out,
			  struct fault *fault)
{
	*out = NULL;
	if (!db_rollback(r->db))
		return fault_nomem(fault);
	for (;;) {
		uint64_t head = store_head(r->store);
		uint64_t before = q->before == 0 || q->before > head + 1 ? head + 1 : q->before;
		bool empty = q->after + 1 >= before || q->count_max == 0;
		/* Without a filter the page will be full; with one it may stay empty. */
		size_t expected = !empty && selection_is_open(q->select) && q->count_max >= MANY_ROWS ? q->bytes_max : 0;
		struct progress p = {.q = q,
				     .builder = page_builder_create(encoding, store_epoch(r->store), q->after, expected),
				     .after = q->after,
				     .before = before,
				     .full = q->count_max == 0};
		if (p.builder == NULL)
			return fault_nomem(fault);
		struct manifest m;
		bool archived = false;
		enum err err = empty ? ERR_NONE : find_part(r, &p, &m, &archived, fault);
		bool found = !err && !empty;
		if (found)
			err = read_part(r, &p, &m, archived, fault);
		/* If the file of the archive has disappeared, another archive may have its events. */
		bool again = found && archived && err == ERR_GONE;
		struct fault late;
		if (found && !archived && p.after + 1 < p.before &&
		    reader_check_overtaken(r, p.after, &again, &late) != ERR_NONE && !err) {
			*fault = late;
			err = late.code;
		}
		if (err && !archived && !again)
			store_note_damage(r->store, fault);
		if (err || again)
			page_builder_destroy(p.builder);
		if (again)
			continue;
		if (err)
			return err;
		/* A full page ends with the last event examined, any other with its part. */
		uint64_t end = !q->descending ? p.before - 1 : p.after > q->after ? p.after + 1 : q->after;
		*out = page_builder_take(p.builder, p.full ? p.position : end);
		return *out != NULL ? ERR_NONE : fault_nomem(fault);
	}
}

enum err history_page_as(struct reader *r, const struct history_query *q, enum encoding encoding, struct page **out,
			 struct fault *fault)
{
	struct catalog *catalog = store_catalog(r->store);
	unsigned entered = catalog_enter(catalog);
	enum err err = read_page(r, q, encoding, out, fault);
	catalog_leave(catalog, entered);
	return err;
}

enum err history_page(struct reader *r, const struct history_query *q, struct page **out, struct fault *fault)
{
	return history_page_as(r, q, ENCODING_LINE, out, fault);
}

uint64_t history_removed(struct reader *r, uint64_t after, uint64_t before)
{
	uint64_t log_first = store_log_first(r->store);
	uint64_t end = before < log_first ? before : log_first;
	struct manifest m;
	struct fault why;
	while (after + 1 < end) {
		enum err err = archive_set_want(store_archives(r->store), after + 1, &m, &why);
		if (err == ERR_GONE)
			return after + 1;
		assert(err || m.last > after);
		after = err ? after + 1 : m.last;
	}
	return 0;
}

uint64_t history_part(struct reader *r, uint64_t seq)
{
	return archive_set_part(store_archives(r->store), seq);
}

enum err history_used(struct reader *r, uint64_t *bytes, struct fault *fault)
{
	sqlite3_int64 size = 0;
	sqlite3_int64 pages = 0;
	sqlite3_int64 spare = 0;
	enum err err = db_integer(r->db, "PRAGMA page_size", 0, &size, fault);
	if (!err)
		err = db_integer(r->db, "PRAGMA page_count", 0, &pages, fault);
	if (!err)
		err = db_integer(r->db, "PRAGMA freelist_count", 0, &spare, fault);
	*bytes = (uint64_t)(size * (pages - spare));
	return err;
}

bool history_may_miss(struct store *s, struct selection *select, uint64_t after)
{
	if (selection_is_wide(select) || after < atomic_load(&s->unknown) || selection_refresh(select) != ERR_NONE)
		return true;
	for (uint32_t i = 0; i < selection_count(select); i++) {
		struct figures f;
		catalog_topic_figures(s->catalog, selection_topic(select, i), &f);
		if (f.lost > after)
			return true;
	}
	return forgotten_has(&s->forgotten, select, after) || after < atomic_load(&s->unknown);
}
