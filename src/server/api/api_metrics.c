/* /metrics: the figures of /v1/stats in the text format of Prometheus (version 0.0.4). */
#include <inttypes.h>
#include <stdlib.h>

#include "base/system/clock.h"
#include "base/system/sys.h"
#include "server/api/api.h"
#include "server/listen/listener.h"
#include "server/stream/waiters.h"
#include "server/ws/ws.h"

static void put_help(struct buf *out, const char *name, const char *kind, const char *help)
{
	buf_printf(out, "# HELP tidemark_%s %s\n# TYPE tidemark_%s %s\n", name, help, name, kind);
}

static void put(struct buf *out, const char *name, const char *kind, const char *help, double value)
{
	put_help(out, name, kind, help);
	buf_printf(out, "tidemark_%s %.17g\n", name, value);
}

static void put_counter(struct buf *out, const char *name, const char *help, uint64_t value)
{
	put(out, name, "counter", help, (double)value);
}

static void put_gauge(struct buf *out, const char *name, const char *help, uint64_t value)
{
	put(out, name, "gauge", help, (double)value);
}

/* A histogram of durations. The counts per bound are exact. */
static void put_histogram(struct buf *out, const char *name, const char *help, const struct spread_histogram *h)
{
	put_help(out, name, "histogram", help);
	for (int i = 0; i < SPREAD_BOUNDS; i++)
		buf_printf(out, "tidemark_%s_bucket{le=\"%.6f\"} %" PRIu64 "\n", name, (double)h->bounds_us[i] / 1e6,
			   h->upto[i]);
	buf_printf(out, "tidemark_%s_bucket{le=\"+Inf\"} %" PRIu64 "\ntidemark_%s_sum %.6f\ntidemark_%s_count %" PRIu64 "\n",
		   name, h->count, name, (double)h->sum_us / 1e6, name, h->count);
}

static void put_log(struct api *api, struct buf *out)
{
	uint64_t db;
	uint64_t wal;
	uint64_t disk = 0;
	uint32_t archives;
	uint64_t archived;
	store_sizes(api->store, &db, &wal);
	store_disk_free(api->store, &disk);
	store_archive_figures(api->store, &archives, &archived);
	put_gauge(out, "first_seq", "Lowest seq that can be read.", store_first(api->store));
	put_gauge(out, "head_seq", "Highest seq assigned.", store_head(api->store));
	put_gauge(out, "hot_seq", "Lowest seq that is in the log, and not only in archives.", store_log_first(api->store));
	put_gauge(out, "streams", "Streams.", store_streams(api->store));
	put_gauge(out, "database_bytes", "Size of the database in bytes.", db);
	put_gauge(out, "wal_bytes", "Size of the write-ahead log in bytes.", wal);
	put_gauge(out, "disk_free_bytes", "Free space on the disk in bytes.", disk);
	put_gauge(out, "archives", "Archives.", archives);
	put_gauge(out, "archive_bytes", "Size of all archives in bytes.", archived);
}

static void put_breaker(const struct writer_figures *w, struct buf *out)
{
	put_help(out, "breaker_state", "gauge", "State of the circuit breaker of commits: 1 for the current state, else 0.");
	for (enum breaker_state b = BREAKER_CLOSED; b <= BREAKER_HALF_OPEN; b++)
		buf_printf(out, "tidemark_breaker_state{state=\"%s\"} %d\n", breaker_name(b), w->breaker == b);
	const struct {
		enum breaker_state to;
		uint64_t count;
	} transitions[] = {{BREAKER_OPEN, w->breaker_opens},
			   {BREAKER_HALF_OPEN, w->breaker_half_opens},
			   {BREAKER_CLOSED, w->breaker_closes}};
	put_help(out, "breaker_transitions_total", "counter", "Transitions of the circuit breaker to each state.");
	for (int i = 0; i < 3; i++)
		buf_printf(out, "tidemark_breaker_transitions_total{to=\"%s\"} %" PRIu64 "\n",
			   breaker_name(transitions[i].to), transitions[i].count);
}

static void put_writer(struct api *api, struct buf *out)
{
	struct writer_figures w;
	struct archiver_figures k;
	writer_read(api->writer, &w);
	archiver_read(api->archiver, &k);
	put_counter(out, "events_committed_total", "Events committed since the start.", w.events);
	put_counter(out, "commits_total", "Committed transactions with new events.", w.commits);
	put_counter(out, "duplicates_total", "Events that were not stored because their id was stored before.",
		    w.duplicates);
	put_counter(out, "publish_refused_total",
		    "Publishing requests refused because the queue was full, the breaker open or the disk reserve reached.",
		    w.refused);
	struct fault low;
	uint64_t left = 0;
	store_room(api->store, &left);
	put_gauge(out, "disk_left_bytes",
		  "Bytes that can be written before the disk reserve is reached, after a checkpoint.", left);
	put_gauge(out, "disk_low", "1 while publishing is refused to keep --disk-reserve free.",
		  writer_is_low(api->writer, &low));
	put_counter(out, "publish_failed_total", "Requests whose commit failed.", w.failed);
	put_gauge(out, "queue_requests", "Requests waiting for a commit.", w.queued_requests);
	put_gauge(out, "queue_events", "Events waiting for a commit.", w.queued_events);
	put_gauge(out, "queue_bytes", "Memory of the requests waiting for a commit, in bytes.", w.queued_bytes);
	struct spread_histogram times;
	writer_read_commits(api->writer, &times);
	put_histogram(out, "commit_seconds",
		      "Duration of a transaction with new events, from its first event until it is durable.", &times);
	put_breaker(&w, out);
	put_counter(out, "retention_sealed_total", "Archives sealed.", k.sealed);
	put_counter(out, "retention_left_total", "Events evicted from the log.", k.evicted);
	put_counter(out, "retention_failed_total", "Failed attempts of retention.", k.failed);
	put(out, "clock_behind_seconds", "gauge",
	    "Seconds that the machine's clock is behind the newest event; new events get that event's time meanwhile.",
	    (double)k.clock_behind_ms / 1000);
	put_counter(out, "clock_jumps_total", "Steps of the machine's clock by ten seconds or more.", k.clock_jumps);
}

static void put_readers(struct api *api, struct buf *out)
{
	struct waiters_figures p;
	struct ws_figures w;
	struct feed_figures f;
	waiters_read(api->waiters, &p);
	ws_read(api->ws, &w);
	feed_read(api->feed, &f);
	put_help(out, "readers", "gauge", "Connected readers.");
	buf_printf(out, "tidemark_readers{kind=\"websocket\"} %" PRIu64 "\ntidemark_readers{kind=\"sse\"} %" PRIu64 "\n",
		   w.connections, p.sse);
	buf_printf(out, "tidemark_readers{kind=\"long_poll\"} %" PRIu64 "\n", p.long_polls);
	put_gauge(out, "reader_lag_max", "Lag of the slowest reader in events.",
		  w.lag_max > p.lag_max ? w.lag_max : p.lag_max);
	put_counter(out, "delivered_total", "Events delivered over WebSocket and SSE.", w.delivered + p.delivered);
	struct spread_histogram times;
	feed_read_deliveries(api->feed, &times);
	put_histogram(out, "delivery_seconds",
		      "Duration from publishing an event to writing it to the socket of a live reader.", &times);
	spread_read_histogram(&api->queries, &times);
	put_histogram(out, "query_seconds", "Duration of making a page of history, without long polls that waited.", &times);
	put_gauge(out, "ring_bytes", "Memory of recent events in bytes.", f.ring_bytes);
	put_gauge(out, "cache_bytes", "Memory of cached older pages in bytes.", f.cache_bytes);
	put_counter(out, "cache_loads_total", "Pages read from disk for readers.", f.loads);
}

enum { SESSIONS_SHOWN = 100 };

/* The most recently used sessions, newest first. */
struct recent {
	struct {
		char *name;
		size_t len;
		int64_t updated_ms;
	} items[SESSIONS_SHOWN];
	int count;
};

static void on_session(void *arg, struct slice name, const struct session_state *state)
{
	struct recent *r = arg;
	if (r->count == SESSIONS_SHOWN && r->items[r->count - 1].updated_ms >= state->updated_ms)
		return;
	char *copy = strndup(name.p, name.len);
	if (copy == NULL)
		return;
	if (r->count == SESSIONS_SHOWN)
		free(r->items[--r->count].name);
	int at = r->count++;
	for (; at > 0 && r->items[at - 1].updated_ms < state->updated_ms; at--)
		r->items[at] = r->items[at - 1];
	r->items[at].name = copy;
	r->items[at].len = name.len;
	r->items[at].updated_ms = state->updated_ms;
}

/* A label's value may be escaped as in JSON: for the characters of names the escapes of Prometheus are the same. */
static void put_sessions(struct api *api, struct reader *reader, struct buf *out)
{
	struct recent recent = {.count = 0};
	put_gauge(out, "sessions", "Sessions.", sessions_count(api->sessions));
	sessions_each(api->sessions, on_session, &recent);
	put_help(out, "session_lag", "gauge",
		 "Events that pass the filter of a session and are not acknowledged, of the 100 sessions that were used "
		 "last.");
	for (int i = 0; i < recent.count; i++) {
		struct slice name = {recent.items[i].name, recent.items[i].len};
		struct fault fault;
		uint64_t lag;
		if (sessions_lag(api->sessions, name, reader, &lag, &fault) == ERR_NONE) {
			buf_adds(out, "tidemark_session_lag{session=");
			buf_json(out, name);
			buf_printf(out, "} %" PRIu64 "\n", lag);
		}
		free(recent.items[i].name);
	}
}

static void put_quotas(struct api *api, struct buf *out)
{
	struct quota_figures q[QUOTAS];
	for (int i = 0; i < QUOTAS; i++)
		q[i] = quota_read(api->quotas, (enum quota)i);
	put_help(out, "quota_held", "gauge", "Amount of a shared resource that clients hold, by kind.");
	for (int i = 0; i < QUOTAS; i++)
		buf_printf(out, "tidemark_quota_held{kind=\"%s\"} %" PRIu64 "\n", q[i].name, q[i].held);
	put_help(out, "quota_limit", "gauge", "Limit of a shared resource, by kind.");
	for (int i = 0; i < QUOTAS; i++)
		buf_printf(out, "tidemark_quota_limit{kind=\"%s\"} %" PRIu64 "\n", q[i].name, q[i].limit);
	put_help(out, "quota_refused_total", "counter",
		 "Requests refused because the client had its share (share), or nothing was left (all).");
	for (int i = 0; i < QUOTAS; i++)
		buf_printf(out,
			   "tidemark_quota_refused_total{kind=\"%s\",why=\"share\"} %" PRIu64 "\n"
			   "tidemark_quota_refused_total{kind=\"%s\",why=\"all\"} %" PRIu64 "\n",
			   q[i].name, q[i].refused_share, q[i].name, q[i].refused_all);
}

static void put_connections(struct api *api, struct buf *out)
{
	struct listener_figures d;
	struct access_figures a;
	listener_read(api->listener, &d);
	access_read(api->access, &a);
	put_gauge(out, "connections", "Open connections.", d.open);
	put_counter(out, "connections_accepted_total", "Connections accepted.", d.accepted);
	put_counter(out, "connections_refused_total", "Connections refused over a limit.", d.refused);
	put_counter(out, "connections_silent_total", "Connections closed because their request took too long to arrive.",
		    d.timed_out);
	put_gauge(out, "tls_connections", "Open TLS connections.", d.tls.open);
	put_counter(out, "tls_handshakes_failed_total", "Failed TLS handshakes.", d.tls.failed);
	put_counter(out, "rate_limited_total", "Requests refused by a rate limit.", rates_refused(api->rates));
	put_quotas(api, out);
	put_help(out, "denied_total", "counter", "Requests denied, by reason.");
	for (int i = 0; i < DENIAL_COUNT; i++)
		buf_printf(out, "tidemark_denied_total{reason=\"%s\"} %" PRIu64 "\n", denial_name((enum denial)i),
			   a.denied[i]);
}

void api_metrics(void *arg, struct http_request *x, struct reader *reader)
{
	struct api *api = arg;
	struct buf *out = request_out(x);
	put_help(out, "build_info", "gauge", "Version and epoch of the store.");
	buf_printf(out, "tidemark_build_info{version=\"%s\",epoch=\"%s\"} 1\n", TIDEMARK_VERSION, store_epoch(api->store));
	put(out, "uptime_seconds", "gauge", "Seconds since the start.",
	    (double)(clock_mono_ms() - api->started_mono_ms) / 1000);
	put_log(api, out);
	put_writer(api, out);
	put_readers(api, out);
	put_sessions(api, reader, out);
	put_connections(api, out);
	put_gauge(out, "resident_bytes", "Resident memory in bytes.", sys_resident());
	for (int i = 0; i < api->figures_count; i++)
		if (api->figures[i].metrics != NULL)
			api->figures[i].metrics(api->figures[i].arg, out);
	request_status(x, 200, "text/plain; version=0.0.4; charset=utf-8");
	request_done(x);
}
