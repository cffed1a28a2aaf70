/* Leases: POST acquires one, PUT renews it, DELETE releases it; the holder is named in the body or in ?holder=. */
#include <stdlib.h>

#include "event/event.h"
#include "profiles/monitoring/routes/routes.h"
#include "profiles/monitoring/services/monitoring.h"
#include "server/api/api.h"
#include "server/api/json_body.h"
#include "json/json.h"

enum { RAW_MAX = 6 * EVENT_NAME_MAX + 2, TEXTS = 4 };

/* A change that is being stored, with the texts of its request. */
struct change {
	struct lease_change change; /* first member: it is handed back */
	struct monitoring *self;
	struct http_request *request;
	struct lease_request lease;
	char texts[TEXTS][RAW_MAX];
};

static enum err bad_text(const char *key, struct fault *fault)
{
	return fault_set(fault, ERR_INVALID, "%s: must be a text of 1 to %d bytes of UTF-8 without control characters", key,
			 EVENT_NAME_MAX);
}

/* Decodes a text into `memory`; empty: there is none, or it is null. */
static enum err read_text(const struct member *m, char memory[RAW_MAX], struct slice *out, struct fault *fault)
{
	*out = (struct slice){memory, 0};
	if (m->value.p == NULL || json_kind(m->value) == JSON_NULL)
		return ERR_NONE;
	if (json_kind(m->value) != JSON_STRING || m->value.len > RAW_MAX || !json_string(m->value, memory, &out->len) ||
	    out->len == 0 || out->len > EVENT_NAME_MAX || !json_plain_text(*out))
		return bad_text(m->name, fault);
	return ERR_NONE;
}

/* Parses the body, if there is one. Acquiring has more members than the holder. */
static enum err read_body(struct change *c, bool takes, struct fault *fault)
{
	struct member members[TEXTS] = {{.name = "holder"}, {.name = "name"}, {.name = "session"}, {.name = "conversation"}};
	struct slice *const to[TEXTS] = {&c->lease.holder, &c->lease.name, &c->lease.session, &c->lease.conversation};
	char *text;
	enum err err = json_body_take(c->request, members, takes ? TEXTS : 1, &text, fault);
	for (int i = 0; !err && i < TEXTS; i++)
		err = read_text(&members[i], c->texts[i], to[i], fault);
	free(text);
	return err;
}

/* Parses ?holder=, which overrides the body. */
static enum err read_params(struct change *c, struct fault *fault)
{
	const struct url *u = request_url(c->request);
	for (size_t i = 0; i < u->param_count; i++) {
		struct slice name = u->params[i].name;
		if (!slice_is(name, "holder"))
			return fault_set(fault, ERR_INVALID, "%.*s: unknown parameter", (int)(name.len < 64 ? name.len : 64),
					 name.p);
		if (i > 0)
			return fault_set(fault, ERR_INVALID, "holder: given more than once");
		c->lease.holder = u->params[i].value;
		if (c->lease.holder.len > EVENT_NAME_MAX || !json_plain_text(c->lease.holder))
			return bad_text("holder", fault);
	}
	return ERR_NONE;
}

static enum err read_request(struct change *c, bool takes, struct fault *fault)
{
	enum err err = read_body(c, takes, fault);
	if (!err)
		err = read_params(c, fault);
	if (!err && c->lease.holder.len == 0)
		err = fault_set(fault, ERR_INVALID, "holder: missing");
	if (c->lease.name.len == 0)
		c->lease.name = slice_of("global");
	return err;
}

static void on_done(struct lease_change *change)
{
	struct change *c = (struct change *)change;
	struct http_request *x = c->request;
	if (change->op.err) {
		api_fault_done(x, &change->op.fault);
	} else if (change->releases) {
		request_status(x, 204, "application/json");
		request_done(x);
	} else {
		leases_write_one(c->self->leases, request_out(x), slice_of(change->id));
		api_json_done(x, 201);
	}
}

/* NULL: the reply is already an error. */
static struct change *start(struct monitoring *self, struct http_request *x, bool takes)
{
	struct fault fault;
	struct change *c = calloc(1, sizeof *c);
	if (c == NULL) {
		fault_nomem(&fault);
		api_fault_done(x, &fault);
		return NULL;
	}
	c->self = self;
	c->request = x;
	c->change.done = on_done;
	request_keep(x, c, free);
	if (read_request(c, takes, &fault) == ERR_NONE)
		return c;
	api_fault_done(x, &fault);
	return NULL;
}

void monitoring_lease_acquire(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct monitoring *self = arg;
	struct fault fault;
	struct change *c = start(self, x, true);
	if (c == NULL)
		return;
	enum err err = leases_acquire(self->leases, self->api->writer, &c->lease, &c->change, &fault);
	if (err == ERR_CONFLICT)
		request_add_header(x, "Retry-After", "1");
	if (err)
		api_fault_done(x, &fault);
}

void monitoring_lease_release(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct monitoring *self = arg;
	struct fault fault;
	struct change *c = start(self, x, false);
	if (c != NULL && leases_release(self->leases, self->api->writer, request_segment(x), c->lease.holder, &c->change,
					&fault) != ERR_NONE)
		api_fault_done(x, &fault);
}

static void reply_lease(struct monitoring *self, struct http_request *x)
{
	if (leases_write_one(self->leases, request_out(x), request_segment(x))) {
		api_json_done(x, 200);
		return;
	}
	request_problem(x, 404, "there is no such lease: it was released or revoked");
	request_done(x);
}

void monitoring_lease_renew(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct monitoring *self = arg;
	struct fault fault;
	struct change *c = start(self, x, false);
	if (c == NULL)
		return;
	if (leases_renew(self->leases, request_segment(x), c->lease.holder, &fault) == ERR_NONE)
		reply_lease(self, x);
	else
		api_fault_done(x, &fault);
}

void monitoring_lease_get(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	reply_lease(arg, x);
}

/* On the pool, one part per run. */
static void continue_list(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct monitoring *self = arg;
	if (!leases_write_part(self->leases, request_out(x), request_state(x))) {
		request_hold(x, request_out(x)->cap);
		request_defer(x, continue_list);
		return;
	}
	request_hold(x, 0); /* request_done counts the whole reply */
	api_json_done(x, 200);
}

void monitoring_leases(void *arg, struct http_request *x, struct reader *reader)
{
	if (api_refuse_full(x))
		return;
	struct lease_cursor *at = calloc(1, sizeof *at);
	if (at == NULL) {
		request_problem(x, 503, "out of memory");
		request_done(x);
		return;
	}
	request_keep(x, at, free);
	continue_list(arg, x, reader);
}
