/* Figures in the forms of the monitoring profile. */
#include <stdlib.h>

#include "base/system/clock.h"
#include "server/api/api.h"
#include "server/api/json_body.h"
#include "server/ws/ws.h"
#include "server/ws/metrics/ws_metrics.h"

#define U(n) ((unsigned long long)(n))

enum { CURRENT_MS = 5 * 60 * 1000, MIB = 1024 * 1024 };

void api_status(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct api *api = arg;
	struct ws_figures w;
	ws_read(api->ws, &w);
	buf_printf(request_out(x), "{\"status\":\"ok\",\"service\":\"monitoring\",\"clients_connected\":%llu",
		   U(w.dashboards));
	api_put_now(request_out(x), "timestamp");
	buf_addc(request_out(x), '}');
	api_json_done(x, 200);
}

/* Of the last five minutes, or of as much of them as is known; nothing failed where nothing happened. */
void api_metrics_current(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct api *api = arg;
	struct window_figures f;
	int64_t since = monitor_window_since(api->monitor, clock_wall_ms() - CURRENT_MS);
	monitor_window(api->monitor, SERVICES, since, &f);
	double fine = f.events > 0 ? 100.0 * (double)(f.events - f.errors) / (double)f.events : 100;
	buf_printf(request_out(x), "{\"latency_p95\":%.3f,\"memory_mb\":%.3f,\"success_rate\":%.3f", f.p95_ms,
		   (double)watch_resident() / MIB, fine);
	buf_adds(request_out(x), ",\"since\":");
	clock_write(request_out(x), since);
	api_put_now(request_out(x), "timestamp");
	buf_addc(request_out(x), '}');
	api_json_done(x, 200);
}

/* Direct: to dashboards at /ws. What the Python hub called an adapter are the standard clients. */
static void write_broadcasts(struct api *api, struct buf *out)
{
	struct ws_metrics *m = ws_figures_of(api->ws);
	uint64_t direct = ws_metrics_read(m, WSM_DIRECT);
	uint64_t sent = ws_metrics_read(m, WSM_SENT); /* after those that are among them */
	buf_printf(
		out,
		"\"broadcaster_metrics\":{\"total_broadcasts\":%llu,\"adapter_broadcasts\":%llu,\"direct_broadcasts\":%llu,"
		"\"failed_broadcasts\":%llu}",
		U(sent), U(sent - direct), U(direct), U(ws_metrics_read(m, WSM_FAILED)));
}

/* Every event of a service is classified when it is counted, and none can fail to be. */
static void write_classes(struct api *api, struct buf *out)
{
	struct tally tallies[SERVICES];
	uint64_t categories[CATEGORIES];
	uint64_t seq;
	uint64_t all = 0;
	monitor_tallies(api->monitor, tallies, &seq);
	monitor_categories(api->monitor, categories);
	for (int i = 0; i < CATEGORIES; i++)
		all += categories[i];
	buf_printf(out,
		   "\"sequence_counter\":%llu,\"classification_metrics\":{\"total_classified\":%llu,"
		   "\"category_distribution\":{",
		   U(seq), U(all));
	bool first = true;
	for (int i = 0; i < CATEGORIES; i++) {
		if (categories[i] == 0)
			continue;
		buf_printf(out, "%s\"%s\":%llu", first ? "" : ",", category_name((enum category)i), U(categories[i]));
		first = false;
	}
	buf_adds(out, "},\"classification_errors\":0}");
}

/* Of the events of the services, since the beginning of the log, while validation was on; and of batches that strict
 * validation has refused since the start. */
static void write_validation(struct api *api, struct buf *out)
{
	struct validation_figures v;
	monitor_validation(api->monitor, &v);
	buf_printf(out,
		   "\"validation_metrics\":{\"enabled\":%s,\"strict\":%s,\"total_events\":%llu,\"valid_events\":%llu,"
		   "\"invalid_events\":%llu,\"pass_rate\":%.2f,\"quarantined\":%u,\"refused\":%llu}",
		   flags_get(api->flags, FLAG_ENABLE_VALIDATION) != 0 ? "true" : "false",
		   flags_get(api->flags, FLAG_VALIDATION_STRICT) != 0 ? "true" : "false", U(v.checked),
		   U(v.checked - v.invalid), U(v.invalid),
		   v.checked > 0 ? 100.0 * (double)(v.checked - v.invalid) / (double)v.checked : 100, v.listed,
		   U(flags_refused(api->flags)));
}

void api_metrics_validation(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct api *api = arg;
	struct buf *out = request_out(x);
	struct ws_figures w;
	ws_read(api->ws, &w);
	buf_adds(out, "{\"status\":\"ok\",\"metrics\":{");
	write_broadcasts(api, out);
	buf_printf(out, ",\"connected_clients\":%llu,\"use_adapter\":%s,\"use_dual_mode\":%s,", U(w.dashboards),
		   flags_get(api->flags, FLAG_USE_ADAPTER) != 0 ? "true" : "false",
		   flags_get(api->flags, FLAG_DUAL_MODE) != 0 ? "true" : "false");
	write_classes(api, out);
	buf_addc(out, ',');
	write_validation(api, out);
	buf_addc(out, '}');
	api_put_now(out, "timestamp");
	buf_addc(out, '}');
	api_json_done(x, 200);
}

void api_metrics_adapter(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct api *api = arg;
	struct buf *out = request_out(x);
	struct ws_metrics *m = ws_figures_of(api->ws);
	struct ws_figures w;
	ws_read(api->ws, &w);
	buf_printf(out,
		   "{\"status\":\"ok\",\"adapter_type\":\"%s\",\"metrics\":{\"total_connections\":%llu,"
		   "\"active_connections\":%llu,\"total_events_broadcast\":%llu,\"failed_broadcasts\":%llu}",
		   adapter_name(flags_adapter(api->flags)), U(ws_metrics_read(m, WSM_TOTAL)), U(w.connections),
		   U(ws_metrics_read(m, WSM_SENT)), U(ws_metrics_read(m, WSM_FAILED)));
	api_put_now(out, "timestamp");
	buf_addc(out, '}');
	api_json_done(x, 200);
}

/* --- flush --- */

struct flush {
	struct write_op op; /* first: the writer gives it back */
	struct api *api;
	struct http_request *exchange;
};

static void on_flushed(struct write_op *op)
{
	struct flush *f = (struct flush *)op;
	struct buf *out = request_out(f->exchange);
	if (op->err) {
		api_fault_done(f->exchange, &op->fault);
		return;
	}
	buf_adds(out, "{\"status\":\"ok\",\"result\":{\"flushed\":true,");
	write_broadcasts(f->api, out);
	buf_adds(out, ",\"classification_metrics\":{");
	write_classes(f->api, out);
	buf_printf(out, "},\"wal_pages\":%llu,\"pages_written_back\":%llu", U(op->flush_pages), U(op->flush_copied));
	api_put_now(out, "timestamp");
	buf_addc(out, '}');
	api_put_now(out, "timestamp");
	buf_addc(out, '}');
	api_json_done(f->exchange, 200);
}

void api_metrics_flush(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct api *api = arg;
	struct fault fault;
	if (json_body_refuse(x))
		return;
	struct flush *f = calloc(1, sizeof *f);
	enum err err = f != NULL ? ERR_NONE : fault_set(&fault, ERR_NOMEM, "out of memory");
	if (!err) {
		f->op.flush = true;
		f->op.done = on_flushed;
		f->api = api;
		f->exchange = x;
		request_keep(x, f, free);
		monitor_save(api->monitor, api->writer, true);
		err = writer_submit(api->writer, &f->op, &fault);
	}
	if (err)
		api_fault_done(x, &fault);
}
