#include "profiles/monitoring/services/service_history.h"

#include <stdlib.h>

/* Events are read newest first, one page at a time, and gathered here. */
struct piece {
	uint64_t seq;
	size_t from;
	size_t len;
};

struct gathering {
	struct buf text;
	struct piece *pieces;
	uint32_t count;
	uint32_t max;
	uint64_t before; /* newer events are only removed from the figures; 0: none are */
	bool with_stats;
	bool wants_more;
	bool more;                      /* there are more events than fit */
	bool uncertain;                 /* events are missing: the figures below them are unknown */
	struct tally tallies[SERVICES]; /* figures as they were after the event that is read next */
};

static bool is_full(const struct gathering *g)
{
	return g->count == g->max || g->text.len >= SERVICE_HISTORY_BYTES_MAX || buf_failed(&g->text);
}

static void gather_event(struct gathering *g, const struct flat *f)
{
	struct buf more;
	struct tally *t = &g->tallies[f->service];
	if (g->before != 0 && f->seq >= g->before) {
		tally_remove(t, f);
		return;
	}
	if (is_full(g)) {
		g->more = true;
		return;
	}
	buf_init(&more);
	if (g->with_stats && g->uncertain) {
		buf_adds(&more, ",\"stats\":{}");
	} else if (g->with_stats) {
		t->last_ms = (uint64_t)f->time_ms;
		buf_adds(&more, ",\"stats\":");
		tally_write(&more, f->service, t, false);
		tally_remove(t, f);
	}
	size_t from = g->text.len;
	flat_stored(&g->text, f, buf_slice(&more));
	g->text.failed = g->text.failed || buf_failed(&more);
	g->pieces[g->count++] = (struct piece){f->seq, from, g->text.len - from};
	buf_finish(&more);
}

/* Are there enough events? */
static bool has_enough(const struct gathering *g)
{
	return g->wants_more ? g->more || buf_failed(&g->text) : is_full(g);
}

static void add_piece(struct buf *out, const struct gathering *g, uint32_t i, bool *first)
{
	buf_adds(out, *first ? "" : ",");
	buf_add(out, g->text.data + g->pieces[i].from, g->pieces[i].len);
	*first = false;
}

static void write_gathered(struct buf *out, const struct gathering *g, const struct service_history_query *q)
{
	bool first = true;
	buf_addc(out, '[');
	for (uint32_t i = 0; i < g->count; i++)
		add_piece(out, g, q->oldest_first ? g->count - 1 - i : i, &first);
	buf_addc(out, ']');
}

static struct selection *select_for(struct store *store, const struct service_history_query *q)
{
	if (q->service >= SERVICES && q->services == 0)
		return monitor_select(store, SERVICES);
	struct filter *f = filter_create();
	bool fine = f != NULL;
	for (int i = 0; fine && i < SERVICES; i++)
		if (q->service < SERVICES ? q->service == (enum service)i : (q->services & 1u << i) != 0)
			fine = filter_add_stream(f, slice_of(service_name((enum service)i))) == ERR_NONE;
	if (fine)
		return history_select_take(store, f);
	filter_destroy(f);
	return NULL;
}

struct service_history {
	struct service_history_query query;
	struct store *store;
	struct history_query rest; /* the range that was not read yet */
	struct gathering found;
	struct fault missing; /* why events of an archive cannot be read */
	bool is_missing;
	struct gap gap; /* events that retention removed */
	bool has_gap;
	bool done;
};

/* Continues below missing events. */
static void skip_to(struct service_history *p, uint64_t before)
{
	struct gathering *g = &p->found;
	g->uncertain = true;
	if (g->before != 0 && g->before < before)
		before = g->before; /* events in between would only change figures that are not shown */
	p->rest.before = before > p->rest.after ? before : p->rest.after + 1;
}

/* Skips events that retention has removed. They are a gap if the query has a start time and may have asked for some of
 * them; a query without one asks for the newest stored events only. */
static void skip_removed(struct service_history *p)
{
	uint64_t there = store_previous(p->store, p->rest.before);
	uint64_t low = there > p->rest.after ? there : p->rest.after;
	bool is_asked_for = p->query.since_ms > 0 && (p->found.before == 0 || low + 1 < p->found.before);
	if (low + 1 >= p->rest.before)
		return;
	if (is_asked_for && !p->has_gap && history_may_miss(p->store, p->rest.select, low)) {
		p->gap = (struct gap){low > p->rest.after ? low : 0, store_next(p->store, low), GAP_RETENTION};
		p->has_gap = true;
	}
	skip_to(p, low + 1);
}

/* Skips an unreadable archive; events in other archives can still be read. False: the error is not about an archive. */
static bool skip_archive(struct service_history *p, struct reader *reader, const struct fault *why)
{
	if (why->code == ERR_NOMEM || p->rest.before > store_log_first(p->store))
		return false;
	if (why->code == ERR_GONE) /* the archive is known to be missing: it is looked up again, or skipped */
		return true;
	uint64_t first = history_part(reader, p->rest.before - 1);
	if (!p->is_missing && (p->found.before == 0 || first < p->found.before)) {
		p->missing = *why;
		p->is_missing = true;
	}
	skip_to(p, first);
	return true;
}

/* Gathers the events of a page. False: the page reaches back beyond the requested time. */
static bool gather_page(struct service_history *p, const struct page *page)
{
	struct gathering *g = &p->found;
	for (uint32_t i = 0; i < page_count(page) && !has_enough(g); i++) {
		struct flat f;
		if (page_entry(page, i).time_ms < p->query.since_ms)
			return false;
		if (flat_read(page_envelope(page, i), page_entry(page, i).time_ms, &f))
			gather_event(g, &f);
	}
	return true;
}

/* Reads one page. *done: it was the last one. */
static enum err gather(struct service_history *p, struct reader *reader, bool *done, struct fault *fault)
{
	enum { PAGE_EVENTS = 1000, PAGE_BYTES = 1024 * 1024 };
	struct gathering *g = &p->found;
	struct history_query *q = &p->rest;
	struct page *page = NULL;
	uint32_t wanted = g->max - g->count + g->wants_more;
	bool ended = false;
	enum err err = ERR_NONE;
	skip_removed(p);
	q->count_max = wanted < PAGE_EVENTS && g->before == 0 ? wanted : PAGE_EVENTS;
	q->bytes_max = PAGE_BYTES;
	if (q->after + 1 < q->before)
		err = history_page(reader, q, &page, fault);
	if (page != NULL) {
		ended = !gather_page(p, page);
		q->before = page_last(page);
	} else if (err && skip_archive(p, reader, fault)) {
		err = ERR_NONE;
	}
	page_unref(page);
	*done = err || ended || has_enough(g) || q->before <= q->after + 1;
	return !err && buf_failed(&g->text) ? fault_nomem(fault) : err;
}

/* Finds the start by the times of the events. An unreadable archive is not an error here. */
static enum err begin_at(struct reader *reader, int64_t since_ms, uint64_t *after, struct fault *fault)
{
	enum err err = history_seek_since(reader, since_ms, after, fault);
	return err == ERR_NOMEM ? err : ERR_NONE;
}

static enum err begin(struct service_history *p, struct monitor *m, struct store *store, struct reader *reader,
		      struct fault *fault)
{
	const struct service_history_query *q = &p->query;
	struct gathering *g = &p->found;
	g->max = q->limit > 0 && q->limit < SERVICE_HISTORY_EVENTS_MAX ? q->limit : SERVICE_HISTORY_EVENTS_MAX;
	g->pieces = malloc(g->max * sizeof *g->pieces);
	g->with_stats = q->with_stats;
	g->wants_more = q->wants_more;
	g->before = q->with_stats ? q->before : 0;
	p->store = store;
	p->rest = (struct history_query){.before = q->before, .descending = true, .select = select_for(store, q)};
	enum err err = g->pieces != NULL && p->rest.select != NULL ? ERR_NONE : fault_nomem(fault);
	if (q->with_stats) {
		uint64_t seq;
		monitor_tallies(m, g->tallies, &seq);
		p->rest.before = seq + 1;
	}
	if (!err && q->since_ms > 0)
		err = begin_at(reader, q->since_ms, &p->rest.after, fault);
	if (!err && p->rest.before == 0)
		p->rest.before = store_head(store) + 1;
	p->done = q->service == SERVICE_NONE || p->rest.after + 1 >= p->rest.before;
	return err;
}

enum err service_history_create(struct monitor *m, struct store *store, struct reader *reader,
				const struct service_history_query *q, struct service_history **out, struct fault *fault)
{
	struct service_history *p = calloc(1, sizeof *p);
	*out = NULL;
	if (p == NULL)
		return fault_nomem(fault);
	p->query = *q;
	enum err err = begin(p, m, store, reader, fault);
	if (err)
		service_history_destroy(p);
	else
		*out = p;
	return err;
}

void service_history_destroy(struct service_history *p)
{
	if (p == NULL)
		return;
	selection_destroy(p->rest.select);
	buf_finish(&p->found.text);
	free(p->found.pieces);
	free(p);
}

enum err service_history_read(struct service_history *p, struct reader *reader, bool *done, struct fault *fault)
{
	enum err err = p->done ? ERR_NONE : gather(p, reader, &p->done, fault);
	*done = p->done;
	return err;
}

uint64_t service_history_more(const struct service_history *p)
{
	const struct gathering *g = &p->found;
	return g->more ? g->pieces[g->count - 1].seq : 0;
}

const struct fault *service_history_missing(const struct service_history *p)
{
	return p->is_missing ? &p->missing : NULL;
}

const struct gap *service_history_gap(const struct service_history *p)
{
	return p->has_gap ? &p->gap : NULL;
}

void service_history_write(const struct service_history *p, struct buf *out)
{
	write_gathered(out, &p->found, &p->query);
}
