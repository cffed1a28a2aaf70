/* Figures of the monitoring profile. */
#include <stdlib.h>

#include "base/system/clock.h"
#include "base/system/sys.h"
#include "profiles/monitoring/routes/routes.h"
#include "profiles/monitoring/services/monitoring.h"
#include "server/api/api.h"
#include "server/api/json_body.h"
#include "server/ws/metrics/ws_metrics.h"
#include "server/ws/ws.h"
#include "json/document.h"

enum { CURRENT_MS = 5 * 60 * 1000, MIB = 1024 * 1024 };

/* Completes a reply with the time. */
static void reply(struct http_request *x, struct document *d, struct doc root)
{
	doc_time(root, "timestamp", clock_wall_ms());
	document_end(d, request_out(x));
	api_json_done(x, 200);
}

void monitoring_status(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct monitoring *self = arg;
	struct document d;
	struct ws_figures w;
	ws_read(self->api->ws, &w);
	struct doc root = document_begin(&d);
	doc_string(root, "status", "ok");
	doc_string(root, "service", "monitoring");
	doc_u64(root, "clients_connected", atomic_load(&self->dashboards));
	reply(x, &d, root);
}

/* Figures of the last five minutes, or of the part of them that is known; without events nothing has failed. */
void monitoring_metrics_current(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct monitoring *self = arg;
	struct document d;
	struct window_figures f;
	int64_t since = monitor_window_since(self->monitor, clock_wall_ms() - CURRENT_MS);
	monitor_window(self->monitor, SERVICES, since, &f);
	double fine = f.events > 0 ? 100.0 * (double)(f.events - f.errors) / (double)f.events : 100;
	struct doc root = document_begin(&d);
	doc_fixed(root, "latency_p95", f.p95_ms, 3);
	doc_fixed(root, "memory_mb", (double)sys_resident() / MIB, 3);
	doc_fixed(root, "success_rate", fine, 3);
	doc_time(root, "since", since);
	reply(x, &d, root);
}

/* "Direct" are dashboards at /ws. What the Python hub called an adapter are the standard clients. */
static void put_broadcasts(struct monitoring *self, struct doc to)
{
	struct ws_metrics *m = ws_figures_of(self->api->ws);
	uint64_t direct = ws_metrics_read(m, WSM_DIRECT);
	uint64_t sent = ws_metrics_read(m, WSM_SENT); /* read after the counter that it includes */
	struct doc broadcasts = doc_object(to, "broadcaster_metrics");
	doc_u64(broadcasts, "total_broadcasts", sent);
	doc_u64(broadcasts, "adapter_broadcasts", sent - direct);
	doc_u64(broadcasts, "direct_broadcasts", direct);
	doc_u64(broadcasts, "failed_broadcasts", ws_metrics_read(m, WSM_FAILED));
}

/* Every event of a service is classified when it is counted; this cannot fail. */
static void put_classes(struct monitoring *self, struct doc to)
{
	struct tally tallies[SERVICES];
	uint64_t categories[CATEGORIES];
	uint64_t seq;
	uint64_t all = 0;
	monitor_tallies(self->monitor, tallies, &seq);
	monitor_categories(self->monitor, categories);
	for (int i = 0; i < CATEGORIES; i++)
		all += categories[i];
	doc_u64(to, "sequence_counter", seq);
	struct doc classes = doc_object(to, "classification_metrics");
	doc_u64(classes, "total_classified", all);
	struct doc distribution = doc_object(classes, "category_distribution");
	for (int i = 0; i < CATEGORIES; i++)
		if (categories[i] > 0)
			doc_u64(distribution, category_name((enum category)i), categories[i]);
	doc_u64(classes, "classification_errors", 0);
}

/* Validated events of the services since the beginning of the log, and batches refused by strict validation since the
 * start. */
static void put_validation(struct monitoring *self, struct doc to)
{
	struct validation_figures v;
	monitor_validation(self->monitor, &v);
	struct doc validation = doc_object(to, "validation_metrics");
	doc_bool(validation, "enabled", flags_get(self->flags, FLAG_ENABLE_VALIDATION) != 0);
	doc_bool(validation, "strict", flags_get(self->flags, FLAG_VALIDATION_STRICT) != 0);
	doc_u64(validation, "total_events", v.checked);
	doc_u64(validation, "valid_events", v.checked - v.invalid);
	doc_u64(validation, "invalid_events", v.invalid);
	doc_fixed(validation, "pass_rate", v.checked > 0 ? 100.0 * (double)(v.checked - v.invalid) / (double)v.checked : 100,
		  2);
	doc_u64(validation, "quarantined", v.listed);
	doc_u64(validation, "refused", flags_refused(self->flags));
}

void monitoring_metrics_validation(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct monitoring *self = arg;
	struct document d;
	struct ws_figures w;
	ws_read(self->api->ws, &w);
	struct doc root = document_begin(&d);
	doc_string(root, "status", "ok");
	struct doc metrics = doc_object(root, "metrics");
	put_broadcasts(self, metrics);
	doc_u64(metrics, "connected_clients", atomic_load(&self->dashboards));
	doc_bool(metrics, "use_adapter", flags_get(self->flags, FLAG_USE_ADAPTER) != 0);
	doc_bool(metrics, "use_dual_mode", flags_get(self->flags, FLAG_DUAL_MODE) != 0);
	put_classes(self, metrics);
	put_validation(self, metrics);
	reply(x, &d, root);
}

void monitoring_metrics_adapter(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct monitoring *self = arg;
	struct document d;
	struct ws_metrics *m = ws_figures_of(self->api->ws);
	struct ws_figures w;
	ws_read(self->api->ws, &w);
	struct doc root = document_begin(&d);
	doc_string(root, "status", "ok");
	doc_string(root, "adapter_type", adapter_name(flags_adapter(self->flags)));
	struct doc metrics = doc_object(root, "metrics");
	doc_u64(metrics, "total_connections", ws_metrics_read(m, WSM_TOTAL));
	doc_u64(metrics, "active_connections", w.connections);
	doc_u64(metrics, "total_events_broadcast", ws_metrics_read(m, WSM_SENT));
	doc_u64(metrics, "failed_broadcasts", ws_metrics_read(m, WSM_FAILED));
	reply(x, &d, root);
}

/* --- flush --- */

struct flush {
	struct write_op op; /* first member: the writer hands it back */
	struct monitoring *self;
	struct http_request *request;
};

static void on_flushed(struct write_op *op)
{
	struct flush *f = (struct flush *)op;
	struct document d;
	if (op->err) {
		api_fault_done(f->request, &op->fault);
		return;
	}
	struct doc root = document_begin(&d);
	doc_string(root, "status", "ok");
	struct doc result = doc_object(root, "result");
	doc_bool(result, "flushed", true);
	put_broadcasts(f->self, result);
	put_classes(f->self, doc_object(result, "classification_metrics"));
	doc_u64(result, "wal_pages", op->flush_pages);
	doc_u64(result, "pages_written_back", op->flush_copied);
	doc_time(result, "timestamp", clock_wall_ms());
	reply(f->request, &d, root);
}

void monitoring_metrics_flush(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct monitoring *self = arg;
	struct fault fault;
	if (json_body_refuse(x))
		return;
	struct flush *f = calloc(1, sizeof *f);
	enum err err = f != NULL ? ERR_NONE : fault_nomem(&fault);
	if (!err) {
		f->op.flush = true;
		f->op.done = on_flushed;
		f->self = self;
		f->request = x;
		request_keep(x, f, free);
		monitor_save(self->monitor, self->api->writer, true);
		err = writer_submit(self->api->writer, &f->op, &fault);
	}
	if (err)
		api_fault_done(x, &fault);
}

/* The paths of the Python hub's pages: the operator's own copy, or the built-in page of the services. */
void monitoring_dashboard_page(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	api_send_page(((struct monitoring *)arg)->api, x, "services.html");
}

void monitoring_websocket(void *arg, struct http_request *x, struct reader *reader)
{
	api_websocket(((struct monitoring *)arg)->api, x, reader);
}
