/* GET /api/cache-metrics: a report of the monitored services' caches, read back from their events. */
#include <assert.h>
#include <stdlib.h>

#include "base/system/clock.h"
#include "base/units.h"
#include "profiles/monitoring/routes/routes.h"
#include "profiles/monitoring/services/cache_report.h"
#include "profiles/monitoring/services/monitoring.h"
#include "server/api/api.h"

enum { HOURS = 24 };

static bool read_form(struct slice value, struct cache_query *q)
{
	static const char *const names[] = {[CACHE_RAW] = "raw", [CACHE_MINUTES] = "1min", [CACHE_HOURS] = "1hour"};
	for (enum cache_form f = CACHE_RAW; f <= CACHE_HOURS; f++) {
		if (!slice_is(value, names[f]))
			continue;
		q->form = f;
		return true;
	}
	return false;
}

static bool read_side(struct slice value, struct cache_query *q)
{
	q->side = CACHE_LEGACY;
	while (q->side < CACHE_SIDES && !slice_is(value, cache_side_name(q->side)))
		q->side++;
	return q->side < CACHE_SIDES || slice_is(value, "all");
}

/* NULL: the parameter is valid; otherwise the error text. */
static const char *read_param(struct slice name, struct slice value, struct cache_query *q)
{
	static_assert(CACHE_HOURS_MAX == 8784, "as the text says");
	if (slice_is(name, "time_range")) {
		bool fine = units_integer(value, &q->hours) && q->hours >= 1 && q->hours <= CACHE_HOURS_MAX;
		return fine ? NULL : "must be hours, from 1 to 8784";
	}
	if (slice_is(name, "aggregation"))
		return read_form(value, q) ? NULL : "must be raw, 1min or 1hour";
	if (slice_is(name, "implementation_type"))
		return read_side(value, q) ? NULL : "must be legacy, new or all";
	return "unknown parameter";
}

/* The error format of the Python hub, which clients of this route expect. */
static void fail(struct http_request *x, int status, const char *why)
{
	struct document d;
	struct doc root = document_begin(&d);
	doc_string(root, "error", why);
	doc_array(root, "metrics");
	doc_object(root, "summary");
	doc_time(root, "timestamp", clock_wall_ms());
	request_out(x)->len = 0;
	document_end(&d, request_out(x));
	api_json_done(x, status);
}

static void destroy(void *state)
{
	cache_report_destroy(state);
}

/* On the pool, one portion per run, so that a long report does not hold up other requests. */
static void continue_report(void *arg, struct http_request *x, struct reader *reader)
{
	(void)arg;
	struct cache_report *r = request_state(x);
	struct fault fault;
	bool done;
	if (cache_report_read(r, reader, &done, &fault) != ERR_NONE) {
		request_hold(x, 0);
		fail(x, 500, fault.text);
		return;
	}
	if (!done) {
		request_hold(x, cache_report_bytes(r));
		request_defer(x, continue_report);
		return;
	}
	request_hold(x, 0); /* request_done counts the whole reply */
	cache_report_write(r, request_out(x));
	api_json_done(x, 200);
}

void monitoring_cache_metrics(void *arg, struct http_request *x, struct reader *reader)
{
	struct monitoring *self = arg;
	const struct url *u = request_url(x);
	struct cache_query q = {.hours = HOURS, .form = CACHE_MINUTES, .side = CACHE_SIDES};
	struct cache_report *r;
	struct fault fault;
	for (size_t i = 0; i < u->param_count; i++) {
		struct slice name = u->params[i].name;
		const char *wrong =
			api_given_twice(u, i) ? "given more than once" : read_param(name, u->params[i].value, &q);
		if (wrong == NULL)
			continue;
		fault_set(&fault, ERR_INVALID, "%.*s: %s", (int)(name.len < 64 ? name.len : 64), name.p, wrong);
		fail(x, 400, fault.text);
		return;
	}
	if (request_reply_max(x, &fault) == 0) {
		request_fault(x, &fault);
		request_done(x);
		return;
	}
	if (cache_report_create(self->api->store, q, &r, &fault) != ERR_NONE) {
		fail(x, 500, fault.text);
		return;
	}
	request_keep(x, r, destroy);
	continue_report(arg, x, reader);
}
