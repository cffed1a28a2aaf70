/* What the monitoring profile counts: tallies, minutes, windows, pulses, observations, lease limits, and the fold on a real
 * store. */
#include <unistd.h>

#include "base/data/hash.h"
#include "base/system/clock.h"
#include "profiles/monitoring/leases/lease_internal.h"
#include "profiles/monitoring/services/auditor.h"
#include "profiles/monitoring/services/observation.h"
#include "server/ws/metrics/pulse.h"
#include "profiles/monitoring/services/service_history.h"
#include "profiles/monitoring/state/conversation.h"
#include "profiles/monitoring/state/series.h"
#include "temp_dir.h"

static struct fault fault;

static struct flat event(const char *direction, uint64_t size, double response_ms, int64_t time_ms)
{
	static uint64_t seq;
	return (struct flat){.service = SERVICE_KIMI,
			     .seq = ++seq,
			     .time_ms = time_ms,
			     .direction = slice_of(direction),
			     .size = size,
			     .timed = response_ms > 0,
			     .response_ms = response_ms,
			     .data = slice_of("{}")};
}

static void what_is_added_can_be_taken_out(void)
{
	struct tally t = {0};
	struct flat events[] = {event("send", 10, 1.5, 1000), event("receive", 20, 0, 2000), event("error", 5, 2.5, 3000)};
	struct tally steps[3];
	for (int i = 0; i < 3; i++) {
		steps[i] = t;
		tally_add(&t, &events[i]);
	}
	CHECK(t.events == 3 && t.sent_bytes == 10 && t.received_bytes == 20 && t.errors == 1 && t.last_ms == 3000);
	CHECK(tally_mean_ms(&t) == 2);
	for (int i = 2; i >= 0; i--) {
		tally_remove(&t, &events[i]);
		t.last_ms = steps[i].last_ms;
		CHECK(memcmp(&t, &steps[i], sizeof t) == 0);
	}
}

static void connections_open_and_close(void)
{
	struct tally t = {0};
	struct flat e = event("connect", 0, 0, 1);
	e.service = SERVICE_WEBSOCKET;
	tally_add(&t, &e);
	tally_add(&t, &e);
	e.direction = slice_of("disconnect");
	for (int i = 0; i < 3; i++)
		tally_add(&t, &e);
	CHECK(t.open == 0 && t.events == 5);
}

static void what_is_saved_is_loaded(void)
{
	struct tally t = {1, 2, 3, 4, 5, 6, 7, 8};
	struct tally again;
	struct buf text;
	buf_init(&text);
	tally_save(&text, &t);
	CHECK_SLICE(buf_slice(&text), "[1,2,3,4,5,6,7,8]");
	CHECK(tally_load(buf_slice(&text), &again) && memcmp(&t, &again, sizeof t) == 0);
	static const char *const bad[] = {
		"", "[", "[1,2,3]", "[1,2,3,4,5,6,7,8,9]", "[1,2,3,4,5,6,7,-8]", "{}", "[1,2,3,4,5,6,7,x]"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		CHECK(!tally_load(slice_of(bad[i]), &again));
	struct observation o = {
		.time_ms = 9, .rule = RULE_SILENCE, .service = SERVICE_GLM, .value = 3, .event_count = 2, .events = {8, 7}};
	struct observation o2 = {0};
	text.len = 0;
	observation_save(&text, &o);
	CHECK(observation_load(buf_slice(&text), &o2) && memcmp(&o, &o2, sizeof o) == 0);
	CHECK(!observation_load(slice_of("[9,7,4,3,0,0,0,2,8,7,0,0,0,0,0,0]"), &o2));
	buf_finish(&text);
}

static void minutes_make_buckets_and_a_day_is_all(void)
{
	static struct series s;
	struct buf text;
	int64_t start = INT64_C(1795370400000); /* on the hour */
	buf_init(&text);
	for (int minute = 0; minute < 12; minute += 4) {
		struct flat e = event("receive", 10, minute + 1, start + minute * 60000);
		series_add(&s, &e);
	}
	series_write(&text, &s, 5, start - 1000, NULL);
	CHECK_SLICE(buf_slice(&text),
		    "{\"1795370400\":{\"count\":2,\"errors\":0,\"total_bytes\":20,\"avg_response_time\":3.000},"
		    "\"1795370700\":{\"count\":1,\"errors\":0,\"total_bytes\":10,\"avg_response_time\":9.000}}");
	struct flat later = event("receive", 1, 0, start + INT64_C(86400000));
	series_add(&s, &later);
	text.len = 0;
	series_write(&text, &s, 1440, 0, NULL);
	CHECK(memmem(text.data, text.len, "\"count\":2", 9) != NULL); /* the first minute is overwritten */
	buf_finish(&text);
}

static struct window_figures read_window(const struct window *w, enum service service, int64_t since_ms)
{
	static struct histogram_sum times;
	struct window_figures f = {0};
	times = (struct histogram_sum){0};
	window_read(w, service, since_ms, &f, &times);
	window_rank(&f, &times);
	return f;
}

static bool is_near(double found, double wanted)
{
	return found >= wanted * 0.99 && found <= wanted * 1.01;
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

/* Against the sorted list of all, over every size of numbers. */
static void a_percentile_is_within_one_percent(void)
{
	enum { TIMES = 20000 };
	static uint64_t all[TIMES];
	static struct histogram_sum sum;
	struct histogram parts[7] = {{0}};
	uint64_t random = 1;
	for (int bits = 1; bits <= 41; bits += 4) {
		sum = (struct histogram_sum){0};
		for (int i = 0; i < TIMES; i++) {
			random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
			all[i] = (random >> 20) & ((UINT64_C(1) << (1 + (random >> 8) % (unsigned)bits)) - 1);
			CHECK(histogram_add(&parts[i % 7], all[i]));
		}
		qsort(all, TIMES, sizeof *all, ascending);
		for (int i = 0; i < 7; i++) {
			histogram_sum_add(&sum, &parts[i]);
			histogram_clear(&parts[i]);
		}
		CHECK(sum.count == TIMES && sum.max_us == all[TIMES - 1]);
		for (unsigned percent = 1; percent <= 100; percent += 11)
			CHECK(is_near((double)histogram_percentile(&sum, percent), (double)all[TIMES * percent / 100 - 1]));
	}
}

/* Fails where only the newest response times are looked at. */
static void a_window_has_all_response_times(void)
{
	struct window *w = window_create();
	int64_t now = INT64_C(1000000) * 1000;
	for (int i = 0; i < 20500; i++) {
		struct flat e = event("receive", 0, i < 20000 ? 10 : 1000, now + i / 100);
		window_add(w, &e);
	}
	struct window_figures f = read_window(w, SERVICE_KIMI, now);
	CHECK(f.timed == 20500 && is_near(f.p95_ms, 10));
	window_destroy(w);
}

static void windows_forget(void)
{
	struct window *w = window_create();
	struct window_figures f;
	for (int i = 1; i <= 100; i++) {
		struct flat e = event(i % 10 == 0 ? "error" : "send", 0, i, INT64_C(1000000) * 1000 + i * 1000);
		window_add(w, &e);
	}
	f = read_window(w, SERVICE_KIMI, 0);
	CHECK(f.events == 100 && f.errors == 10 && f.timed == 100 && is_near(f.p95_ms, 95));
	f = read_window(w, SERVICE_KIMI, (INT64_C(1000000) + 91) * 1000);
	CHECK(f.events == 10 && f.errors == 1 && f.timed == 10 && f.p95_ms == 100);
	f = read_window(w, SERVICE_GLM, 0);
	CHECK(f.events == 0 && f.p95_ms == 0);
	uint64_t seqs[WINDOW_ERRORS];
	CHECK(window_errors(w, SERVICE_KIMI, seqs) == WINDOW_ERRORS && seqs[0] == seqs[1] + 10);
	window_destroy(w);
}

static void what_counts_as_an_error(void)
{
	struct tally t = {0};
	struct minute m = {0};
	struct flat e = event("receive", 0, 0, 1000);
	e.error = slice_of("boom");
	tally_add(&t, &e);
	minute_add(&m, &e);
	e.direction = slice_of("error");
	tally_add(&t, &e);
	e.error = (struct slice){NULL, 0};
	tally_add(&t, &e);
	e.direction = slice_of("send");
	e.error = slice_of("");
	tally_add(&t, &e);
	minute_add(&m, &e);
	CHECK(t.events == 4 && t.errors == 3 && m.events == 2 && m.errors == 1);
}

static void series_are_joined(void)
{
	static struct series a;
	static struct series b;
	struct buf text;
	struct minute first = {.minute = 1, .events = 3, .errors = 1};
	buf_init(&text);
	struct flat e = event("receive", 10, 1, 60000);
	series_add(&a, &e);
	series_add(&b, &e);
	e.time_ms = 120000;
	series_add(&b, &e);
	series_join(&a, &b);
	series_write(&text, &a, 1, 60000, NULL);
	CHECK_SLICE(buf_slice(&text), "{\"60\":{\"count\":2,\"errors\":0,\"total_bytes\":20,\"avg_response_time\":1.000},"
				      "\"120\":{\"count\":1,\"errors\":0,\"total_bytes\":10,\"avg_response_time\":1.000}}");
	text.len = 0;
	series_write(&text, &a, 2, 60500, &first);
	CHECK_SLICE(buf_slice(&text), "{\"0\":{\"count\":3,\"errors\":1,\"total_bytes\":0,\"avg_response_time\":0.000},"
				      "\"120\":{\"count\":1,\"errors\":0,\"total_bytes\":10,\"avg_response_time\":1.000}}");
	buf_finish(&text);
}

static void a_pulse_is_of_the_last_ten(void)
{
	struct pulse p;
	struct buf text;
	buf_init(&text);
	pulse_start(&p, 1000);
	for (int i = 0; i < 12; i++)
		pulse_trip(&p, 2000, (i + 1) * 1000);
	struct document d;
	pulse_write(document_begin(&d), &p, 7261000);
	document_end(&d, &text);
	CHECK_SLICE(buf_slice(&text),
		    "{\"uptime_seconds\":7260,\"uptime_formatted\":\"2h 1m\",\"current_ping_ms\":12.00,\"avg_ping_ms\":7.50,"
		    "\"p95_ping_ms\":12.00,\"reconnection_count\":0,\"timeout_warnings\":0,\"status\":\"stale\"}");
	buf_finish(&text);
}

static void write_conversations(struct buf *out, const struct conversations *c, int64_t now_ms)
{
	struct conversation_figures f;
	conversations_read(c, now_ms, &f);
	conversations_write(out, &f);
}

static void conversations_are_told_apart(void)
{
	struct conversations *c = conversations_create();
	struct buf text;
	struct flat e = event("send", 0, 0, 1000);
	buf_init(&text);
	e.metadata = slice_of("{\"continuation_id\":\"a\",\"model\":\"x-32K\",\"tokens\":50}");
	CHECK(conversations_add(c, &e) && conversations_add(c, &e));
	e.metadata = slice_of("{\"conversation_id\":\"b\"}");
	e.service = SERVICE_REDIS;
	CHECK(conversations_add(c, &e));
	e.metadata = slice_of("{\"model\":\"y\"}");
	CHECK(!conversations_add(c, &e));
	write_conversations(&text, c, 2000);
	CHECK_SLICE(buf_slice(&text),
		    "{\"active_sessions\":2,\"total_sessions\":2,\"conversation_length\":2,\"current_model\":\"x-32K\","
		    "\"context_tokens_used\":50,\"context_tokens_max\":32000}");
	text.len = 0;
	write_conversations(&text, c, INT64_C(24) * 3600 * 1000 + 2000);
	CHECK_SLICE(buf_slice(&text),
		    "{\"active_sessions\":0,\"total_sessions\":0,\"conversation_length\":0,\"current_model\":\"--\","
		    "\"context_tokens_used\":0,\"context_tokens_max\":128000}");
	/* There is a limit: the ones that were silent longest go. */
	for (int i = 0; i < 11000; i++) {
		char metadata[64];
		snprintf(metadata, sizeof metadata, "{\"continuation_id\":\"c%d\"}", i);
		e.metadata = slice_of(metadata);
		CHECK(conversations_add(c, &e));
	}
	text.len = 0;
	write_conversations(&text, c, 2000);
	CHECK(memmem(text.data, text.len, "\"total_sessions\":10000", 22) != NULL);
	buf_finish(&text);
	conversations_destroy(c);
}

static void lease_limits_are_read(void)
{
	struct lease_options o = lease_defaults();
	CHECK(lease_set_limit(&o, "KIMI=9") && lease_set_limit(&o, "new-one=1") && lease_set_limit(&o, "session=0"));
	CHECK(o.limit_count == 6 && o.limits[3].limit == 9 && strcmp(o.limits[5].name, "new-one") == 0);
	static const char *const bad[] = {"", "=", "a", "a=", "a=x", "=5", "a b=1", "a=-1", "a\"=1", "a=99999999999"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		CHECK(!lease_set_limit(&o, bad[i]));
}

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
	struct past *past;
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

/* --- many leases --- */

enum { MANY = 3000 };

/* Leases as a server that has ended has left them. */
static struct leases *load_leases(struct store *store)
{
	struct lease_options o = lease_defaults();
	struct leases *l;
	struct committed *committed;
	o.leak_ms = 1;
	for (int i = 0; i < MANY; i++) {
		char id[LEASE_ID_LEN + 1];
		snprintf(id, sizeof id, "%0*d", LEASE_ID_LEN, i);
		CHECK(store_note_put(store, "lease", slice_of(id), i + 1,
				     slice_of("{\"name\":\"kimi\",\"holder\":\"h\",\"session\":\"\","
					      "\"conversation\":\"\"}"),
				     &fault) == ERR_NONE);
	}
	CHECK(store_commit(store, &committed, &fault) == ERR_NONE);
	CHECK(leases_create(store, o, &l, &fault) == ERR_NONE);
	return l;
}

static int times_in(const struct buf *text, const char *what)
{
	int count = 0;
	const char *end = text->data + text->len;
	for (const char *at = text->data; (at = memmem(at, (size_t)(end - at), what, strlen(what))) != NULL; at++)
		count++;
	return count;
}

/* Fails where all are written in one go, or one that goes away between two parts loses or doubles others; and where a sweep
 * looks at all of them for each that it takes back. */
static void many_leases_are_told_in_parts_and_swept_in_one_pass(void)
{
	char dir[TEMP_DIR_LEN];
	struct store *store;
	struct pool *pool;
	struct feed *feed;
	struct sessions *sessions;
	struct writer *writer;
	struct buf out;
	int parts = 1;
	buf_init(&out);
	temp_dir_make(dir);
	CHECK(store_open(dir, (struct store_options){0}, &store, &fault) == ERR_NONE);
	struct leases *l = load_leases(store);
	struct lease_place at = {0};
	CHECK(!leases_write_part(l, &out, &at) && times_in(&out, "\"id\"") == LEASES_PART);
	struct lease *last = lease_find(l, slice_of(at.id));
	CHECK(last != NULL && last->number == LEASES_PART);
	/* The last that was written goes, and so it is not found again. */
	map_remove(&l->by_id, &last->by_id);
	while (!leases_write_part(l, &out, &at))
		parts++;
	CHECK(parts + 1 >= MANY / LEASES_PART && times_in(&out, "\"id\"") == MANY && !buf_failed(&out));
	for (int i = 0; i < MANY; i += 499) {
		char id[LEASE_ID_LEN + 16];
		snprintf(id, sizeof id, "\"id\":\"%0*d\"", LEASE_ID_LEN, i);
		CHECK(times_in(&out, id) == 1);
	}
	map_add(&l->by_id, hash_text(slice_of(last->id)), &last->by_id);

	CHECK(pool_create(store, 1, &pool, &fault) == ERR_NONE);
	CHECK(feed_create(store, pool, (struct feed_options){1 << 20, 1 << 20}, &feed, &fault) == ERR_NONE);
	CHECK(sessions_create(store, NULL, &sessions, &fault) == ERR_NONE);
	CHECK(writer_create(store, feed, sessions, (struct writer_options){0}, &writer, &fault) == ERR_NONE);
	while (clock_mono_ms() - LIST_ITEM(l->by_renewal.prev, struct lease, by_renewal)->renewed_ms < 1)
		;
	leases_sweep(l, writer);
	CHECK(l->looked_at == MANY && list_empty(&l->by_renewal) && l->leaks == MANY);
	writer_close(writer);
	CHECK(list_empty(&l->all) && l->by_id.count == 0);
	writer_destroy(writer);
	pool_destroy(pool);
	sessions_destroy(sessions);
	feed_destroy(feed);
	leases_destroy(l);
	store_close(store);
	temp_dir_remove(dir);
	buf_finish(&out);
}

int main(void)
{
	RUN(many_leases_are_told_in_parts_and_swept_in_one_pass);
	RUN(the_writer_waits_for_no_document);
	RUN(what_is_added_can_be_taken_out);
	RUN(connections_open_and_close);
	RUN(what_is_saved_is_loaded);
	RUN(minutes_make_buckets_and_a_day_is_all);
	RUN(a_percentile_is_within_one_percent);
	RUN(a_window_has_all_response_times);
	RUN(windows_forget);
	RUN(what_counts_as_an_error);
	RUN(series_are_joined);
	RUN(a_pulse_is_of_the_last_ten);
	RUN(conversations_are_told_apart);
	RUN(lease_limits_are_read);
	RUN(a_fold_in_portions_is_the_fold);
	RUN(the_past_is_read_in_parts);
	return check_end();
}
