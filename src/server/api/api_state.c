/* Figures and health. */
#include <stdlib.h>

#include "base/system/clock.h"
#include "base/system/sys.h"
#include "server/api/api.h"
#include "server/listen/listener.h"
#include "server/message/problem.h"
#include "server/ws/metrics/ws_metrics.h"
#include "server/ws/ws.h"
#include "store/archives/archive_set.h"
#include "json/document.h"

/* --- figures --- */

static void put_log(struct api *api, struct doc to)
{
	uint64_t db;
	uint64_t wal;
	uint64_t disk = 0;
	uint64_t head = store_head(api->store);
	uint64_t first = store_first(api->store);
	store_sizes(api->store, &db, &wal);
	store_disk_free(api->store, &disk);
	doc_u64(to, "first", first);
	doc_u64(to, "head", head);
	doc_u64(to, "events", head + 1 - first);
	doc_u64(to, "streams", store_streams(api->store));
	struct doc bytes = doc_object(to, "bytes");
	doc_u64(bytes, "db", db);
	doc_u64(bytes, "wal", wal);
	doc_u64(bytes, "disk_free", disk);
}

static void put_archives(struct api *api, struct doc to)
{
	uint32_t count;
	uint64_t bytes;
	struct fault missing = {0};
	store_archive_figures(api->store, &count, &bytes);
	archive_set_is_incomplete(store_archives(api->store), &missing);
	struct doc archives = doc_object(to, "archives");
	doc_u64(archives, "count", count);
	doc_u64(archives, "bytes", bytes);
	doc_string(archives, "missing", missing.text);
}

static void put_retention(struct api *api, struct doc to)
{
	struct archiver_figures k;
	struct archiver_options limits = archiver_limits(api->archiver);
	uint64_t log_first = store_log_first(api->store);
	archiver_read(api->archiver, &k);
	struct doc retention = doc_object(to, "retention");
	doc_i64(retention, "age_ms", limits.age_ms);
	doc_u64(retention, "bytes", limits.bytes);
	doc_u64(retention, "events", limits.events);
	doc_string(retention, "archive", limits.discard ? "none" : "zstd");
	struct doc log = doc_object(retention, "log");
	doc_u64(log, "first", log_first);
	doc_u64(log, "events", store_head(api->store) + 1 - log_first);
	doc_u64(log, "bytes", k.used);
	doc_u64(retention, "sealed", k.sealed);
	doc_u64(retention, "left", k.evicted);
	doc_u64(retention, "failed", k.failed);
	doc_bool(retention, "working", k.working);
	doc_string(retention, "reason", k.reason);
	struct doc clock = doc_object(to, "clock");
	doc_i64(clock, "behind_ms", k.clock_behind_ms);
	doc_u64(clock, "jumps", k.clock_jumps);
}

static void put_commits(struct doc to, const struct writer_figures *w)
{
	struct doc rate = doc_object(to, "rate");
	doc_fixed(rate, "events_1s", w->events_1s, 1);
	doc_fixed(rate, "events_10s", w->events_10s, 1);
	doc_fixed(rate, "events_60s", w->events_60s, 1);
	struct doc commits = doc_object(to, "commits");
	doc_u64(commits, "count", w->commits);
	doc_u64(commits, "events", w->events);
	doc_u64(commits, "duplicates", w->duplicates);
	doc_u64(commits, "failed", w->failed);
	doc_u64(commits, "refused", w->refused);
	struct doc latency = doc_object(commits, "latency_ms");
	doc_fixed(latency, "mean", w->commit.mean_ms, 3);
	doc_fixed(latency, "p50", w->commit.p50_ms, 3);
	doc_fixed(latency, "p99", w->commit.p99_ms, 3);
	doc_fixed(latency, "max", w->commit.max_ms, 3);
}

static void put_disk(struct api *api, struct doc to)
{
	struct fault low;
	uint64_t left = 0;
	store_room(api->store, &left);
	bool is_low = writer_is_low(api->writer, &low);
	struct doc disk = doc_object(to, "disk");
	doc_u64(disk, "left", left);
	doc_u64(disk, "reserve", writer_disk_reserve(api->writer));
	doc_bool(disk, "low", is_low);
	doc_string(disk, "reason", is_low ? low.text : "");
}

static void put_writer(struct api *api, struct doc to)
{
	struct writer_figures w;
	writer_read(api->writer, &w);
	put_commits(to, &w);
	put_disk(api, to);
	struct doc queue = doc_object(to, "queue");
	doc_u64(queue, "requests", w.queued_requests);
	doc_u64(queue, "events", w.queued_events);
	doc_u64(queue, "bytes", w.queued_bytes);
	doc_u64(queue, "events_max", quota_read(api->quotas, QUOTA_QUEUE_EVENTS).limit);
	doc_u64(queue, "bytes_max", quota_read(api->quotas, QUOTA_QUEUE_BYTES).limit);
	struct doc breaker = doc_object(to, "breaker");
	doc_string(breaker, "state", breaker_name(w.breaker));
	doc_u64(breaker, "opens", w.breaker_opens);
	doc_u64(breaker, "half_opens", w.breaker_half_opens);
	doc_u64(breaker, "closes", w.breaker_closes);
	doc_u64(breaker, "failures", w.breaker_failures);
	doc_string(breaker, "reason", w.reason);
}

static void put_readers(struct api *api, struct doc to)
{
	struct waiters_figures p;
	struct ws_figures w;
	struct feed_figures f;
	waiters_read(api->waiters, &p);
	ws_read(api->ws, &w);
	feed_read(api->feed, &f);
	struct doc readers = doc_object(to, "readers");
	doc_u64(readers, "websocket", w.connections);
	doc_u64(readers, "sse", p.sse);
	doc_u64(readers, "long_poll", p.long_polls);
	doc_u64(readers, "lag_max", w.lag_max > p.lag_max ? w.lag_max : p.lag_max);
	doc_u64(to, "delivered", w.delivered + p.delivered);
	struct doc ring = doc_object(to, "ring");
	doc_u64(ring, "first", f.ring_first);
	doc_u64(ring, "pages", f.ring_pages);
	doc_u64(ring, "bytes", f.ring_bytes);
	struct doc cache = doc_object(to, "cache");
	doc_u64(cache, "bytes", f.cache_bytes);
	doc_u64(cache, "loads", f.loads);
}

static void put_connections(struct api *api, struct doc to)
{
	struct listener_figures d;
	listener_read(api->listener, &d);
	struct doc connections = doc_object(to, "connections");
	doc_u64(connections, "open", d.open);
	doc_u64(connections, "max", d.max);
	doc_u64(connections, "accepted", d.accepted);
	doc_u64(connections, "refused", d.refused);
	doc_u64(connections, "silent", d.timed_out);
	struct doc tls = doc_object(to, "tls");
	doc_u64(tls, "open", d.tls.open);
	doc_u64(tls, "handshakes", d.tls.handshakes);
	doc_u64(tls, "failed", d.tls.failed);
	doc_u64(tls, "reloads", d.tls.reloads);
	doc_u64(to, "rate_limited", rates_refused(api->rates));
}

static void put_quotas(struct api *api, struct doc to)
{
	struct doc quotas = doc_object(to, "quotas");
	for (int i = 0; i < QUOTAS; i++) {
		struct quota_figures q = quota_read(api->quotas, (enum quota)i);
		struct doc quota = doc_object(quotas, q.name);
		doc_u64(quota, "held", q.held);
		doc_u64(quota, "limit", q.limit);
		struct doc refused = doc_object(quota, "refused");
		doc_u64(refused, "share", q.refused_share);
		doc_u64(refused, "all", q.refused_all);
	}
}

static void put_access(struct api *api, struct doc to)
{
	struct access_figures a;
	access_read(api->access, &a);
	struct doc access = doc_object(to, "access");
	doc_u64(access, "tokens", a.tokens);
	doc_u64(access, "reloads", a.reloads);
	doc_u64(access, "reloads_failed", a.reloads_failed);
	struct doc denied = doc_object(access, "denied");
	for (int i = 0; i < DENIAL_COUNT; i++)
		doc_u64(denied, denial_name((enum denial)i), a.denied[i]);
}

static void put_websockets(struct api *api, struct doc to)
{
	struct ws_figures w;
	ws_read(api->ws, &w);
	ws_metrics_write(ws_figures_of(api->ws), doc_object(to, "websocket"), w.connections, api->writer);
	doc_u64(to, "loop_lag_ms", w.loop_lag_ms);
}

void api_stats(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct api *api = arg;
	const struct lineage *lineage = store_lineage(api->store);
	struct document d;
	struct buf lines;
	buf_init(&lines);
	lineage_write(&lines, lineage->lines, lineage->count);
	struct doc root = document_begin(&d);
	doc_string(root, "version", TIDEMARK_VERSION);
	doc_string(root, "epoch", store_epoch(api->store));
	doc_raw_take(root, "lineage", &lines);
	doc_i64(root, "uptime_ms", clock_mono_ms() - api->started_mono_ms);
	doc_string(root, "durability", api->durability);
	put_log(api, root);
	put_archives(api, root);
	put_retention(api, root);
	put_writer(api, root);
	put_readers(api, root);
	put_connections(api, root);
	put_quotas(api, root);
	put_access(api, root);
	put_websockets(api, root);
	for (int i = 0; i < api->figures_count; i++)
		api->figures[i].stats(api->figures[i].arg, root);
	doc_u64(doc_object(root, "memory"), "rss_bytes", sys_resident());
	document_end(&d, request_out(x));
	api_json_done(x, 200);
}

/* --- health --- */

enum {
	LOOP_DEAD_MS = 30000
}; /* a WebSocket thread that is late by this much counts as dead: no disk stalls for so long and recovers */

void api_healthz(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct api *api = arg;
	struct document d;
	struct ws_figures w;
	ws_read(api->ws, &w);
	bool alive = w.loop_lag_ms < LOOP_DEAD_MS;
	struct doc root = document_begin(&d);
	doc_string(root, "status", alive ? "healthy" : "unhealthy");
	doc_string(root, "version", TIDEMARK_VERSION);
	doc_i64(root, "uptime_seconds", (clock_mono_ms() - api->started_mono_ms) / 1000);
	doc_u64(root, "loop_lag_ms", w.loop_lag_ms);
	document_end(&d, request_out(x));
	api_json_done(x, alive ? 200 : 503);
}

void api_readyz(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct api *api = arg;
	struct writer_figures w;
	writer_read(api->writer, &w);
	struct fault low;
	char reason[sizeof w.reason];
	problem_hide_paths(reason, sizeof reason, w.reason); /* the endpoint needs no token, so paths are hidden */
	const char *why = w.breaker != BREAKER_CLOSED ? reason : NULL;
	if (why == NULL && writer_is_low(api->writer, &low))
		why = low.text;
	if (why != NULL) {
		request_problem(x, 503, why);
		request_done(x);
		return;
	}
	struct document d;
	doc_string(document_begin(&d), "status", "ready");
	document_end(&d, request_out(x));
	api_json_done(x, 200);
}
