/* Leases: POST takes one, PUT renews it, DELETE gives it back; the holder says who it is, in the body or as ?holder=. */
#include <stdlib.h>

#include "event/event.h"
#include "profiles/monitoring/routes/routes.h"
#include "profiles/monitoring/services/monitoring.h"
#include "server/api/api.h"
#include "server/api/json_body.h"
#include "json/json.h"

enum { RAW_MAX = 6 * EVENT_NAME_MAX + 2, TEXTS = 4 };

/* A change on its way to the disk, with the texts of its request. */
struct change {
	struct lease_change change; /* first: it is given back */
	struct monitoring *self;
	struct http_request *exchange;
	struct lease_request request;
	char texts[TEXTS][RAW_MAX];
};

static enum err bad_text(const char *key, struct fault *fault)
{
	return fault_set(fault, ERR_INVALID, "%s: wants a text of 1 to %d bytes, UTF-8 without control characters", key,
			 EVENT_NAME_MAX);
}

/* Decodes a text into `memory`; empty where there is none or it is null. */
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

/* The body, where there is one. Only who takes a lease says more than who holds it. */
static enum err read_body(struct change *c, bool takes, struct fault *fault)
{
	struct member members[TEXTS] = {{.name = "holder"}, {.name = "name"}, {.name = "session"}, {.name = "conversation"}};
	struct slice *const to[TEXTS] = {&c->request.holder, &c->request.name, &c->request.session,
					 &c->request.conversation};
	char *text;
	enum err err = json_body_take(c->exchange, members, takes ? TEXTS : 1, &text, fault);
	for (int i = 0; !err && i < TEXTS; i++)
		err = read_text(&members[i], c->texts[i], to[i], fault);
	free(text);
	return err;
}

/* And ?holder=, which counts more. */
static enum err read_params(struct change *c, struct fault *fault)
{
	const struct url *u = request_url(c->exchange);
	for (size_t i = 0; i < u->param_count; i++) {
		struct slice name = u->params[i].name;
		if (!slice_is(name, "holder"))
			return fault_set(fault, ERR_INVALID, "%.*s: there is no such parameter",
					 (int)(name.len < 64 ? name.len : 64), name.p);
		if (i > 0)
			return fault_set(fault, ERR_INVALID, "holder: given twice");
		c->request.holder = u->params[i].value;
		if (c->request.holder.len > EVENT_NAME_MAX || !json_plain_text(c->request.holder))
			return bad_text("holder", fault);
	}
	return ERR_NONE;
}

static enum err read_request(struct change *c, bool takes, struct fault *fault)
{
	enum err err = read_body(c, takes, fault);
	if (!err)
		err = read_params(c, fault);
	if (!err && c->request.holder.len == 0)
		err = fault_set(fault, ERR_INVALID, "holder: say who holds the lease");
	if (c->request.name.len == 0)
		c->request.name = slice_of("global");
	return err;
}

static void on_done(struct lease_change *change)
{
	struct change *c = (struct change *)change;
	struct http_request *x = c->exchange;
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

/* NULL when the reply is an error already. */
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
	c->exchange = x;
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
	enum err err = leases_acquire(self->leases, self->api->writer, &c->request, &c->change, &fault);
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
	if (c != NULL && leases_release(self->leases, self->api->writer, request_segment(x), c->request.holder, &c->change,
					&fault) != ERR_NONE)
		api_fault_done(x, &fault);
}

static void reply_lease(struct monitoring *self, struct http_request *x)
{
	if (leases_write_one(self->leases, request_out(x), request_segment(x))) {
		api_json_done(x, 200);
		return;
	}
	request_problem(x, 404, "there is no such lease: it was released, or taken back");
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
	if (leases_renew(self->leases, request_segment(x), c->request.holder, &fault) == ERR_NONE)
		reply_lease(self, x);
	else
		api_fault_done(x, &fault);
}

void monitoring_lease_get(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	reply_lease(arg, x);
}

/* On the pool, a part at a time. */
static void write_on(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct monitoring *self = arg;
	if (!leases_write_part(self->leases, request_out(x), request_state(x))) {
		request_hold(x, request_out(x)->cap);
		request_defer(x, write_on);
		return;
	}
	request_hold(x, 0); /* request_done counts what the whole takes */
	api_json_done(x, 200);
}

void monitoring_leases(void *arg, struct http_request *x, struct reader *reader)
{
	if (api_refuse_full(x))
		return;
	struct lease_place *at = calloc(1, sizeof *at);
	if (at == NULL) {
		request_problem(x, 503, "out of memory");
		request_done(x);
		return;
	}
	request_keep(x, at, free);
	write_on(arg, x, reader);
}
