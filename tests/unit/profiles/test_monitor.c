/* The state of the monitoring profile on a real store: folding events into it, and reading it while the writer goes on. */
#include <stdlib.h>

#include "profiles/monitoring/services/service_history.h"
#include "profiles/monitoring/state/conversation.h"
#include "profiles/monitoring/state/histogram.h"
#include "profiles/monitoring/state/monitor.h"
#include "profiles/monitoring/state/series.h"
#include "unit/temp_dir.h"

static struct fault fault;

/* --- the fold --- */

static const struct batch_limits limits = {1 << 20, 1 << 20};

/* Publishes straight through the store, as the writer does, and shows it to the observer. */
static void publish(struct store *store, struct monitor *m, int first, int count, bool save)
{
	const struct writer_observer *o = monitor_observer(m);
	struct receipt receipt;
	struct committed *committed;
	struct batch *batch;
	struct buf lines;
	buf_init(&lines);
	for (int i = first; i < first + count; i++)
		buf_printf(
			&lines,
			"{\"connection_type\":\"%s\",\"response_time_ms\":%d.%d,\"data_size_bytes\":%d,"
			"\"metadata\":{\"continuation_id\":\"c%d\",\"model\":\"m\"}}\n{\"stream\":\"other\",\"data\":1}\n",
			service_name((enum service)(i % SERVICES)), i, i % 7, i, i % 9);
	CHECK(batch_parse_take(lines.data, lines.len, BATCH_LINES, limits, &batch, &fault) == ERR_NONE);
	CHECK(store_append(store, batch, NULL, &receipt, &fault) == ERR_NONE);
	if (save)
		CHECK(o->save(o->arg, store, &fault) == ERR_NONE);
	CHECK(store_commit(store, &committed, &fault) == ERR_NONE);
	if (save)
		o->saved(o->arg, true);
	o->apply(o->arg, committed);
	committed_destroy(committed);
	receipt_finish(&receipt);
	batch_destroy(batch);
}

static void describe(struct monitor *m, struct buf *out)
{
	struct tally t[SERVICES];
	uint64_t seq;
	monitor_tallies(m, t, &seq);
	for (int i = 0; i < SERVICES; i++) {
		tally_write(out, (enum service)i, &t[i], true);
		monitor_write_series(m, out, (enum service)i, 1, 0, NULL);
	}
	monitor_write_sessions(m, out);
	buf_printf(out, " %llu", (unsigned long long)seq);
}

static void a_fold_in_portions_is_the_fold(void)
{
	char dir[TEMP_DIR_LEN];
	struct store *store;
	struct monitor *m;
	struct buf live;
	struct buf reopened;
	buf_init(&live);
	buf_init(&reopened);
	temp_dir_make(dir);
	CHECK(store_open(dir, (struct store_options){0}, &store, &fault) == ERR_NONE);
	CHECK(monitor_create(store, NULL, &m, &fault) == ERR_NONE);
	for (int i = 0; i < 20; i++)
		publish(store, m, i * 50, 50, i % 6 == 5);
	describe(m, &live);
	monitor_destroy(m);
	for (int i = 0; i < 2; i++) { /* the second time it is as it was saved, plus what came after */
		CHECK(monitor_create(store, NULL, &m, &fault) == ERR_NONE);
		reopened.len = 0;
		describe(m, &reopened);
		CHECK(slice_eq(buf_slice(&live), buf_slice(&reopened)));
		monitor_destroy(m);
	}
	store_close(store);
	temp_dir_remove(dir);
	buf_finish(&live);
	buf_finish(&reopened);
}

/* What a dashboard asks of the past is read page by page, so that others have their turn on the pool in between. */
static void the_past_is_read_in_parts(void)
{
	enum { EVENTS = 2500, PAGES = 3 };
	char dir[TEMP_DIR_LEN];
	struct store *store;
	struct monitor *m;
	struct reader *reader;
	struct service_history *past;
	struct service_history_query q = {.service = SERVICES, .with_stats = true, .oldest_first = true};
	struct buf out;
	int parts = 0;
	buf_init(&out);
	temp_dir_make(dir);
	CHECK(store_open(dir, (struct store_options){0}, &store, &fault) == ERR_NONE);
	CHECK(monitor_create(store, NULL, &m, &fault) == ERR_NONE);
	publish(store, m, 0, EVENTS, false);
	CHECK(reader_open(store, &reader, &fault) == ERR_NONE);
	CHECK(service_history_create(m, store, reader, &q, &past, &fault) == ERR_NONE);
	for (bool done = false; !done; parts++)
		CHECK(service_history_read(past, reader, &done, &fault) == ERR_NONE);
	service_history_write(past, &out);
	service_history_destroy(past);
	CHECK(parts == PAGES && !buf_failed(&out) && out.data[0] == '[' && out.data[out.len - 1] == ']');
	int found = 0;
	for (const char *at = out.data; (at = memmem(at, out.len - (size_t)(at - out.data), "\"c0\"", 4)) != NULL; at++)
		found++;
	CHECK(found == (EVENTS + 8) / 9);
	buf_finish(&out);
	reader_close(reader);
	monitor_destroy(m);
	store_close(store);
	temp_dir_remove(dir);
}

/* --- what is worked out while the writer goes on --- */

static struct monitor *watched; /* NULL: nothing is */
static int worked;

void __real_qsort(void *base, size_t count, size_t size, int (*compare)(const void *, const void *));
void __wrap_qsort(void *base, size_t count, size_t size, int (*compare)(const void *, const void *));
void __real_tally_write(struct buf *out, enum service service, const struct tally *t, bool with_total);
void __wrap_tally_write(struct buf *out, enum service service, const struct tally *t, bool with_total);
uint64_t __real_histogram_percentile(const struct histogram_sum *sum, unsigned percent);
uint64_t __wrap_histogram_percentile(const struct histogram_sum *sum, unsigned percent);
void __real_series_write(struct buf *out, const struct series *s, int64_t interval, int64_t since_ms,
			 const struct minute *first);
void __wrap_series_write(struct buf *out, const struct series *s, int64_t interval, int64_t since_ms,
			 const struct minute *first);
void __real_conversations_write(struct buf *out, const struct conversation_figures *f);
void __wrap_conversations_write(struct buf *out, const struct conversation_figures *f);

/* Takes the lock that the writer takes for each event. */
static void look_in(void)
{
	if (watched == NULL)
		return;
	worked++;
	monitor_session_seq(watched);
}

void __wrap_qsort(void *base, size_t count, size_t size, int (*compare)(const void *, const void *))
{
	look_in();
	__real_qsort(base, count, size, compare);
}

void __wrap_tally_write(struct buf *out, enum service service, const struct tally *t, bool with_total)
{
	look_in();
	__real_tally_write(out, service, t, with_total);
}

uint64_t __wrap_histogram_percentile(const struct histogram_sum *sum, unsigned percent)
{
	look_in();
	return __real_histogram_percentile(sum, percent);
}

void __wrap_series_write(struct buf *out, const struct series *s, int64_t interval, int64_t since_ms,
			 const struct minute *first)
{
	look_in();
	__real_series_write(out, s, interval, since_ms, first);
}

void __wrap_conversations_write(struct buf *out, const struct conversation_figures *f)
{
	look_in();
	__real_conversations_write(out, f);
}

/* Hangs where something is sorted or written in the lock that the writer takes for each event. */
static void the_writer_waits_for_no_document(void)
{
	char dir[TEMP_DIR_LEN];
	struct store *store;
	struct monitor *m;
	struct buf out;
	struct window_figures f;
	buf_init(&out);
	temp_dir_make(dir);
	CHECK(store_open(dir, (struct store_options){0}, &store, &fault) == ERR_NONE);
	CHECK(monitor_create(store, NULL, &m, &fault) == ERR_NONE);
	publish(store, m, 0, 50, false);
	watched = m;
	worked = 0;
	monitor_window(m, SERVICES, 0, &f);
	CHECK(f.timed > 0 && worked == 1);
	monitor_write_stats(m, &out, SERVICE_KIMI);
	CHECK(worked == 2);
	monitor_write_stats(m, &out, SERVICE_KIMI); /* is ready */
	CHECK(worked == 2);
	monitor_write_all_stats(m, &out);
	monitor_write_sessions(m, &out);
	monitor_write_series(m, &out, SERVICE_KIMI, 1, 0, NULL);
	monitor_write_series(m, &out, SERVICES, 1, 0, NULL);
	CHECK(worked > 4 && !buf_failed(&out));
	watched = NULL;
	monitor_destroy(m);
	store_close(store);
	temp_dir_remove(dir);
	buf_finish(&out);
}

int main(void)
{
	RUN(the_writer_waits_for_no_document);
	RUN(a_fold_in_portions_is_the_fold);
	RUN(the_past_is_read_in_parts);
	return check_end();
}
