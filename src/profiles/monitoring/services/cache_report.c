#include "profiles/monitoring/services/cache_report.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/system/clock.h"
#include "profiles/monitoring/state/monitor.h"
#include "json/document.h"

enum {
	PAGE_EVENTS = 1000,
	PAGE_BYTES = 1024 * 1024,
	PORTION_PAGES = 8,        /* per run on the pool; other jobs run in between */
	EVENTS_MAX = 1000 * 1000, /* at most this many events are read for a report */
	TIMES_MAX = 10000,        /* per row: quantiles are of the newest times only */
	ROWS_BYTES_MAX = 16 * 1024 * 1024,
	SUMS_BYTES = 256 * 1024,
	HOUR_MS = 3600 * 1000,
};

/* The sums of one row of an aggregation, or of all rows. */
struct sums {
	uint64_t kinds[CACHE_KINDS];
	uint64_t timed;
	double time_ms; /* sum */
	double time_max_ms;
	uint64_t sized;
	double size; /* sum */
	double size_max;
	uint32_t times; /* number of response times in report.times */
};

struct cache_report {
	struct cache_query query;
	struct history_query range;
	bool cut;         /* a limit was reached, and older events are not included */
	int64_t since_ms; /* earlier events are not included */
	uint64_t events;
	uint32_t rows;
	struct buf text;
	int64_t window_ms; /* start of the current window */
	struct sums sums[CACHE_SIDES];
	struct sums all;
	double times[CACHE_SIDES][TIMES_MAX];
};

enum err cache_report_create(struct store *store, struct cache_query query, struct cache_report **out, struct fault *fault)
{
	struct cache_report *r = *out = calloc(1, sizeof *r);
	if (r == NULL)
		return fault_nomem(fault);
	r->query = query;
	r->range = (struct history_query){
		.before = store_head(store) + 1, .descending = true, .select = monitor_select(store, SERVICES)};
	if (r->range.select != NULL)
		return ERR_NONE;
	cache_report_destroy(r);
	*out = NULL;
	return fault_nomem(fault);
}

void cache_report_destroy(struct cache_report *r)
{
	if (r == NULL)
		return;
	selection_destroy(r->range.select);
	buf_finish(&r->text);
	free(r);
}

size_t cache_report_bytes(const struct cache_report *r)
{
	return r->query.form == CACHE_RAW ? ROWS_BYTES_MAX : SUMS_BYTES;
}

/* --- sums --- */

static void count(struct sums *s, const struct cache_op *op, const struct flat *f)
{
	s->kinds[op->kind]++;
	if (f->timed) {
		s->timed++;
		s->time_ms += f->response_ms;
		s->time_max_ms = f->response_ms > s->time_max_ms ? f->response_ms : s->time_max_ms;
	}
	if (op->sized) {
		s->sized++;
		s->size += op->size;
		s->size_max = op->size > s->size_max ? op->size : s->size_max;
	}
}

static uint64_t operations(const struct sums *s)
{
	uint64_t n = 0;
	for (int i = 0; i < CACHE_KINDS; i++)
		n += s->kinds[i];
	return n;
}

static double mean(double sum, uint64_t n)
{
	return n > 0 ? sum / (double)n : 0;
}

/* Percentage of lookups that were hits. */
static double hit_rate(const struct sums *s)
{
	return 100 * mean((double)s->kinds[CACHE_HIT], s->kinds[CACHE_HIT] + s->kinds[CACHE_MISS]);
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static double quantile(const double *sorted, uint32_t n, uint32_t percent)
{
	return n > 0 ? sorted[(uint64_t)n * percent / 100] : 0;
}

/* --- rows --- */

static void begin_row(struct cache_report *r)
{
	buf_adds(&r->text, r->rows == 0 ? "" : ",");
	r->rows++;
}

static void write_sums(struct cache_report *r, enum cache_side side)
{
	const struct sums *s = &r->sums[side];
	const uint64_t *n = s->kinds;
	double *times = r->times[side];
	struct buf *out = &r->text;
	qsort(times, s->times, sizeof *times, ascending);
	begin_row(r);
	buf_printf(out, "{\"%s\":", r->query.form == CACHE_HOURS ? "hour_window" : "minute_window");
	clock_write(out, r->window_ms);
	buf_printf(out,
		   ",\"implementation_type\":\"%s\",\"total_operations\":%" PRIu64 ",\"hits\":%" PRIu64
		   ",\"misses\":%" PRIu64 ",\"sets\":%" PRIu64 ","
		   "\"evictions\":%" PRIu64 ",\"errors\":%" PRIu64,
		   cache_side_name(side), operations(s), n[CACHE_HIT], n[CACHE_MISS], n[CACHE_SET], n[CACHE_EVICT],
		   n[CACHE_ERROR]);
	buf_printf(out,
		   ",\"avg_response_time_ms\":%.3f,\"p50_response_time_ms\":%.3f,\"p95_response_time_ms\":%.3f,"
		   "\"p99_response_time_ms\":%.3f,\"max_response_time_ms\":%.3f",
		   mean(s->time_ms, s->timed), quantile(times, s->times, 50), quantile(times, s->times, 95),
		   quantile(times, s->times, 99), s->time_max_ms);
	buf_printf(out, ",\"avg_cache_size\":%.3f,\"max_cache_size\":%.0f,\"hit_rate\":%.2f}", mean(s->size, s->sized),
		   s->size_max, hit_rate(s));
}

static void add_to_all(struct cache_report *r, const struct sums *s)
{
	for (int i = 0; i < CACHE_KINDS; i++)
		r->all.kinds[i] += s->kinds[i];
	r->all.timed += s->timed;
	r->all.time_ms += s->time_ms;
}

/* Completes the current window. */
static void end_window(struct cache_report *r)
{
	for (int side = 0; side < CACHE_SIDES; side++) {
		struct sums *s = &r->sums[side];
		if (operations(s) > 0 && r->rows < CACHE_ROWS_MAX) {
			write_sums(r, (enum cache_side)side);
			add_to_all(r, s);
		} else if (operations(s) > 0) {
			r->cut = true;
		}
		*s = (struct sums){0};
	}
}

static bool is_full(const struct cache_report *r)
{
	return r->rows == CACHE_ROWS_MAX || r->text.len >= ROWS_BYTES_MAX || buf_failed(&r->text);
}

static void add(struct cache_report *r, const struct flat *f, const struct cache_op *op)
{
	if (r->query.form == CACHE_RAW) {
		begin_row(r);
		cache_op_write(&r->text, f, op);
		return;
	}
	int64_t width = r->query.form == CACHE_HOURS ? HOUR_MS : MINUTE_MS;
	int64_t window = f->time_ms - f->time_ms % width;
	if (window != r->window_ms)
		end_window(r);
	r->window_ms = window;
	struct sums *s = &r->sums[op->side];
	count(s, op, f);
	if (f->timed && s->times < TIMES_MAX)
		r->times[op->side][s->times++] = f->response_ms;
}

/* --- reading --- */

static void cut_at(struct cache_report *r, int64_t time_ms)
{
	r->cut = true;
	r->since_ms = time_ms;
}

static void add_page(struct cache_report *r, struct page *page)
{
	for (uint32_t i = 0; i < page_count(page); i++) {
		struct flat f;
		struct cache_op op;
		if (!flat_read(page_envelope(page, i), page_entry(page, i).time_ms, &f) || !cache_op_read(&f, &op))
			continue;
		if (r->query.side != CACHE_SIDES && r->query.side != op.side)
			continue;
		if (is_full(r)) {
			cut_at(r, f.time_ms);
			return;
		}
		add(r, &f, &op);
	}
}

enum err cache_report_read(struct cache_report *r, struct reader *reader, bool *done, struct fault *fault)
{
	struct history_query *q = &r->range;
	enum err err = ERR_NONE;
	if (r->since_ms == 0) {
		r->since_ms = clock_wall_ms() - r->query.hours * HOUR_MS;
		err = history_seek_since(reader, r->since_ms, &q->after, fault);
	}
	*done = err || q->after + 1 >= q->before;
	for (int i = 0; !err && !*done && i < PORTION_PAGES; i++) {
		struct page *page;
		q->count_max = PAGE_EVENTS;
		q->bytes_max = PAGE_BYTES;
		err = history_page(reader, q, &page, fault);
		if (err)
			break;
		add_page(r, page);
		r->events += page_count(page);
		q->before = page_last(page);
		*done = r->cut || q->after + 1 >= q->before;
		if (!*done && r->events >= EVENTS_MAX) {
			cut_at(r, page_entry(page, page_count(page) - 1).time_ms);
			*done = true;
		}
		page_unref(page);
	}
	if (!err && buf_failed(&r->text))
		err = fault_nomem(fault);
	if (!err && *done)
		end_window(r);
	return err;
}

static void put_summary(struct doc to, const struct cache_report *r)
{
	static const char *const forms[] = {"raw", "1min", "1hour"};
	const struct sums *all = &r->all;
	doc_u64(to, "total_records", r->rows);
	doc_i64(to, "time_range_hours", r->query.hours);
	doc_string(to, "aggregation", forms[r->query.form]);
	doc_string(to, "implementation_type", r->query.side == CACHE_SIDES ? "all" : cache_side_name(r->query.side));
	doc_bool(to, "complete", !r->cut);
	doc_time(to, "since", r->since_ms);
	if (r->query.form == CACHE_RAW || r->rows == 0)
		return;
	doc_u64(to, "total_operations", operations(all));
	doc_u64(to, "total_hits", all->kinds[CACHE_HIT]);
	doc_u64(to, "total_misses", all->kinds[CACHE_MISS]);
	doc_fixed(to, "overall_hit_rate", hit_rate(all), 2);
	doc_fixed(to, "avg_response_time_ms", mean(all->time_ms, all->timed), 3);
}

void cache_report_write(struct cache_report *r, struct buf *out)
{
	struct document tail;
	struct doc root = document_begin(&tail);
	put_summary(doc_object(root, "summary"), r);
	doc_time(root, "timestamp", clock_wall_ms());
	buf_adds(out, "{\"metrics\":[");
	buf_join(out, &r->text, 0, 0);
	buf_addc(out, ']');
	document_end_tail(&tail, out);
}
