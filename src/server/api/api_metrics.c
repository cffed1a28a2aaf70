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

/* Durations; `upto` are exact. */
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
	put_gauge(out, "head_seq", "Highest seq given.", store_head(api->store));
	put_gauge(out, "hot_seq", "Lowest seq that is in the log, not in archives alone.", store_log_first(api->store));
	put_gauge(out, "streams", "Streams.", store_streams(api->store));
	put_gauge(out, "database_bytes", "Size of the database.", db);
	put_gauge(out, "wal_bytes", "Size of its write-ahead log.", wal);
	put_gauge(out, "disk_free_bytes", "Free on the disk.", disk);
	put_gauge(out, "archives", "Archives.", archives);
	put_gauge(out, "archive_bytes", "Size of all archives.", archived);
}

static void put_breaker(const struct writer_figures *w, struct buf *out)
{
	put_help(out, "breaker_state", "gauge", "1 for the state that the circuit breaker of commits is in.");
	for (enum breaker_state b = BREAKER_CLOSED; b <= BREAKER_HALF_OPEN; b++)
		buf_printf(out, "tidemark_breaker_state{state=\"%s\"} %d\n", breaker_name(b), w->breaker == b);
	const struct {
		enum breaker_state to;
		uint64_t count;
	} transitions[] = {{BREAKER_OPEN, w->breaker_opens},
			   {BREAKER_HALF_OPEN, w->breaker_half_opens},
			   {BREAKER_CLOSED, w->breaker_closes}};
	put_help(out, "breaker_transitions_total", "counter",
		 "Times that it opened, that it was tried whether commits work again, and that it closed.");
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
	put_counter(out, "commits_total", "Transactions committed that had new events.", w.commits);
	put_counter(out, "duplicates_total", "Events whose id was stored before.", w.duplicates);
	put_counter(out, "publish_refused_total", "Requests that the queue, the breaker or the disk's reserve turned away.",
		    w.refused);
	struct fault low;
	uint64_t left = 0;
	store_room(api->store, &left);
	put_gauge(out, "disk_left_bytes", "Bytes that can still be written, once the log is written back.", left);
	put_gauge(out, "disk_low", "1 while publishing is refused for less than --disk-reserve would be left.",
		  writer_is_low(api->writer, &low));
	put_counter(out, "publish_failed_total", "Requests whose commit failed.", w.failed);
	put_gauge(out, "queue_requests", "Requests that wait for a commit.", w.queued_requests);
	put_gauge(out, "queue_events", "Events that wait for a commit.", w.queued_events);
	put_gauge(out, "queue_bytes", "Their memory.", w.queued_bytes);
	struct spread_histogram times;
	writer_read_commits(api->writer, &times);
	put_histogram(out, "commit_seconds",
		      "Time of a transaction that has new events, from its first event until it is on the disk.", &times);
	put_breaker(&w, out);
	put_counter(out, "retention_sealed_total", "Archives sealed.", k.sealed);
	put_counter(out, "retention_left_total", "Events that have left the log.", k.evicted);
	put_counter(out, "retention_failed_total", "Attempts of retention that failed.", k.failed);
	put(out, "clock_behind_seconds", "gauge",
	    "The machine's clock, behind the newest event: times stand still meanwhile.", (double)k.clock_behind_ms / 1000);
	put_counter(out, "clock_jumps_total", "Times that the machine's clock was set by ten seconds or more.",
		    k.clock_jumps);
}

static void put_readers(struct api *api, struct buf *out)
{
	struct waiters_figures p;
	struct ws_figures w;
	struct feed_figures f;
	waiters_read(api->waiters, &p);
	ws_read(api->ws, &w);
	feed_read(api->feed, &f);
	put_help(out, "readers", "gauge", "Readers that are connected.");
	buf_printf(out, "tidemark_readers{kind=\"websocket\"} %" PRIu64 "\ntidemark_readers{kind=\"sse\"} %" PRIu64 "\n",
		   w.connections, p.sse);
	buf_printf(out, "tidemark_readers{kind=\"long_poll\"} %" PRIu64 "\n", p.long_polls);
	put_gauge(out, "reader_lag_max", "Events that the slowest reader is behind.",
		  w.lag_max > p.lag_max ? w.lag_max : p.lag_max);
	put_counter(out, "delivered_total", "Events delivered over WebSocket and SSE.", w.delivered + p.delivered);
	struct spread_histogram times;
	feed_read_deliveries(api->feed, &times);
	put_histogram(out, "delivery_seconds", "Time of an event from its publisher to the socket of a reader that is live.",
		      &times);
	spread_read_histogram(&api->queries, &times);
	put_histogram(out, "query_seconds",
		      "Time of a page of history, from the request until it is made; long polls that waited do not count.",
		      &times);
	put_gauge(out, "ring_bytes", "Memory of recent events.", f.ring_bytes);
	put_gauge(out, "cache_bytes", "Memory of older pages.", f.cache_bytes);
	put_counter(out, "cache_loads_total", "Pages read from the disk for readers.", f.loads);
}

enum { SESSIONS_SHOWN = 100 };

/* The sessions that were used last, newest first. */
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

/* A label's value: JSON's escapes of what a name may hold are those of Prometheus. */
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
	put_help(out, "quota_held", "gauge", "What clients hold of what is there for all, by kind.");
	for (int i = 0; i < QUOTAS; i++)
		buf_printf(out, "tidemark_quota_held{kind=\"%s\"} %" PRIu64 "\n", q[i].name, q[i].held);
	put_help(out, "quota_limit", "gauge", "How much of it there is.");
	for (int i = 0; i < QUOTAS; i++)
		buf_printf(out, "tidemark_quota_limit{kind=\"%s\"} %" PRIu64 "\n", q[i].name, q[i].limit);
	put_help(out, "quota_refused_total", "counter", "Refused because the client had its share, or there was none left.");
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
	put_gauge(out, "connections", "Connections that are open.", d.open);
	put_counter(out, "connections_accepted_total", "Connections accepted.", d.accepted);
	put_counter(out, "connections_refused_total", "Connections refused over a limit.", d.refused);
	put_counter(out, "connections_silent_total", "Connections that took too long to say what they want.", d.timed_out);
	put_gauge(out, "tls_connections", "Encrypted connections.", d.tls.open);
	put_counter(out, "tls_handshakes_failed_total", "TLS handshakes that failed.", d.tls.failed);
	put_counter(out, "rate_limited_total", "Requests over a rate.", rates_refused(api->rates));
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
	put(out, "uptime_seconds", "gauge", "Since the start.", (double)(clock_mono_ms() - api->started_mono_ms) / 1000);
	put_log(api, out);
	put_writer(api, out);
	put_readers(api, out);
	put_sessions(api, reader, out);
	put_connections(api, out);
	put_gauge(out, "resident_bytes", "Resident memory.", sys_resident());
	for (int i = 0; i < api->figures_count; i++)
		if (api->figures[i].metrics != NULL)
			api->figures[i].metrics(api->figures[i].arg, out);
	request_status(x, 200, "text/plain; version=0.0.4; charset=utf-8");
	request_done(x);
}
