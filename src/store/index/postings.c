#include "store/index/postings.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "store/sqlite/db.h"

enum err postings_open(struct postings *p, sqlite3 *db, struct catalog *catalog, struct fault *fault)
{
	static const char up[] =
		"SELECT \"window\" FROM posting WHERE topic = ? AND \"window\" >= ? ORDER BY \"window\" LIMIT 1";
	static const char down[] =
		"SELECT \"window\" FROM posting WHERE topic = ? AND \"window\" < ? ORDER BY \"window\" DESC LIMIT 1";
	p->db = db;
	p->catalog = catalog;
	enum err err = db_prepare(db, up, &p->up, fault);
	if (!err)
		err = db_prepare(db, down, &p->down, fault);
	if (!err)
		err = db_prepare(db, "SELECT seqs FROM posting WHERE topic = ? AND \"window\" = ?", &p->read, fault);
	return err;
}

void postings_close(struct postings *p)
{
	sqlite3_finalize(p->up);
	sqlite3_finalize(p->down);
	sqlite3_finalize(p->read);
}

static void put_varint(struct buf *b, uint64_t n)
{
	for (; n >= 0x80; n >>= 7)
		buf_addc(b, (char)(n | 0x80));
	buf_addc(b, (char)n);
}

void postings_encode(struct buf *out, uint64_t before, uint64_t seq)
{
	assert(seq > before);
	put_varint(out, seq - before);
}

bool postings_decode(const void *blob, size_t len, uint64_t window, void (*each)(void *arg, uint64_t seq), void *arg)
{
	const unsigned char *p = blob;
	const unsigned char *end = p + len;
	uint64_t seq = 0;
	while (p < end) {
		uint64_t step = 0;
		unsigned shift = 0;
		for (;; shift += 7) {
			if (p == end || shift > 56)
				return false;
			step |= (uint64_t)(*p & 0x7f) << shift;
			if (!(*p++ & 0x80))
				break;
		}
		if (step == 0 || step > window - seq)
			return false;
		seq += step;
		each(arg, seq);
	}
	return len > 0;
}

/* The seqs of one window between two bounds, of any number of topics. */
struct gather {
	struct seq_query bounds;
	uint64_t *seqs;
	size_t count;
	size_t cap;
	bool failed;
};

static void gather_add(void *arg, uint64_t seq)
{
	struct gather *g = arg;
	if (seq <= g->bounds.after || seq >= g->bounds.before || g->failed)
		return;
	if (g->count == g->cap) {
		size_t cap = g->cap ? g->cap * 2 : 256;
		uint64_t *seqs = realloc(g->seqs, cap * sizeof *seqs);
		if (seqs == NULL) {
			g->failed = true;
			return;
		}
		g->seqs = seqs;
		g->cap = cap;
	}
	g->seqs[g->count++] = seq;
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

/* The position of a search in the postings of one topic. */
struct row {
	uint32_t topic;
	uint64_t window; /* of the next row to read; 0: none is left */
};

/* A search through the postings. Windows do not overlap, so it goes from window to window and reads in each the rows of all
 * topics. The first events of topics are merged with the window that they are in, or with the one before it; rows may name
 * them, too. */
struct search {
	struct postings *p;
	struct row *rows;
	uint32_t row_count;
	uint64_t *firsts; /* between the bounds, ascending; taken from either end */
	uint32_t first_count;
	struct seq_query query;
	uint64_t *out;
	uint32_t count;
	struct fault *fault;
};

static enum err seek(struct search *q, sqlite3_stmt *s, struct row *row, uint64_t bound)
{
	sqlite3_bind_int64(s, 1, row->topic);
	sqlite3_bind_int64(s, 2, (sqlite3_int64)bound);
	int rc = sqlite3_step(s);
	row->window = rc == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(s, 0) : 0;
	enum err err =
		rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_NONE : db_fault(q->p->db, rc, "seeking postings", q->fault);
	sqlite3_reset(s);
	return err;
}

static enum err search_start(struct search *q)
{
	enum err err = ERR_NONE;
	for (uint32_t i = 0; !err && i < q->row_count; i++) {
		/* The window that holds the bound is the first one that ends at or above it. */
		err = seek(q, q->p->up, &q->rows[i], q->query.descending ? q->query.before - 1 : q->query.after + 1);
		if (!err && q->query.descending && q->rows[i].window == 0)
			err = seek(q, q->p->down, &q->rows[i], q->query.before);
	}
	return err;
}

static enum err read_row(struct search *q, const struct row *row, struct gather *g)
{
	sqlite3_bind_int64(q->p->read, 1, row->topic);
	sqlite3_bind_int64(q->p->read, 2, (sqlite3_int64)row->window);
	int rc = sqlite3_step(q->p->read);
	enum err err = ERR_NONE;
	if (rc != SQLITE_ROW)
		err = db_fault(q->p->db, rc, "reading a posting", q->fault);
	else if (!postings_decode(sqlite3_column_blob(q->p->read, 0), (size_t)sqlite3_column_bytes(q->p->read, 0),
				  row->window, gather_add, g))
		err = fault_set(q->fault, ERR_CORRUPT, "the posting of topic %u in window %" PRIu64 " is damaged",
				row->topic, row->window);
	sqlite3_reset(q->p->read);
	if (!err && g->failed)
		err = fault_nomem(q->fault);
	return err;
}

/* Takes the first events up to a window (descending: those after it). */
static void take_firsts(struct search *q, uint64_t window, struct gather *g)
{
	bool down = q->query.descending;
	while (q->first_count > 0 && (down ? q->firsts[q->first_count - 1] > window : q->firsts[0] <= window)) {
		gather_add(g, down ? q->firsts[q->first_count - 1] : q->firsts[0]);
		q->firsts += !down;
		q->first_count--;
	}
}

static void emit(struct search *q, struct gather *g)
{
	uint64_t before = 0;
	if (g->count > 0)
		qsort(g->seqs, g->count, sizeof *g->seqs, ascending);
	for (size_t i = 0; i < g->count && q->count < q->query.max; i++) {
		uint64_t seq = q->query.descending ? g->seqs[g->count - 1 - i] : g->seqs[i];
		if (seq != before)
			q->out[q->count++] = seq;
		before = seq;
	}
}

/* The next window; 0: there is none. */
static uint64_t next_window(const struct search *q)
{
	bool down = q->query.descending;
	uint64_t window = 0;
	for (uint32_t i = 0; i < q->row_count; i++) {
		uint64_t w = q->rows[i].window;
		if (w != 0 && (window == 0 || (down ? w > window : w < window)))
			window = w;
	}
	return window;
}

/* Reads a window (0: there is none), and moves the rows that were read to their next window. */
static enum err search_window(struct search *q, uint64_t window)
{
	bool down = q->query.descending;
	struct gather g = {.bounds = q->query};
	enum err err = ERR_NONE;
	for (uint32_t i = 0; !err && window != 0 && i < q->row_count; i++) {
		if (q->rows[i].window != window)
			continue;
		err = read_row(q, &q->rows[i], &g);
		if (!err)
			err = seek(q, down ? q->p->down : q->p->up, &q->rows[i], down ? window : window + 1);
	}
	/* Descending, this includes first events between this window and the next one. */
	if (!err)
		take_firsts(q, down ? next_window(q) : window != 0 ? window : UINT64_MAX, &g);
	if (!err && g.failed)
		err = fault_nomem(q->fault);
	if (!err)
		emit(q, &g);
	free(g.seqs);
	return err;
}

/* The topics of the selection that can have events between the bounds, and their first events there. */
static void find_candidates(struct search *q, struct selection *s)
{
	for (uint32_t i = 0; i < selection_count(s); i++) {
		struct figures f;
		catalog_topic_figures(q->p->catalog, selection_topic(s, i), &f);
		if (f.count == 0 || f.last <= q->query.after || f.first >= q->query.before)
			continue;
		q->rows[q->row_count++].topic = selection_topic(s, i);
		if (f.first > q->query.after)
			q->firsts[q->first_count++] = f.first;
	}
	if (q->first_count > 0)
		qsort(q->firsts, q->first_count, sizeof *q->firsts, ascending);
}

static enum err search_all(struct search *q)
{
	enum err err = search_start(q);
	for (uint64_t window = 1; !err && window != 0 && q->count < q->query.max;) {
		window = next_window(q);
		err = search_window(q, window);
		if (q->query.descending ? window <= q->query.after : window + 1 >= q->query.before)
			break;
	}
	return err;
}

enum err postings_find(struct postings *p, struct selection *s, struct seq_query query, struct seq_list *found,
		       struct fault *fault)
{
	assert(found->count <= query.max);
	struct search q = {.p = p, .query = query, .out = found->seqs, .count = found->count, .fault = fault};
	uint64_t *firsts = malloc((selection_count(s) + 1) * sizeof *firsts);
	q.rows = calloc(selection_count(s) + 1, sizeof *q.rows);
	q.firsts = firsts;
	enum err err = q.rows != NULL && firsts != NULL ? ERR_NONE : fault_nomem(fault);
	if (!err)
		find_candidates(&q, s);
	if (!err && q.row_count > 0) {
		err = db_exec(p->db, "BEGIN", fault);
		if (!err)
			err = search_all(&q);
		db_rollback(p->db);
	}
	found->count = q.count;
	free(q.rows);
	free(firsts);
	return err;
}

/* --- adding --- */

/* Encoded seqs, and the last of them. */
struct longer {
	struct buf bytes;
	uint64_t before;
};

static void append(void *arg, uint64_t seq)
{
	struct longer *l = arg;
	if (seq <= l->before)
		return;
	postings_encode(&l->bytes, l->before, seq);
	l->before = seq;
}

static enum err write_row(sqlite3 *db, uint32_t topic, uint64_t window, struct slice seqs, struct fault *fault)
{
	assert(seqs.len > 0);
	sqlite3_stmt *st;
	enum err err =
		db_prepare(db, "INSERT OR REPLACE INTO posting(topic, \"window\", seqs) VALUES (?, ?, ?)", &st, fault);
	if (err)
		return err;
	sqlite3_bind_int64(st, 1, topic);
	sqlite3_bind_int64(st, 2, (sqlite3_int64)window);
	sqlite3_bind_blob(st, 3, seqs.p, (int)seqs.len, SQLITE_STATIC);
	int rc = sqlite3_step(st);
	err = rc == SQLITE_DONE ? ERR_NONE : db_fault(db, rc, "writing a posting", fault);
	sqlite3_finalize(st);
	return err;
}

/* Appends the seqs of the row of a topic in a window, if there is one. */
static enum err append_row(sqlite3 *db, uint32_t topic, uint64_t window, struct longer *l, struct fault *fault)
{
	sqlite3_stmt *st;
	enum err err = db_prepare(db, "SELECT seqs FROM posting WHERE topic = ? AND \"window\" = ?", &st, fault);
	if (err)
		return err;
	sqlite3_bind_int64(st, 1, topic);
	sqlite3_bind_int64(st, 2, (sqlite3_int64)window);
	int rc = sqlite3_step(st);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		err = db_fault(db, rc, "reading a posting", fault);
	else if (rc == SQLITE_ROW &&
		 !postings_decode(sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0), window, append, l))
		err = fault_set(fault, ERR_CORRUPT, "the posting of topic %u in window %" PRIu64 " is damaged", topic,
				window);
	sqlite3_finalize(st);
	return err;
}

enum err postings_add(sqlite3 *db, uint32_t topic, uint64_t seq, struct fault *fault)
{
	assert(seq > 0);
	const struct db_value bound = DB_NUMBER(seq);
	struct longer l = {.before = 0};
	sqlite3_int64 window = 0;
	/* The window that the seq is in, or the next one; after the last window, the seq begins a new one. */
	enum err err = db_integer_with(db, "SELECT min(\"window\") FROM posting WHERE \"window\" >= ?", &bound,
				       (sqlite3_int64)seq, &window, fault);
	if (err)
		return err;
	buf_init(&l.bytes);
	append(&l, seq);
	err = append_row(db, topic, (uint64_t)window, &l, fault);
	if (!err && buf_failed(&l.bytes))
		err = fault_nomem(fault);
	if (!err)
		err = write_row(db, topic, (uint64_t)window, buf_slice(&l.bytes), fault);
	buf_finish(&l.bytes);
	return err;
}
