/* The flags of the monitoring profile, and the events that break its rules. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/system/clock.h"
#include "base/units.h"
#include "profiles/monitoring/routes/routes.h"
#include "profiles/monitoring/services/monitoring.h"
#include "profiles/monitoring/services/notice.h"
#include "server/api/api.h"
#include "json/json.h"

enum { QUARANTINE_PAGE = 50, QUARANTINE_PAGE_MAX = 1000 };

/* Completes a reply with the flags. */
static void reply(struct monitoring *self, struct http_request *x, struct document *d, struct doc root)
{
	flags_write(self->flags, doc_object(root, "flags"));
	flags_write_sources(self->flags, doc_object(root, "sources"));
	doc_time(root, "timestamp", clock_wall_ms());
	document_end(d, request_out(x));
	api_json_done(x, 200);
}

static void reply_flags(struct monitoring *self, struct http_request *x)
{
	struct document d;
	struct doc root = document_begin(&d);
	doc_string(root, "status", "ok");
	reply(self, x, &d, root);
}

void monitoring_flags(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	reply_flags(arg, x);
}

void monitoring_health_flags(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct monitoring *self = arg;
	struct document d;
	struct doc root = document_begin(&d);
	doc_string(root, "status", "ok");
	flags_write_issues(self->flags, root);
	reply(self, x, &d, root);
}

/* --- setting a flag --- */

struct setting {
	struct flag_change change; /* first member: it is handed back */
	struct monitoring *self;
	struct http_request *request;
	char *body;
	struct slice value; /* points into it */
};

static void destroy(void *arg)
{
	struct setting *s = arg;
	free(s->body);
	free(s);
}

/* The change is an event, so everyone who watches the services sees it. */
static void send_notice(struct monitoring *self, const struct flag_change *c, struct slice value)
{
	struct notice notice;
	struct doc metadata = notice_begin(&notice, "flag_changed", NULL);
	doc_string(metadata, "flag", flag_name(c->flag));
	doc_raw(metadata, "value", value);
	doc_text_or_null(metadata, "by", slice_of(c->by));
	notice_send(self->api->writer, &notice);
}

static void on_set(struct flag_change *c)
{
	struct setting *s = (struct setting *)c;
	if (c->op.err) {
		api_fault_done(s->request, &c->op.fault);
		return;
	}
	send_notice(s->self, c, s->value);
	reply_flags(s->self, s->request);
}

/* Parses {"value":…}. */
static enum err read_value(struct setting *s, struct fault *fault)
{
	size_t len = 0;
	struct slice body;
	struct json_error error;
	s->body = request_body_take(s->request, &len);
	if (s->body == NULL || !json_minify(s->body, len, s->body, &body.len, &error))
		return fault_set(fault, ERR_INVALID, "the body is not a JSON object");
	body.p = s->body;
	if (json_kind(body) != JSON_OBJECT)
		return fault_set(fault, ERR_INVALID, "the body is not a JSON object");
	for (struct json_walk w = json_walk(body); json_next(&w);) {
		if (!json_key_is(w.key, "value"))
			return fault_set(fault, ERR_INVALID, "unknown member \"%.*s\"",
					 (int)(w.key.len < 64 ? w.key.len : 64), w.key.p);
		if (s->value.p != NULL)
			return fault_set(fault, ERR_INVALID, "duplicate member \"value\"");
		s->value = w.value;
	}
	return s->value.p != NULL ? ERR_NONE : fault_set(fault, ERR_INVALID, "missing member \"value\"");
}

void monitoring_flag_set(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct monitoring *self = arg;
	struct fault fault;
	enum flag flag = flag_find(request_segment(x));
	struct setting *s = calloc(1, sizeof *s);
	enum err err = s != NULL ? ERR_NONE : fault_nomem(&fault);
	if (!err) {
		request_keep(x, s, destroy);
		s->self = self;
		s->request = x;
		s->change.done = on_set;
		snprintf(s->change.by, sizeof s->change.by, "%s", grant_name(request_grant(x)));
	}
	if (!err && flag == FLAGS)
		err = fault_set(&fault, ERR_NOT_FOUND, "there is no such flag; /flags/status lists the flags");
	if (!err)
		err = read_value(s, &fault);
	if (!err)
		err = flags_change(self->flags, self->api->writer, flag, s->value, &s->change, &fault);
	if (err)
		api_fault_done(x, &fault);
}

/* --- quarantine --- */

/* NULL: the parameter is valid; otherwise the error text. */
static const char *read_param(struct slice name, struct slice value, uint64_t *after, int64_t *limit)
{
	if (slice_is(name, "after"))
		return json_sequence(value, after) ? NULL : "must be a seq (0 to 9007199254740991)";
	if (slice_is(name, "limit"))
		return units_integer(value, limit) && *limit >= 1 && *limit <= QUARANTINE_PAGE_MAX
			       ? NULL
			       : "must be a number from 1 to 1000";
	return "unknown parameter";
}

static void write_quarantine(struct monitoring *self, struct buf *out, uint64_t after, uint32_t limit)
{
	static_assert(QUARANTINE_PAGE_MAX == 1000, "as the text says");
	struct validation_figures figures;
	struct quarantined *found = malloc((limit + 1) * sizeof *found);
	if (found == NULL) {
		out->failed = true;
		return;
	}
	uint32_t count = monitor_quarantine(self->monitor, after, limit + 1, found);
	bool more = count > limit;
	monitor_validation(self->monitor, &figures);
	buf_adds(out, "{\"events\":[");
	for (uint32_t i = 0; i < count - more; i++) {
		buf_adds(out, i > 0 ? "," : "");
		quarantined_write(out, &found[i]);
	}
	buf_addc(out, ']');
	struct document tail;
	struct doc root = document_begin(&tail);
	if (more)
		doc_u64(root, "next", found[limit - 1].seq);
	else
		doc_null(root, "next");
	doc_u64(root, "listed", figures.listed);
	doc_u64(root, "invalid", figures.invalid);
	document_end_tail(&tail, out);
	free(found);
}

void monitoring_quarantine(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	const struct url *u = request_url(x);
	uint64_t after = 0;
	int64_t limit = QUARANTINE_PAGE;
	for (size_t i = 0; i < u->param_count; i++) {
		struct fault fault;
		struct slice name = u->params[i].name;
		const char *wrong = api_given_twice(u, i) ? "given more than once"
							  : read_param(name, u->params[i].value, &after, &limit);
		if (wrong == NULL)
			continue;
		fault_set(&fault, ERR_INVALID, "%.*s: %s", (int)(name.len < 64 ? name.len : 64), name.p, wrong);
		api_fault_done(x, &fault);
		return;
	}
	write_quarantine(arg, request_out(x), after, (uint32_t)limit);
	api_json_done(x, 200);
}
