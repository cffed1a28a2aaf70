/* Health in the forms of the monitoring profile: every component is looked at, not believed. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/system/clock.h"
#include "server/api/api.h"
#include "server/listen/listener.h"
#include "server/message/problem.h"
#include "server/ws/ws.h"
#include "server/ws/metrics/ws_metrics.h"
#include "store/transfer/seal.h"

#define U(n) ((unsigned long long)(n))

enum {
	LOOP_LAG_MAX_MS = 1000,
	LOOP_DEAD_MS = 30000, /* no disk takes so long that it would come back */
	DISK_DEGRADED = 85,   /* percent */
	DISK_UNHEALTHY = 95,
	MEMORY_WARNING = 80, /* percent of the machine's */
	MEMORY_CRITICAL = 90,
	LEAK_MB_PER_HOUR = 100,
	LEAK_SAMPLES = 30, /* a sample a minute: growth right after the start says nothing */
	MIB = 1024 * 1024,
};

enum grade { HEALTHY, DEGRADED, UNHEALTHY };

static const char *const grades[] = {"healthy", "degraded", "unhealthy"};

/* Of the whole, and of what serving needs: what fails for a part of the past only, or is only told, does not count there. */
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

/* When, for machines and for the people of the Python hub. */
static void put_times(struct buf *out)
{
	int64_t now = clock_wall_ms();
	buf_adds(out, ",\"timestamp_utc\":");
	clock_write_seconds(out, now);
	buf_adds(out, ",\"timestamp_melbourne\":");
	clock_write_stamp(out, now);
}

static void write_reason(struct buf *out, const char *text)
{
	char reason[FAULT_TEXT_LEN];
	problem_hide_paths(reason, sizeof reason, text);
	buf_json(out, slice_of(reason));
}

/* What is known to be wrong with the store, without a write. It takes precedence over the result of an earlier write. */
static enum grade known_of_store(struct api *api, struct fault *why)
{
	struct writer_figures w;
	writer_read(api->writer, &w);
	if (w.breaker == BREAKER_CLOSED)
		return store_ails(api->store, why) ? DEGRADED : HEALTHY;
	snprintf(why->text, sizeof why->text, "%s", w.reason);
	return UNHEALTHY;
}

/* And what came of a write; NULL: none was tried. */
static void write_storage(struct api *api, struct buf *out, const struct probe_result *probed, struct grades *all)
{
	struct fault why;
	enum grade known = known_of_store(api, &why);
	bool failed = known != UNHEALTHY && probed != NULL && !probed->fine;
	enum grade grade = failed ? UNHEALTHY : known;
	buf_printf(out, "\"storage\":{\"status\":\"%s\",\"type\":\"sqlite\",", grades[grade]);
	if (failed) {
		buf_printf(out, "\"error\":\"a write was not durable within %.0f ms\"", probed->ms);
	} else if (known != HEALTHY) {
		buf_adds(out, "\"error\":");
		write_reason(out, why.text);
	} else if (probed == NULL) {
		buf_adds(out, "\"message\":\"the newest commit did not fail\"");
	} else {
		buf_printf(out, "\"message\":\"a write was durable after %.3f ms\",\"write_ms\":%.3f", probed->ms,
			   probed->ms);
	}
	buf_addc(out, '}');
	if (grade == UNHEALTHY)
		worsen(all, grade);
	else
		worsen_all(all, grade); /* it serves */
}

static void write_disk(struct api *api, struct buf *out, struct grades *all)
{
	struct statvfs v;
	if (statvfs(store_dir(api->store), &v) != 0 || v.f_blocks == 0) {
		buf_adds(out, "\"disk\":{\"status\":\"unhealthy\",\"message\":\"the file system cannot be asked\"}");
		worsen(all, UNHEALTHY);
		return;
	}
	double total = (double)v.f_blocks * (double)v.f_frsize;
	double left = (double)v.f_bavail * (double)v.f_frsize;
	double used = (double)(v.f_blocks - v.f_bfree) * (double)v.f_frsize;
	double percent = used + left > 0 ? 100.0 * used / (used + left) : 100; /* as df says: reserved blocks are nobody's */
	struct fault low;
	bool is_low = writer_is_low(api->writer, &low);
	enum grade grade = percent >= DISK_UNHEALTHY || is_low ? UNHEALTHY : percent >= DISK_DEGRADED ? DEGRADED : HEALTHY;
	char words[32];
	snprintf(words, sizeof words, "%.1f %% used", percent);
	buf_printf(out, "\"disk\":{\"status\":\"%s\",\"message\":", grades[grade]);
	buf_json(out, slice_of(is_low ? low.text : words));
	buf_printf(out, ",\"disk_percent\":%.2f,\"disk_free_gb\":%.3f,\"disk_total_gb\":%.3f}", percent, left / MIB / 1024,
		   total / MIB / 1024);
	worsen(all, grade);
}

/* Publishing and reading go on. */
static void write_clock(struct api *api, struct buf *out, struct grades *all)
{
	struct archiver_figures k;
	archiver_read(api->archiver, &k);
	enum grade grade = k.clock_behind_ms == 0 ? HEALTHY : DEGRADED;
	buf_printf(out, "\"clock\":{\"status\":\"%s\",\"message\":\"%s\",\"behind_ms\":%lld},", grades[grade],
		   grade == HEALTHY ? "the clock is not behind the newest event"
				    : "the clock is behind the newest event: times stand still until it has caught up",
		   (long long)k.clock_behind_ms);
	worsen_all(all, grade);
}

/* What needs an archive that is missing or damaged fails, and nothing else. */
static void write_archives(struct api *api, struct buf *out, bool named, struct grades *all)
{
	struct fault why = {0};
	enum grade grade = seal_absent(api->store, &why) ? DEGRADED : HEALTHY;
	buf_printf(out, "\"archives\":{\"status\":\"%s\",\"message\":", grades[grade]);
	if (grade == HEALTHY)
		buf_adds(out, "\"none is known to be missing or damaged\"");
	else if (named)
		write_reason(out, why.text);
	else
		buf_adds(out, "\"one is missing or damaged\"");
	buf_adds(out, "},");
	worsen_all(all, grade);
}

/* How alarming memory is: its use on the machine, and how fast this process grows. */
static enum grade memory_grade(const struct memory_figures *m)
{
	if (m->system_percent >= MEMORY_CRITICAL)
		return UNHEALTHY;
	bool leaks = m->samples >= LEAK_SAMPLES && m->growth_mb_per_hour > LEAK_MB_PER_HOUR;
	return leaks || m->system_percent >= MEMORY_WARNING ? DEGRADED : HEALTHY;
}

static const char *const alert_levels[] = {"none", "warning", "critical"};
static const char *const memory_words[] = {"memory is fine", "memory is short, or grows", "memory is nearly used up"};

static void write_memory(struct api *api, struct buf *out, struct grades *all)
{
	struct memory_figures m;
	watch_memory(api->watch, &m);
	enum grade grade = memory_grade(&m);
	buf_printf(out,
		   "\"memory\":{\"status\":\"%s\",\"message\":\"%s\",\"process_memory_mb\":%.3f,"
		   "\"system_memory_percent\":%.2f,\"growth_rate_mb_per_hour\":%.3f,\"alert_level\":\"%s\"}",
		   grades[grade], memory_words[grade], (double)m.resident / MIB, m.system_percent, m.growth_mb_per_hour,
		   alert_levels[grade]);
	worsen(all, grade);
}

/* The three components of the old monitoring server: its sockets, its page, its figures. */
static void write_parts(struct api *api, struct buf *out, struct grades *all)
{
	struct ws_figures w;
	struct tally tallies[SERVICES];
	uint64_t counted;
	ws_read(api->ws, &w);
	uint64_t head = feed_head(api->feed);
	monitor_tallies(api->monitor, tallies, &counted);
	enum grade sockets = w.loop_lag_ms < LOOP_LAG_MAX_MS ? HEALTHY : DEGRADED;
	/* Our own page is part of the program; another one is read from its directory. */
	enum grade page = api->static_dir == NULL || access(api->static_dir, R_OK | X_OK) == 0 ? HEALTHY : DEGRADED;
	enum grade figures = counted >= head ? HEALTHY : DEGRADED;
	buf_printf(out, "\"websocket\":\"%s\",\"dashboard\":\"%s\",\"metrics\":\"%s\",", grades[sockets], grades[page],
		   grades[figures]);
	buf_printf(out, "\"loop\":{\"status\":\"%s\",\"lag_ms\":%llu},", grades[sockets], U(w.loop_lag_ms));
	worsen(all, sockets);
	worsen(all, page);
	worsen(all, figures);
}

/* Every component; `probed` is what a write has come to, NULL where none was tried. Not `named`: without names of archives
 * and leases, for who has no token. */
static struct grades write_components(struct api *api, struct buf *out, const struct probe_result *probed, bool named)
{
	struct grades all = {HEALTHY, HEALTHY};
	buf_adds(out, ",\"components\":{");
	write_parts(api, out, &all);
	write_storage(api, out, probed, &all);
	buf_adds(out, ",\"supabase\":{\"status\":\"healthy\",\"enabled\":false,\"message\":\"not used\"},");
	write_clock(api, out, &all);
	write_archives(api, out, named, &all);
	write_memory(api, out, &all);
	buf_addc(out, ',');
	write_disk(api, out, &all);
	buf_adds(out, ",\"semaphores\":");
	/* Permits in use are no fault of the whole, even if all are; one that leaked is. */
	worsen(&all, leases_write_use(api->leases, out, named) < LEASES_DEGRADED ? HEALTHY : DEGRADED);
	buf_adds(out, "}}");
	return all;
}

/* A request that waits for a write; no thread of the pool does. */
struct health {
	struct probe_ask ask; /* first: the probe gives it back */
	struct http_request *exchange;
	bool is_readiness;
};

/* On the pool: the file system is asked, too. */
static void write_health(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct api *api = arg;
	const struct health *h = request_state(x);
	struct buf parts;
	buf_init(&parts);
	struct grades found = write_components(api, &parts, &h->ask.result, true);
	enum grade grade = h->is_readiness ? found.ready : found.all;
	struct buf *out = request_out(x);
	buf_printf(out, "{\"status\":\"%s\",\"service\":\"monitoring\",\"port\":%d,\"version\":\"%s\"", grades[grade],
		   listener_port(api->listener), TIDEMARK_VERSION);
	put_times(out);
	buf_join(out, &parts, 0, 0);
	buf_finish(&parts);
	api_json_done(x, grade == HEALTHY ? 200 : 503);
}

static void on_probed(struct probe_ask *ask)
{
	request_defer(((struct health *)ask)->exchange, write_health);
}

static void reply_health(struct api *api, struct http_request *x, bool is_readiness)
{
	struct health *h = calloc(1, sizeof *h);
	if (h == NULL) {
		request_problem(x, 503, "out of memory");
		request_done(x);
		return;
	}
	h->exchange = x;
	h->ask.done = on_probed;
	h->is_readiness = is_readiness;
	request_keep(x, h, free);
	probe_submit(api->probe, &h->ask);
}

void api_health(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	reply_health(arg, x, false);
}

void api_health_ready(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	reply_health(arg, x, true);
}

/* Alive: this thread answers, and the sockets' loop turns. What is wrong with the components is readiness: it is shown, and
 * counts for nothing here. */
static void reply_live(struct api *api, struct http_request *x, bool named)
{
	struct ws_figures w;
	ws_read(api->ws, &w);
	bool alive = w.loop_lag_ms < LOOP_DEAD_MS;
	buf_printf(request_out(x), "{\"status\":\"%s\",\"version\":\"%s\",\"uptime_seconds\":%lld,\"loop_lag_ms\":%llu",
		   grades[alive ? HEALTHY : UNHEALTHY], TIDEMARK_VERSION,
		   (long long)(clock_mono_ms() - api->started_mono_ms) / 1000, U(w.loop_lag_ms));
	put_times(request_out(x));
	write_components(api, request_out(x), NULL, named);
	api_json_done(x, alive ? 200 : 503);
}

void api_health_live(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	reply_live(arg, x, true);
}

void api_healthz(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	reply_live(arg, x, false);
}

void api_health_semaphores(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct api *api = arg;
	enum lease_health health = leases_write_health(api->leases, request_out(x));
	api_json_done(x, health != LEASES_CRITICAL ? 200 : 503);
}

void api_health_memory(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct api *api = arg;
	struct buf *out = request_out(x);
	struct memory_figures m;
	watch_memory(api->watch, &m);
	enum grade grade = memory_grade(&m);
	buf_printf(out, "{\"status\":\"%s\",\"timestamp_utc\":", grades[grade]);
	clock_write_seconds(out, clock_wall_ms());
	buf_printf(out,
		   ",\"current_metrics\":{\"process_memory_mb\":%.3f,\"system_memory_percent\":%.2f,"
		   "\"growth_rate_mb_per_hour\":%.3f},\"alert\":{\"level\":\"%s\",\"message\":\"%s\","
		   "\"threshold_exceeded\":%s},",
		   (double)m.resident / MIB, m.system_percent, m.growth_mb_per_hour, alert_levels[grade],
		   memory_words[grade], grade != HEALTHY ? "true" : "false");
	buf_printf(out,
		   "\"thresholds\":{\"warning_percent\":%d,\"critical_percent\":%d,\"leak_mb_per_hour\":%d},\"baseline\":",
		   MEMORY_WARNING, MEMORY_CRITICAL, LEAK_MB_PER_HOUR);
	if (m.baseline != 0) {
		buf_printf(out, "{\"process_memory_mb\":%.3f,\"timestamp\":", (double)m.baseline / MIB);
		clock_write(out, m.baseline_ms);
		buf_addc(out, '}');
	} else {
		buf_adds(out, "null");
	}
	buf_printf(out, ",\"history_size\":%llu}", U(m.samples));
	api_json_done(x, grade == HEALTHY ? 200 : 503);
}

/* The writer's: what cannot be committed is shown to nobody. */
static void write_circuit(struct api *api, struct buf *out)
{
	struct writer_figures w;
	writer_read(api->writer, &w);
	buf_printf(out,
		   "\"circuit_breaker\":{\"name\":\"writer\",\"state\":\"%s\",\"failure_count\":%llu,\"success_count\":0,"
		   "\"half_open_calls\":%d,\"config\":{\"failure_threshold\":%d,\"success_threshold\":%d,"
		   "\"timeout_seconds\":%.1f,\"half_open_max_calls\":%d}}",
		   breaker_name(w.breaker), U(w.breaker_failures), w.breaker == BREAKER_HALF_OPEN, BREAKER_FAILURES,
		   BREAKER_SUCCESSES, BREAKER_WAIT_MAX_MS / 1000.0, BREAKER_TRIES);
}

/* Disconnected is a session that is known by its name and has no connection now. */
void api_health_websocket(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct api *api = arg;
	struct buf *out = request_out(x);
	struct ws_metrics *m = ws_figures_of(api->ws);
	struct ws_figures w;
	struct buf texts[WS_TEXTS];
	for (int i = 0; i < WS_TEXTS; i++)
		buf_init(&texts[i]);
	ws_metrics_texts(m, texts);
	ws_read(api->ws, &w);
	uint64_t away = ws_metrics_away(m);
	bool ill = w.loop_lag_ms >= LOOP_LAG_MAX_MS || away > w.connections;
	const char *status = ill ? "degraded" : w.connections == 0 ? "warning" : "healthy";
	buf_printf(out, "{\"status\":\"%s\"", status);
	put_times(out);
	buf_printf(out,
		   ",\"connections\":{\"total_connections\":%llu,\"connected\":%llu,\"disconnected\":%llu,"
		   "\"total_queued_messages\":%llu,\"connections\":",
		   U(w.connections + away), U(w.connections), U(away), U(w.lag_sum));
	buf_join(out, &texts[WS_TEXT_CONNECTIONS], 0, 0);
	buf_adds(out, ",\"metrics\":");
	ws_metrics_write(m, out, w.connections, api->writer);
	buf_addc(out, ',');
	write_circuit(api, out);
	buf_adds(out, "},\"pings\":");
	buf_join(out, &texts[WS_TEXT_PULSES], 0, 0);
	buf_adds(out, ",\"health\":");
	buf_join(out, &texts[WS_TEXT_HEALTH], 0, 0);
	buf_adds(out, ",\"metrics\":");
	ws_metrics_write(m, out, w.connections, api->writer);
	buf_addc(out, '}');
	for (int i = 0; i < WS_TEXTS; i++)
		buf_finish(&texts[i]);
	api_json_done(x, 200);
}
