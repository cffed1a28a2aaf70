/* Figures and health. */
#include <stdio.h>
#include <stdlib.h>

#include "base/system/clock.h"
#include "server/api/api.h"
#include "server/listen/listener.h"
#include "server/message/problem.h"
#include "server/ws/ws.h"
#include "server/ws/metrics/ws_metrics.h"

#define U(n) ((unsigned long long)(n))

/* --- figures --- */

static void write_log_figures(struct api *api, struct buf *out)
{
	uint64_t db;
	uint64_t wal;
	uint64_t disk = 0;
	uint64_t head = store_head(api->store);
	uint64_t first = store_first(api->store);
	store_sizes(api->store, &db, &wal);
	store_disk_free(api->store, &disk);
	buf_printf(out, "\"first\":%llu,\"head\":%llu,\"events\":%llu,\"streams\":%u,", U(first), U(head),
		   U(head + 1 - first), store_streams(api->store));
	buf_printf(out, "\"bytes\":{\"db\":%llu,\"wal\":%llu,\"disk_free\":%llu},", U(db), U(wal), U(disk));
}

static void write_archive_figures(struct api *api, struct buf *out)
{
	struct archiver_figures k;
	struct archiver_options limits = archiver_limits(api->archiver);
	uint32_t archives;
	uint64_t bytes;
	uint64_t hot = store_log_first(api->store);
	archiver_read(api->archiver, &k);
	store_archive_figures(api->store, &archives, &bytes);
	struct fault missing = {0};
	seal_absent(api->store, &missing);
	buf_printf(out, "\"archives\":{\"count\":%u,\"bytes\":%llu,\"missing\":", archives, U(bytes));
	buf_json(out, slice_of(missing.text));
	buf_adds(out, "},");
	buf_printf(
		out,
		"\"retention\":{\"age_ms\":%lld,\"bytes\":%llu,\"events\":%llu,\"archive\":\"%s\",\"log\":{\"first\":%llu,"
		"\"events\":%llu,\"bytes\":%llu},\"sealed\":%llu,\"left\":%llu,\"failed\":%llu,\"working\":%s,\"reason\":",
		(long long)limits.age_ms, U(limits.bytes), U(limits.events), limits.discard ? "none" : "zstd", U(hot),
		U(store_head(api->store) + 1 - hot), U(k.used), U(k.sealed), U(k.left), U(k.failed),
		k.working ? "true" : "false");
	buf_json(out, slice_of(k.reason));
	buf_printf(out, "},\"clock\":{\"behind_ms\":%lld,\"jumps\":%llu},", (long long)k.clock_behind_ms, U(k.clock_jumps));
}

static void write_writer_figures(struct api *api, struct buf *out)
{
	struct writer_figures w;
	struct writer_options limits = writer_limits(api->writer);
	writer_read(api->writer, &w);
	buf_printf(out, "\"rate\":{\"events_1s\":%.1f,\"events_10s\":%.1f,\"events_60s\":%.1f},", w.events_1s, w.events_10s,
		   w.events_60s);
	buf_printf(out,
		   "\"commits\":{\"count\":%llu,\"events\":%llu,\"duplicates\":%llu,\"failed\":%llu,\"refused\":%llu,"
		   "\"latency_ms\":{\"mean\":%.3f,\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f}},",
		   U(w.commits), U(w.events), U(w.duplicates), U(w.failed), U(w.refused), w.commit.mean_ms, w.commit.p50_ms,
		   w.commit.p99_ms, w.commit.max_ms);
	struct fault low;
	uint64_t left = 0;
	store_room(api->store, &left);
	bool is_low = writer_is_low(api->writer, &low);
	buf_printf(out, "\"disk\":{\"left\":%llu,\"reserve\":%llu,\"low\":%s,\"reason\":", U(left), U(limits.disk_reserve),
		   is_low ? "true" : "false");
	buf_json(out, slice_of(is_low ? low.text : ""));
	buf_adds(out, "},");
	buf_printf(
		out, "\"queue\":{\"requests\":%llu,\"events\":%llu,\"bytes\":%llu,\"events_max\":%llu,\"bytes_max\":%llu},",
		U(w.queued_requests), U(w.queued_events), U(w.queued_bytes),
		U(quota_read(api->quotas, QUOTA_QUEUE_EVENTS).limit), U(quota_read(api->quotas, QUOTA_QUEUE_BYTES).limit));
	buf_printf(out,
		   "\"breaker\":{\"state\":\"%s\",\"opens\":%llu,\"half_opens\":%llu,\"closes\":%llu,\"failures\":%llu,"
		   "\"reason\":",
		   breaker_name(w.breaker), U(w.breaker_opens), U(w.breaker_half_opens), U(w.breaker_closes),
		   U(w.breaker_failures));
	buf_json(out, slice_of(w.reason));
	buf_adds(out, "},");
}

static void write_reader_figures(struct api *api, struct buf *out)
{
	struct waiters_figures p;
	struct ws_figures w;
	struct feed_figures f;
	struct listener_figures d;
	waiters_read(api->waiters, &p);
	ws_read(api->ws, &w);
	feed_read(api->feed, &f);
	listener_read(api->listener, &d);
	buf_printf(out, "\"readers\":{\"websocket\":%llu,\"sse\":%llu,\"long_poll\":%llu,\"lag_max\":%llu},",
		   U(w.connections), U(p.sse), U(p.long_polls), U(w.lag_max > p.lag_max ? w.lag_max : p.lag_max));
	buf_printf(out, "\"delivered\":%llu,", U(w.delivered + p.delivered));
	buf_printf(out, "\"ring\":{\"first\":%llu,\"pages\":%llu,\"bytes\":%llu},\"cache\":{\"bytes\":%llu,\"loads\":%llu},",
		   U(f.ring_first), U(f.ring_pages), U(f.ring_bytes), U(f.cache_bytes), U(f.loads));
	buf_printf(out,
		   "\"connections\":{\"open\":%llu,\"max\":%llu,\"accepted\":%llu,\"refused\":%llu,\"silent\":%llu},"
		   "\"tls\":{\"open\":%llu,\"handshakes\":%llu,\"failed\":%llu,\"reloads\":%llu},\"rate_limited\":%llu,",
		   U(d.open), U(d.max), U(d.accepted), U(d.refused), U(d.timed_out), U(d.tls.open), U(d.tls.handshakes),
		   U(d.tls.failed), U(d.tls.reloads), U(rates_refused(api->rates)));
	buf_adds(out, "\"quotas\":{");
	for (int i = 0; i < QUOTAS; i++) {
		struct quota_figures q = quota_read(api->quotas, (enum quota)i);
		buf_printf(out, "%s\"%s\":{\"held\":%llu,\"limit\":%llu,\"refused\":{\"share\":%llu,\"all\":%llu}}",
			   i > 0 ? "," : "", q.name, U(q.held), U(q.limit), U(q.refused_share), U(q.refused_all));
	}
	buf_adds(out, "},");
}

static void write_access_figures(struct api *api, struct buf *out)
{
	struct access_figures a;
	access_read(api->access, &a);
	buf_printf(out, "\"access\":{\"tokens\":%llu,\"reloads\":%llu,\"reloads_failed\":%llu,\"denied\":{", U(a.tokens),
		   U(a.reloads), U(a.reloads_failed));
	for (int i = 0; i < DENIAL_COUNT; i++)
		buf_printf(out, "%s\"%s\":%llu", i == 0 ? "" : ",", denial_name((enum denial)i), U(a.denied[i]));
	buf_adds(out, "}},");
}

static void write_monitor_figures(struct api *api, struct buf *out)
{
	struct auditor_figures a;
	struct ws_figures w;
	ws_read(api->ws, &w);
	auditor_read(api->auditor, &a);
	buf_adds(out, "\"websocket\":");
	ws_metrics_write(ws_figures_of(api->ws), out, w.connections, api->writer);
	buf_printf(out, ",\"loop_lag_ms\":%llu,\"dashboards\":%llu,\"observations\":{\"all\":%llu,\"open\":%llu},",
		   U(w.loop_lag_ms), U(w.dashboards), U(a.observations), U(a.open));
}

void api_stats(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct api *api = arg;
	struct buf *out = request_out(x);
	const struct lineage *lineage = store_lineage(api->store);
	buf_printf(out, "{\"version\":\"%s\",\"epoch\":\"%s\",\"lineage\":", TIDEMARK_VERSION, store_epoch(api->store));
	lineage_write(out, lineage->lines, lineage->count);
	buf_printf(out, ",\"uptime_ms\":%lld,\"durability\":\"%s\",", (long long)(clock_mono_ms() - api->started_mono_ms),
		   api->durability);
	write_log_figures(api, out);
	write_archive_figures(api, out);
	write_writer_figures(api, out);
	write_reader_figures(api, out);
	write_access_figures(api, out);
	write_monitor_figures(api, out);
	buf_printf(out, "\"memory\":{\"rss_bytes\":%llu}}", U(watch_resident()));
	api_json_done(x, 200);
}

/* --- health --- */

void api_readyz(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct api *api = arg;
	struct writer_figures w;
	writer_read(api->writer, &w);
	struct fault low;
	char reason[sizeof w.reason];
	problem_hide_paths(reason, sizeof reason, w.reason); /* nobody needs a token for this */
	const char *why = w.breaker != BREAKER_CLOSED ? reason : NULL;
	if (why == NULL && writer_is_low(api->writer, &low))
		why = low.text;
	if (why != NULL) {
		request_problem(x, 503, why);
		request_done(x);
		return;
	}
	buf_adds(request_out(x), "{\"status\":\"ready\"}");
	api_json_done(x, 200);
}
