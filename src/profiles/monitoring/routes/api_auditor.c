/* Observations of the auditor, and their acknowledgement. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/system/clock.h"
#include "base/units.h"
#include "profiles/monitoring/routes/routes.h"
#include "profiles/monitoring/services/monitoring.h"
#include "server/api/api.h"
#include "server/api/json_body.h"
#include "json/json.h"

enum { LIMIT = 50 };

static bool is_one_of(struct slice value, const char *const *words)
{
	for (; *words != NULL; words++)
		if (slice_is(value, *words))
			return true;
	return false;
}

/* NULL: the parameter is valid; otherwise the error text. */
static const char *read_param(struct slice name, struct slice value, struct auditor_filter *f)
{
	static const char *const severities[] = {"critical", "warning", "info", NULL};
	static const char *const categories[] = {"performance", "security", "reliability", "quality", "general", NULL};
	static const char *const answers[] = {"true", "false", NULL};
	static_assert(OBSERVATIONS_MAX == 1000, "as the text says");
	int64_t limit = 0;
	if (slice_is(name, "limit")) {
		bool fine = units_integer(value, &limit) && limit >= 1 && limit <= OBSERVATIONS_MAX;
		f->limit = (uint32_t)limit;
		return fine ? NULL : "must be a number from 1 to 1000";
	}
	if (slice_is(name, "severity")) {
		f->severity = value;
		return is_one_of(value, severities) ? NULL : "must be critical, warning or info";
	}
	if (slice_is(name, "category")) {
		f->category = value;
		return is_one_of(value, categories) ? NULL
						    : "must be performance, security, reliability, quality or general";
	}
	if (slice_is(name, "acknowledged")) {
		f->has_acknowledged = true;
		f->acknowledged = slice_is(value, "true");
		return is_one_of(value, answers) ? NULL : "must be true or false";
	}
	return "unknown parameter";
}

/* Returns an array: the Python hub's page iterates over it. */
void monitoring_observations(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct monitoring *self = arg;
	const struct url *u = request_url(x);
	struct auditor_filter filter = {.limit = LIMIT};
	for (size_t i = 0; i < u->param_count; i++) {
		struct fault fault;
		struct slice name = u->params[i].name;
		const char *wrong =
			api_given_twice(u, i) ? "given more than once" : read_param(name, u->params[i].value, &filter);
		if (wrong == NULL)
			continue;
		fault_set(&fault, ERR_INVALID, "%.*s: %s", (int)(name.len < 64 ? name.len : 64), name.p, wrong);
		api_fault_done(x, &fault);
		return;
	}
	auditor_write(self->auditor, request_out(x), &filter);
	api_json_done(x, 200);
}

struct acknowledgement {
	struct auditor_change change; /* first member: it is handed back */
	struct http_request *request;
};

static void on_acknowledged(struct auditor_change *change)
{
	struct acknowledgement *a = (struct acknowledgement *)change;
	char id[24];
	struct document d;
	if (change->op.err) {
		api_fault_done(a->request, &change->op.fault);
		return;
	}
	snprintf(id, sizeof id, "%" PRIu64, change->id);
	struct doc root = document_begin(&d);
	doc_bool(root, "success", true);
	doc_string(root, "observation_id", id);
	doc_time(root, "timestamp", clock_wall_ms());
	document_end(&d, request_out(a->request));
	api_json_done(a->request, 200);
}

void monitoring_acknowledge(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct monitoring *self = arg;
	struct fault fault;
	uint64_t id;
	if (json_body_refuse(x))
		return;
	struct acknowledgement *a = calloc(1, sizeof *a);
	enum err err = ERR_NONE;
	if (a == NULL) {
		err = fault_nomem(&fault);
	} else {
		request_keep(x, a, free);
		a->request = x;
		a->change.done = on_acknowledged;
	}
	if (!err && !json_sequence(request_segment(x), &id))
		err = fault_set(&fault, ERR_NOT_FOUND, "there is no such observation");
	if (!err)
		err = auditor_acknowledge(self->auditor, self->api->writer, id, &a->change, &fault);
	if (err)
		api_fault_done(x, &fault);
}
