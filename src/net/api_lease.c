/* Leases: POST takes one, PUT renews it, DELETE gives it back; the holder says who it is, in the body or as ?holder=. */
#include <stdlib.h>

#include "event/json.h"
#include "net/api.h"
#include "net/members.h"
#include "tidemark/event.h"

enum { RAW_MAX = 6 * EVENT_NAME_MAX + 2, TEXTS = 4 };

/* A change on its way to the disk, with the texts of its request. */
struct change {
	struct lease_change change; /* first: it is given back */
	struct api *api;
	struct exchange *exchange;
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
	enum err err = members_take(c->exchange, members, takes ? TEXTS : 1, &text, fault);
	for (int i = 0; !err && i < TEXTS; i++)
		err = read_text(&members[i], c->texts[i], to[i], fault);
	free(text);
	return err;
}

/* And ?holder=, which counts more. */
static enum err read_params(struct change *c, struct fault *fault)
{
	const struct url *u = exchange_url(c->exchange);
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
	struct exchange *x = c->exchange;
	if (change->op.err) {
		api_fault_done(x, &change->op.fault);
	} else if (change->releases) {
		exchange_status(x, 204, "application/json");
		exchange_done(x);
	} else {
		leases_write_one(c->api->leases, exchange_out(x), slice_of(change->id));
		api_json_done(x, 201);
	}
}

/* NULL when the reply is an error already. */
static struct change *start(struct api *api, struct exchange *x, bool takes)
{
	struct fault fault;
	struct change *c = calloc(1, sizeof *c);
	if (c == NULL) {
		fault_set(&fault, ERR_NOMEM, "out of memory");
		api_fault_done(x, &fault);
		return NULL;
	}
	c->api = api;
	c->exchange = x;
	c->change.done = on_done;
	exchange_keep(x, c, free);
	if (read_request(c, takes, &fault) == ERR_NONE)
		return c;
	api_fault_done(x, &fault);
	return NULL;
}

void api_lease_acquire(void *arg, struct exchange *x, struct reader *reader)
{
	(void)reader;
	struct api *api = arg;
	struct fault fault;
	struct change *c = start(api, x, true);
	if (c == NULL)
		return;
	enum err err = leases_acquire(api->leases, api->writer, &c->request, &c->change, &fault);
	if (err == ERR_CONFLICT)
		exchange_add_header(x, "Retry-After", "1");
	if (err)
		api_fault_done(x, &fault);
}

void api_lease_release(void *arg, struct exchange *x, struct reader *reader)
{
	(void)reader;
	struct api *api = arg;
	struct fault fault;
	struct change *c = start(api, x, false);
	if (c != NULL &&
	    leases_release(api->leases, api->writer, exchange_segment(x), c->request.holder, &c->change, &fault) != ERR_NONE)
		api_fault_done(x, &fault);
}

static void reply_lease(struct api *api, struct exchange *x)
{
	if (leases_write_one(api->leases, exchange_out(x), exchange_segment(x))) {
		api_json_done(x, 200);
		return;
	}
	exchange_problem(x, 404, "there is no such lease: it was released, or taken back");
	exchange_done(x);
}

void api_lease_renew(void *arg, struct exchange *x, struct reader *reader)
{
	(void)reader;
	struct api *api = arg;
	struct fault fault;
	struct change *c = start(api, x, false);
	if (c == NULL)
		return;
	if (leases_renew(api->leases, exchange_segment(x), c->request.holder, &fault) == ERR_NONE)
		reply_lease(api, x);
	else
		api_fault_done(x, &fault);
}

void api_lease_get(void *arg, struct exchange *x, struct reader *reader)
{
	(void)reader;
	reply_lease(arg, x);
}

/* On the pool, a part at a time. */
static void write_on(void *arg, struct exchange *x, struct reader *reader)
{
	(void)reader;
	struct api *api = arg;
	if (!leases_write_part(api->leases, exchange_out(x), exchange_state(x))) {
		exchange_hold(x, exchange_out(x)->cap);
		exchange_defer(x, write_on);
		return;
	}
	exchange_hold(x, 0); /* exchange_done counts what the whole takes */
	api_json_done(x, 200);
}

void api_leases(void *arg, struct exchange *x, struct reader *reader)
{
	if (api_refuse_full(x))
		return;
	struct lease_place *at = calloc(1, sizeof *at);
	if (at == NULL) {
		exchange_problem(x, 503, "out of memory");
		exchange_done(x);
		return;
	}
	exchange_keep(x, at, free);
	write_on(arg, x, reader);
}
