/* Sessions: durable readers. */
#include <inttypes.h>
#include <stdlib.h>

#include "event/event.h"
#include "server/api/api.h"
#include "server/api/json_body.h"
#include "server/stream/reader_query.h"
#include "json/document.h"
#include "json/json.h"

enum { SESSIONS_PER_RUN = 100 };

/* --- one --- */

static enum err write_session(struct api *api, struct reader *reader, struct buf *out, struct slice name,
			      struct fault *fault)
{
	struct session_state s;
	struct document d;
	uint64_t lag;
	enum err err = sessions_lag(api->sessions, name, reader, &lag, fault);
	if (err)
		return err;
	if (!sessions_get(api->sessions, name, &s))
		return fault_set(fault, ERR_NOT_FOUND, "there is no such session");
	struct doc root = document_begin(&d);
	doc_text(root, "name", name);
	doc_u64(root, "acked", s.acked);
	doc_u64(root, "lag", lag);
	doc_bool(root, "connected", s.connected);
	doc_time(root, "updated", s.updated_ms);
	document_end(&d, out);
	return ERR_NONE;
}

/* On a pool thread. */
static void reply_session(void *arg, struct http_request *x, struct reader *reader)
{
	struct fault fault;
	if (write_session(arg, reader, request_out(x), request_segment(x), &fault) != ERR_NONE)
		api_fault_done(x, &fault);
	else
		api_json_done(x, 200);
}

/* True when the token may not use the session; then the refusal is sent. */
static bool refuse_session(struct http_request *x)
{
	if (grant_has_session(request_grant(x), request_segment(x)))
		return false;
	request_problem(x, 403, "this token may not use the session");
	request_done(x);
	return true;
}

void api_session_get(void *arg, struct http_request *x, struct reader *reader)
{
	if (!refuse_session(x))
		reply_session(arg, x, reader);
}

/* --- all --- */

/* The first names in order, up to the page's limit and one more: a max-heap. */
struct names {
	const struct reader_query *query;
	const struct grant *grant;
	struct slice *items;
	size_t count;
	size_t max;
	bool no_memory;
};

static int by_name(const void *a, const void *b)
{
	return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

static void swap(struct slice *a, struct slice *b)
{
	struct slice c = *a;
	*a = *b;
	*b = c;
}

static void sift_up(struct slice *items, size_t i)
{
	for (; i > 0 && slice_compare(items[(i - 1) / 2], items[i]) < 0; i = (i - 1) / 2)
		swap(&items[(i - 1) / 2], &items[i]);
}

static void sift_down(struct slice *items, size_t count)
{
	for (size_t i = 0, below; (below = 2 * i + 1) < count; i = below) {
		if (below + 1 < count && slice_compare(items[below], items[below + 1]) < 0)
			below++;
		if (slice_compare(items[i], items[below]) >= 0)
			return;
		swap(&items[i], &items[below]);
	}
}

static void on_session(void *arg, struct slice name, const struct session_state *state)
{
	struct names *n = arg;
	const struct reader_query *q = n->query;
	(void)state;
	if (n->no_memory || !grant_has_session(n->grant, name) ||
	    (q->after_name.len > 0 && slice_compare(name, q->after_name) <= 0) || !slice_begins(name, q->prefix) ||
	    (n->count == n->max && slice_compare(name, n->items[0]) >= 0))
		return;
	char *copy = strndup(name.p, name.len);
	n->no_memory = copy == NULL;
	if (copy == NULL)
		return;
	if (n->count < n->max) {
		n->items[n->count] = (struct slice){copy, name.len};
		sift_up(n->items, n->count++);
		return;
	}
	free((char *)n->items[0].p);
	n->items[0] = (struct slice){copy, name.len};
	sift_down(n->items, n->count);
}

/* The state of a request for a page: the lag of each session may have to be counted. */
struct session_page {
	struct reader_query query;
	struct names names;
	uint32_t limit;
	size_t at; /* index of the next name */
	bool any;  /* whether any was written */
};

static void page_destroy(void *arg)
{
	struct session_page *p = arg;
	for (size_t i = 0; i < p->names.count; i++)
		free((char *)p->names.items[i].p);
	free(p->names.items);
	reader_query_finish(&p->query);
	free(p);
}

static bool page_is_whole(const struct session_page *p)
{
	return p->at == p->names.count || p->at == p->limit;
}

/* Writes some of the sessions; the rest follow in a later run on the pool. */
static enum err write_some(struct session_page *p, struct api *api, struct reader *reader, struct buf *out,
			   struct fault *fault)
{
	enum err err = ERR_NONE;
	for (int i = 0; !err && i < SESSIONS_PER_RUN && !page_is_whole(p); i++) {
		size_t before = out->len;
		buf_adds(out, p->any ? "," : "");
		err = write_session(api, reader, out, p->names.items[p->at++], fault);
		p->any = p->any || !err;
		if (err == ERR_NOT_FOUND) { /* deleted meanwhile */
			out->len = before;
			err = ERR_NONE;
		}
	}
	return err;
}

static void continue_page(void *arg, struct http_request *x, struct reader *reader)
{
	struct api *api = arg;
	struct session_page *p = request_state(x);
	struct buf *out = request_out(x);
	struct fault fault;
	enum err err = write_some(p, api, reader, out, &fault);
	if (!err && !page_is_whole(p)) {
		request_hold(x, out->cap);
		request_defer(x, continue_page);
		return;
	}
	request_hold(x, 0); /* request_done counts the whole reply */
	if (err) {
		api_fault_done(x, &fault);
		return;
	}
	struct document tail;
	struct slice next = p->at < p->names.count ? p->names.items[p->at - 1] : (struct slice){NULL, 0};
	doc_text_or_null(document_begin(&tail), "next", next);
	buf_addc(out, ']');
	document_end_tail(&tail, out);
	api_json_done(x, 200);
}

/* Finds the names on the page. */
static enum err find_names(struct session_page *p, struct api *api, const struct http_request *x, struct fault *fault)
{
	p->limit = p->query.limit != 0 ? p->query.limit : READER_QUERY_NAMES_DEFAULT;
	p->names = (struct names){.query = &p->query, .grant = request_grant(x), .max = (size_t)p->limit + 1};
	p->names.items = malloc(p->names.max * sizeof *p->names.items);
	p->names.no_memory = p->names.items == NULL;
	sessions_each(api->sessions, on_session, &p->names);
	if (p->names.no_memory)
		return fault_nomem(fault);
	if (p->names.count > 0)
		qsort(p->names.items, p->names.count, sizeof *p->names.items, by_name);
	return ERR_NONE;
}

void api_sessions(void *arg, struct http_request *x, struct reader *reader)
{
	struct fault fault;
	if (api_refuse_full(x))
		return;
	struct session_page *p = calloc(1, sizeof *p);
	enum err err =
		p == NULL ? fault_nomem(&fault) : reader_query_parse(request_url(x), Q_NAMES | Q_LIMIT, &p->query, &fault);
	if (err) {
		free(p);
		api_fault_done(x, &fault);
		return;
	}
	request_keep(x, p, page_destroy);
	if (find_names(p, arg, x, &fault) != ERR_NONE) {
		api_fault_done(x, &fault);
		return;
	}
	buf_adds(request_out(x), "{\"sessions\":[");
	continue_page(arg, x, reader);
}

/* --- changes --- */

/* A change to a session that is answered when it is durable. */
struct session_change {
	struct write_op op; /* first member: the writer hands it back */
	struct http_request *request;
};

static void on_session_durable(struct write_op *op)
{
	struct session_change *c = (struct session_change *)op;
	if (op->err) {
		request_fault(c->request, &op->fault);
		request_done(c->request);
	} else if (c->op.session_delete) {
		request_status(c->request, 204, "application/json");
		request_done(c->request);
	} else {
		request_defer(c->request, reply_session);
	}
}

/* Submits a change to the writer. Without a session it changes nothing, and is done once earlier changes are durable. */
static void submit(struct api *api, struct http_request *x, struct write_op change)
{
	struct fault fault;
	struct session_change *c = calloc(1, sizeof *c);
	enum err err = c != NULL ? ERR_NONE : fault_nomem(&fault);
	if (!err) {
		c->op = change;
		c->op.done = on_session_durable;
		c->request = x;
		request_keep(x, c, free);
		err = writer_submit(api->writer, &c->op, &fault);
	}
	if (err)
		api_fault_done(x, &fault);
}

/* Parses a body with one member, a seq. */
static enum err read_seq_member(struct http_request *x, const char *name, uint64_t head, uint64_t *seq, struct fault *fault)
{
	struct member member = {.name = name};
	char *body;
	enum err err = json_body_take(x, &member, 1, &body, fault);
	if (!err && member.value.p == NULL)
		err = fault_set(fault, ERR_INVALID, "the body must be {\"%s\":SEQ}", name);
	else if (!err && !json_sequence(member.value, seq))
		err = fault_set(fault, ERR_INVALID, "%s: must be a seq (0 to 9007199254740991)", name);
	else if (!err && *seq > head)
		err = fault_set(fault, ERR_INVALID, "%s: %" PRIu64 " is beyond the head, which is %" PRIu64, name, *seq,
				head);
	free(body);
	return err;
}

static bool check_session_name(struct http_request *x)
{
	struct slice name = request_segment(x);
	if (name.len > 0 && name.len <= EVENT_NAME_MAX && json_plain_text(name))
		return true;
	request_problem(x, 400, "the name of a session must have 1 to 255 bytes of UTF-8 without control characters");
	request_done(x);
	return false;
}

void api_session_put(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct api *api = arg;
	struct fault fault;
	uint64_t acked;
	if (refuse_session(x) || !check_session_name(x))
		return;
	if (read_seq_member(x, "acked", store_head(api->store), &acked, &fault) != ERR_NONE)
		api_fault_done(x, &fault);
	else
		submit(api, x,
		       (struct write_op){
			       .session = request_segment(x), .session_acked = acked, .account = request_client(x)});
}

/* The acknowledgement of a reader that cannot send it on its own connection, as with an event stream. */
void api_session_ack(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct api *api = arg;
	struct fault fault;
	uint64_t seq;
	uint64_t sent;
	if (refuse_session(x))
		return;
	enum err err = read_seq_member(x, "seq", store_head(api->store), &seq, &fault);
	if (!err) {
		err = sessions_ack(api->sessions, request_segment(x), NULL, seq, &sent);
		if (err == ERR_INVALID)
			fault_set(&fault, err,
				  "seq: %" PRIu64
				  " is beyond the last event sent to the session's reader, which is %" PRIu64,
				  seq, sent);
		else if (err)
			fault_set(&fault, err, "there is no such session");
	}
	if (err)
		api_fault_done(x, &fault);
	else
		submit(api, x, (struct write_op){0});
}

void api_session_delete(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct api *api = arg;
	if (json_body_refuse(x))
		return;
	struct session_state state;
	if (sessions_get(api->sessions, request_segment(x), &state)) {
		submit(api, x, (struct write_op){.session = request_segment(x), .session_delete = true});
		return;
	}
	request_problem(x, 404, "there is no such session");
	request_done(x);
}
