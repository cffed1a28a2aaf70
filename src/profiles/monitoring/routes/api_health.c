/* Health documents of the monitoring profile: every component is actually checked. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/system/clock.h"
#include "profiles/monitoring/routes/routes.h"
#include "profiles/monitoring/services/monitoring.h"
#include "server/api/api.h"
#include "server/listen/listener.h"
#include "server/message/problem.h"
#include "server/ws/metrics/ws_metrics.h"
#include "server/ws/ws.h"
#include "store/archives/archive_set.h"
#include "store/transfer/seal.h"

enum {
	LOOP_LAG_MAX_MS = 1000,
	LOOP_DEAD_MS = 30000, /* no disk stalls for so long and recovers */
	DISK_DEGRADED = 85,   /* percent */
	DISK_UNHEALTHY = 95,
	MEMORY_WARNING = 80, /* percent of the machine's */
	MEMORY_CRITICAL = 90,
	LEAK_MB_PER_HOUR = 100,
	LEAK_SAMPLES = 30, /* one sample per minute: growth right after the start means nothing */
	MIB = 1024 * 1024,
};

enum grade { HEALTHY, DEGRADED, UNHEALTHY };

static const char *const grades[] = {"healthy", "degraded", "unhealthy"};

/* The grade of the whole, and of readiness. Problems that affect old events only, or that are only reported, do not count
 * for readiness. */
struct grades {
	enum grade all;
	enum grade ready;
};

static void worsen_all(struct grades *g, enum grade one)
{
	g->all = one > g->all ? one : g->all;
}

static void worsen(struct grades *g, enum grade one)
{
	worsen_all(g, one);
	g->ready = one > g->ready ? one : g->ready;
}

/* The time, for machines and for the clients of the Python hub. */
static void put_times(struct doc to)
{
	int64_t now = clock_wall_ms();
	struct buf text;
	buf_init(&text);
	clock_write_seconds(&text, now);
	doc_raw_take(to, "timestamp_utc", &text);
	clock_write_stamp(&text, now);
	doc_raw_take(to, "timestamp_melbourne", &text);
}

static void put_reason(struct doc to, const char *key, const char *text)
{
	char reason[FAULT_TEXT_LEN];
	problem_hide_paths(reason, sizeof reason, text);
	doc_string(to, key, reason);
}

/* Known problems of the store, without a write. They take precedence over the result of an earlier write. */
static enum grade known_of_store(struct monitoring *self, struct fault *why)
{
	struct writer_figures w;
	writer_read(self->api->writer, &w);
	if (w.breaker == BREAKER_CLOSED)
		return store_unhealthy(self->api->store, why) ? DEGRADED : HEALTHY;
	snprintf(why->text, sizeof why->text, "%s", w.reason);
	return UNHEALTHY;
}

/* The state of the store, with the result of a write; NULL: none was tried. */
static void put_storage(struct monitoring *self, struct doc to, const struct probe_result *probed, struct grades *all)
{
	struct fault why;
	enum grade known = known_of_store(self, &why);
	bool failed = known != UNHEALTHY && probed != NULL && !probed->fine;
	enum grade grade = failed ? UNHEALTHY : known;
	char words[96];
	struct doc storage = doc_object(to, "storage");
	doc_string(storage, "status", grades[grade]);
	doc_string(storage, "type", "sqlite");
	if (failed) {
		snprintf(words, sizeof words, "a write was not durable within %.0f ms", probed->ms);
		doc_string(storage, "error", words);
	} else if (known != HEALTHY) {
		put_reason(storage, "error", why.text);
	} else if (probed == NULL) {
		doc_string(storage, "message", "the newest commit did not fail");
	} else {
		snprintf(words, sizeof words, "a write was durable after %.3f ms", probed->ms);
		doc_string(storage, "message", words);
		doc_fixed(storage, "write_ms", probed->ms, 3);
	}
	if (grade == UNHEALTHY)
		worsen(all, grade);
	else
		worsen_all(all, grade); /* the server still serves requests */
}

static void put_disk(struct monitoring *self, struct doc to, struct grades *all)
{
	struct statvfs v;
	struct doc disk = doc_object(to, "disk");
	if (statvfs(store_dir(self->api->store), &v) != 0 || v.f_blocks == 0) {
		doc_string(disk, "status", grades[UNHEALTHY]);
		doc_string(disk, "message", "cannot query the file system");
		worsen(all, UNHEALTHY);
		return;
	}
	double total = (double)v.f_blocks * (double)v.f_frsize;
	double left = (double)v.f_bavail * (double)v.f_frsize;
	double used = (double)(v.f_blocks - v.f_bfree) * (double)v.f_frsize;
	/* As df does: reserved blocks count neither as used nor as free. */
	double percent = used + left > 0 ? 100.0 * used / (used + left) : 100;
	struct fault low;
	bool is_low = writer_is_low(self->api->writer, &low);
	enum grade grade = percent >= DISK_UNHEALTHY || is_low ? UNHEALTHY : percent >= DISK_DEGRADED ? DEGRADED : HEALTHY;
	char words[32];
	snprintf(words, sizeof words, "%.1f %% used", percent);
	doc_string(disk, "status", grades[grade]);
	doc_string(disk, "message", is_low ? low.text : words);
	doc_fixed(disk, "disk_percent", percent, 2);
	doc_fixed(disk, "disk_free_gb", left / MIB / 1024, 3);
	doc_fixed(disk, "disk_total_gb", total / MIB / 1024, 3);
	worsen(all, grade);
}

/* Publishing and reading go on. */
static void put_clock(struct monitoring *self, struct doc to, struct grades *all)
{
	struct archiver_figures k;
	archiver_read(self->api->archiver, &k);
	enum grade grade = k.clock_behind_ms == 0 ? HEALTHY : DEGRADED;
	struct doc clock = doc_object(to, "clock");
	doc_string(clock, "status", grades[grade]);
	doc_string(
		clock, "message",
		grade == HEALTHY
			? "the clock is not behind the newest event"
			: "the clock is behind the newest event: new events get that event's time until it has caught up");
	doc_i64(clock, "behind_ms", k.clock_behind_ms);
	worsen_all(all, grade);
}

/* Only requests that need a missing or damaged archive fail. */
static void put_archives(struct monitoring *self, struct doc to, bool named, struct grades *all)
{
	struct fault why = {0};
	enum grade grade = archive_set_is_incomplete(store_archives(self->api->store), &why) ? DEGRADED : HEALTHY;
	struct doc archives = doc_object(to, "archives");
	doc_string(archives, "status", grades[grade]);
	if (grade == HEALTHY)
		doc_string(archives, "message", "none is known to be missing or damaged");
	else if (named)
		put_reason(archives, "message", why.text);
	else
		doc_string(archives, "message", "one is missing or damaged");
	worsen_all(all, grade);
}

/* The grade of memory: from its use on the machine, and from the growth of this process. */
static enum grade memory_grade(const struct memory_figures *m)
{
	if (m->system_percent >= MEMORY_CRITICAL)
		return UNHEALTHY;
	bool leaks = m->samples >= LEAK_SAMPLES && m->growth_mb_per_hour > LEAK_MB_PER_HOUR;
	return leaks || m->system_percent >= MEMORY_WARNING ? DEGRADED : HEALTHY;
}

static const char *const alert_levels[] = {"none", "warning", "critical"};
static const char *const memory_words[] = {"memory is fine", "memory is short, or grows", "memory is nearly used up"};

static void put_memory_figures(struct doc to, const struct memory_figures *m)
{
	doc_fixed(to, "process_memory_mb", (double)m->resident / MIB, 3);
	doc_fixed(to, "system_memory_percent", m->system_percent, 2);
	doc_fixed(to, "growth_rate_mb_per_hour", m->growth_mb_per_hour, 3);
}

static void put_memory(struct monitoring *self, struct doc to, struct grades *all)
{
	struct memory_figures m;
	watch_memory(self->watch, &m);
	enum grade grade = memory_grade(&m);
	struct doc memory = doc_object(to, "memory");
	doc_string(memory, "status", grades[grade]);
	doc_string(memory, "message", memory_words[grade]);
	put_memory_figures(memory, &m);
	doc_string(memory, "alert_level", alert_levels[grade]);
	worsen(all, grade);
}

/* The three components of the Python hub: its sockets, its page, its figures. */
static void put_parts(struct monitoring *self, struct doc to, struct grades *all)
{
	struct ws_figures w;
	struct tally tallies[SERVICES];
	uint64_t counted;
	ws_read(self->api->ws, &w);
	uint64_t head = feed_head(self->api->feed);
	monitor_tallies(self->monitor, tallies, &counted);
	enum grade sockets = w.loop_lag_ms < LOOP_LAG_MAX_MS ? HEALTHY : DEGRADED;
	/* The built-in page is part of the program; an operator's page is read from its directory. */
	enum grade page =
		self->api->static_dir == NULL || access(self->api->static_dir, R_OK | X_OK) == 0 ? HEALTHY : DEGRADED;
	enum grade figures = counted >= head ? HEALTHY : DEGRADED;
	doc_string(to, "websocket", grades[sockets]);
	doc_string(to, "dashboard", grades[page]);
	doc_string(to, "metrics", grades[figures]);
	struct doc loop = doc_object(to, "loop");
	doc_string(loop, "status", grades[sockets]);
	doc_u64(loop, "lag_ms", w.loop_lag_ms);
	worsen(all, sockets);
	worsen(all, page);
	worsen(all, figures);
}

/* Every component; `probed`: the result of a write, NULL: none was tried. Not `named`: without names of archives and
 * leases, for requests without a token. */
static struct grades put_components(struct monitoring *self, struct doc to, const struct probe_result *probed, bool named)
{
	struct grades all = {HEALTHY, HEALTHY};
	put_parts(self, to, &all);
	put_storage(self, to, probed, &all);
	struct doc supabase = doc_object(to, "supabase");
	doc_string(supabase, "status", grades[HEALTHY]);
	doc_bool(supabase, "enabled", false);
	doc_string(supabase, "message", "not used");
	put_clock(self, to, &all);
	put_archives(self, to, named, &all);
	put_memory(self, to, &all);
	put_disk(self, to, &all);
	/* Permits in use do not make the whole unhealthy, even all of them; a leaked one does. */
	enum lease_health leases = leases_write_use(self->leases, doc_object(to, "semaphores"), named);
	worsen(&all, leases < LEASES_DEGRADED ? HEALTHY : DEGRADED);
	return all;
}

/* A request that waits for a write; no pool thread does. */
struct health {
	struct probe_ask ask; /* first member: the probe hands it back */
	struct http_request *request;
	bool is_readiness;
};

/* On the pool, because it asks the file system. */
static void write_health(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct monitoring *self = arg;
	const struct health *h = request_state(x);
	struct document parts;
	struct document whole;
	struct buf text;
	struct grades found = put_components(self, document_begin(&parts), &h->ask.result, true);
	enum grade grade = h->is_readiness ? found.ready : found.all;
	buf_init(&text);
	document_end(&parts, &text);
	struct doc root = document_begin(&whole);
	doc_string(root, "status", grades[grade]);
	doc_string(root, "service", "monitoring");
	doc_i64(root, "port", listener_port(self->api->listener));
	doc_string(root, "version", TIDEMARK_VERSION);
	put_times(root);
	doc_raw_take(root, "components", &text);
	document_end(&whole, request_out(x));
	api_json_done(x, grade == HEALTHY ? 200 : 503);
}

static void on_probed(struct probe_ask *ask)
{
	request_defer(((struct health *)ask)->request, write_health);
}

static void reply_health(struct monitoring *self, struct http_request *x, bool is_readiness)
{
	struct health *h = calloc(1, sizeof *h);
	if (h == NULL) {
		request_problem(x, 503, "out of memory");
		request_done(x);
		return;
	}
	h->request = x;
	h->ask.done = on_probed;
	h->is_readiness = is_readiness;
	request_keep(x, h, free);
	probe_submit(self->probe, &h->ask);
}

void monitoring_health(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	reply_health(arg, x, false);
}

void monitoring_health_ready(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	reply_health(arg, x, true);
}

/* Alive: this thread answers, and the WebSocket loop runs. The components are about readiness: they are listed, but do
 * not count. */
static void reply_live(struct monitoring *self, struct http_request *x, bool named)
{
	struct document d;
	struct ws_figures w;
	ws_read(self->api->ws, &w);
	bool alive = w.loop_lag_ms < LOOP_DEAD_MS;
	struct doc root = document_begin(&d);
	doc_string(root, "status", grades[alive ? HEALTHY : UNHEALTHY]);
	doc_string(root, "version", TIDEMARK_VERSION);
	doc_i64(root, "uptime_seconds", (clock_mono_ms() - self->api->started_mono_ms) / 1000);
	doc_u64(root, "loop_lag_ms", w.loop_lag_ms);
	put_times(root);
	put_components(self, doc_object(root, "components"), NULL, named);
	document_end(&d, request_out(x));
	api_json_done(x, alive ? 200 : 503);
}

void monitoring_health_live(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	reply_live(arg, x, true);
}

void monitoring_healthz(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	reply_live(arg, x, false);
}

void monitoring_health_semaphores(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct monitoring *self = arg;
	struct document d;
	enum lease_health health = leases_write_health(self->leases, document_begin(&d));
	document_end(&d, request_out(x));
	api_json_done(x, health != LEASES_CRITICAL ? 200 : 503);
}

void monitoring_health_memory(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct monitoring *self = arg;
	struct document d;
	struct buf now;
	struct memory_figures m;
	watch_memory(self->watch, &m);
	enum grade grade = memory_grade(&m);
	struct doc root = document_begin(&d);
	buf_init(&now);
	clock_write_seconds(&now, clock_wall_ms());
	doc_string(root, "status", grades[grade]);
	doc_raw_take(root, "timestamp_utc", &now);
	put_memory_figures(doc_object(root, "current_metrics"), &m);
	struct doc alert = doc_object(root, "alert");
	doc_string(alert, "level", alert_levels[grade]);
	doc_string(alert, "message", memory_words[grade]);
	doc_bool(alert, "threshold_exceeded", grade != HEALTHY);
	struct doc thresholds = doc_object(root, "thresholds");
	doc_i64(thresholds, "warning_percent", MEMORY_WARNING);
	doc_i64(thresholds, "critical_percent", MEMORY_CRITICAL);
	doc_i64(thresholds, "leak_mb_per_hour", LEAK_MB_PER_HOUR);
	if (m.baseline != 0) {
		struct doc baseline = doc_object(root, "baseline");
		doc_fixed(baseline, "process_memory_mb", (double)m.baseline / MIB, 3);
		doc_time(baseline, "timestamp", m.baseline_ms);
	} else {
		doc_null(root, "baseline");
	}
	doc_u64(root, "history_size", m.samples);
	document_end(&d, request_out(x));
	api_json_done(x, grade == HEALTHY ? 200 : 503);
}

/* The writer's circuit breaker: an event that cannot be committed is sent to nobody. */
static void put_circuit(struct monitoring *self, struct doc to)
{
	struct writer_figures w;
	writer_read(self->api->writer, &w);
	struct doc circuit = doc_object(to, "circuit_breaker");
	doc_string(circuit, "name", "writer");
	doc_string(circuit, "state", breaker_name(w.breaker));
	doc_u64(circuit, "failure_count", w.breaker_failures);
	doc_u64(circuit, "success_count", 0);
	doc_u64(circuit, "half_open_calls", w.breaker == BREAKER_HALF_OPEN);
	struct doc config = doc_object(circuit, "config");
	/* it opens at the first failure, and closes after the first success */
	doc_u64(config, "failure_threshold", 1);
	doc_u64(config, "success_threshold", 1);
	doc_fixed(config, "timeout_seconds", BREAKER_WAIT_MAX_MS / 1000.0, 1);
	doc_u64(config, "half_open_max_calls", 1);
}

/* Disconnected: a named session that has no connection now. */
void monitoring_health_websocket(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct monitoring *self = arg;
	struct ws_metrics *m = ws_figures_of(self->api->ws);
	struct ws_figures w;
	struct document d;
	struct buf texts[WS_TEXTS];
	for (int i = 0; i < WS_TEXTS; i++)
		buf_init(&texts[i]);
	ws_metrics_texts(m, texts);
	ws_read(self->api->ws, &w);
	uint64_t away = ws_metrics_away(m);
	bool ill = w.loop_lag_ms >= LOOP_LAG_MAX_MS || away > w.connections;
	struct doc root = document_begin(&d);
	doc_string(root, "status", ill ? "degraded" : w.connections == 0 ? "warning" : "healthy");
	put_times(root);
	struct doc connections = doc_object(root, "connections");
	doc_u64(connections, "total_connections", w.connections + away);
	doc_u64(connections, "connected", w.connections);
	doc_u64(connections, "disconnected", away);
	doc_u64(connections, "total_queued_messages", w.lag_sum);
	doc_raw_take(connections, "connections", &texts[WS_TEXT_CONNECTIONS]);
	ws_metrics_write(m, doc_object(connections, "metrics"), w.connections, self->api->writer);
	put_circuit(self, connections);
	doc_raw_take(root, "pings", &texts[WS_TEXT_PULSES]);
	doc_raw_take(root, "health", &texts[WS_TEXT_HEALTH]);
	ws_metrics_write(m, doc_object(root, "metrics"), w.connections, self->api->writer);
	document_end(&d, request_out(x));
	api_json_done(x, 200);
}
