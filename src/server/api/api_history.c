/* GET /v1/events in its three forms, and GET /v1/events/{seq}. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/system/clock.h"
#include "server/api/api.h"
#include "server/message/field.h"
#include "server/stream/history_range.h"
#include "server/stream/ndjson.h"
#include "server/stream/reader_start.h"
#include "store/read/history.h"

enum {
	REPLY_BYTES_MAX =
		16 * 1024 * 1024, /* of one JSON page, and less where room is short: a next says that there is more */
	PAGE_BYTES = 1024 * 1024,
};

enum form { FORM_JSON, FORM_LINES, FORM_SSE, FORMS };

static const unsigned allowed[] = {
	[FORM_JSON] = Q_AFTER | Q_BEFORE | Q_TIME | Q_FILTER | Q_WHERE | Q_MAX_AGE | Q_ORDER | Q_LIMIT | Q_WAIT,
	[FORM_LINES] = Q_AFTER | Q_BEFORE | Q_TIME | Q_FILTER | Q_WHERE | Q_MAX_AGE | Q_ORDER | Q_LIMIT | Q_WAIT,
	[FORM_SSE] = Q_AFTER | Q_SINCE | Q_FILTER | Q_WHERE | Q_MAX_AGE | Q_SPEED | Q_SESSION | Q_LAST_EVENT_ID,
};

/* A request for a page, kept with the exchange: a long poll comes back, and so does a request that has to look at many
 * events, for each part of them.
 *
 *     range ─▶ (long poll: is there anything?) ─▶ events ─▶ reply
 *                   one page of the log each time, behind whatever else waits for the pool                             */
struct history {
	struct http_request *exchange;
	enum form form;
	struct reader_query query;
	struct selection *select;
	struct history_range range;
	bool waited;
	int64_t begun_us;          /* monotonic */
	size_t bytes_max;          /* of a JSON page */
	uint32_t limit;            /* events of it */
	struct history_query rest; /* what was not looked at yet */
	uint32_t count;            /* events that were written */
	uint64_t last;             /* of them */
	uint64_t next;             /* where the page after this one goes on; 0: there is none */
};

static void destroy(void *arg)
{
	struct history *h = arg;
	reader_query_finish(&h->query);
	selection_destroy(h->select);
	free(h);
}

static const char *const form_types[FORMS] = {
	[FORM_JSON] = "application/json", [FORM_LINES] = "application/x-ndjson", [FORM_SSE] = "text/event-stream"};

/* One line of Accept, of which there may be several. */
static void on_accept(void *arg, struct slice name, struct slice value)
{
	struct field_preference *preferences = arg;
	if (name.len > 0)
		return; /* of Accept-Encoding and others */
	for (enum form f = 0; f < FORMS; f++)
		field_prefer(&preferences[f], value, form_types[f]);
	field_prefer(&preferences[FORM_LINES], value, "application/ndjson");
}

/* The form that the request likes best; JSON where it names none of ours. */
static enum form wanted_form(const struct http_request *x)
{
	struct field_preference preferences[FORMS] = {0};
	enum form best = FORM_JSON;
	request_each_header(x, "Accept", on_accept, preferences);
	for (enum form f = 0; f < FORMS; f++)
		if (field_is_better(preferences[f], preferences[best]))
			best = f;
	return best;
}

static void fail(struct http_request *x, const struct fault *fault)
{
	request_fault(x, fault);
	request_done(x);
}

/* The parameters, and no more than the token is good for. */
static enum err parse(struct http_request *x, enum form form, struct reader_query *q, struct fault *fault)
{
	enum err err = reader_query_parse(request_url(x), allowed[form], q, fault);
	return err ? err : reader_query_narrow(q, request_url(x), request_grant(x), fault);
}

/* --- server-sent events --- */

static void stream_events(struct api *api, struct http_request *x, struct reader *reader)
{
	struct reader_query q;
	struct fault fault;
	enum err err = parse(x, FORM_SSE, &q, &fault);
	if (!err) {
		reader_query_apply_event_id(&q, field_trim(request_header(x, "Last-Event-ID")));
		err = reader_start_apply_times(reader, &q, &fault);
	}
	if (!err)
		err = sse_stream(api->waiters, x, &q, &fault);
	reader_query_finish(&q);
	if (err)
		request_fault(x, &fault);
	request_done(x);
}

/* --- pages --- */

/* The same request for the page that follows. */
static void add_link(struct history *h, uint64_t next, const char *base, const char *epoch)
{
	const struct url *u = request_url(h->exchange);
	const char *own = h->query.descending ? "before" : "after";
	struct buf link;
	buf_init(&link);
	buf_printf(&link, "<%s/v1/events?%s=%" PRIu64, base, own, next);
	for (size_t i = 0; i < u->param_count; i++) {
		struct slice value = u->params[i].value;
		if (slice_is(u->params[i].name, own) || slice_is(u->params[i].name, "wait"))
			continue;
		if (slice_is(u->params[i].name, "epoch")) /* the gap was told: the positions are ours from here on */
			value = slice_of(epoch);
		buf_addc(&link, '&');
		url_encode(&link, u->params[i].name);
		buf_addc(&link, '=');
		url_encode(&link, value);
	}
	buf_add(&link, ">; rel=\"next\"", sizeof ">; rel=\"next\"");
	if (!buf_failed(&link))
		request_add_header(h->exchange, "Link", link.data);
	buf_finish(&link);
}

/* Goes past what is missing: true when the page has to end before it, since it can tell of one gap only, and ascending only
 * where it begins. */
static bool pass_gap(struct history *h, struct store *store, struct history_query *q, uint32_t count)
{
	struct gap gap;
	bool missing;
	if (!history_range_missing(store, q, h->range.asked, &gap, &missing))
		return false;
	if (missing && count > 0 && (!q->descending || h->range.has_gap))
		return true;
	if (missing && !h->range.has_gap)
		h->range.gap = gap;
	h->range.has_gap = h->range.has_gap || missing;
	history_range_skip(store, q);
	return false;
}

/* Writes what a page of the log adds to the reply. False when the reply has all it may. */
static bool add_events(struct history *h, const struct page *page)
{
	struct buf *out = request_out(h->exchange);
	for (uint32_t i = 0; i < page_count(page); i++) {
		if (h->count == h->limit || (h->count > 0 && out->len > h->bytes_max)) {
			h->next = h->last;
			return false;
		}
		struct slice envelope = page_envelope(page, i);
		if (h->count++ > 0)
			buf_addc(out, ',');
		buf_add(out, envelope.p, envelope.len);
		h->last = page_entry(page, i).seq;
	}
	return true;
}

static void pass_page(struct history_query *q, const struct page *page)
{
	if (q->descending)
		q->before = page_last(page);
	else
		q->after = page_last(page);
}

static bool is_passed(const struct history_query *q)
{
	return q->after + 1 >= q->before;
}

/* Looks at one page of the log for up to `limit` events, and one more to know whether there is one. */
static enum err write_page(struct api *api, struct history *h, struct reader *reader, bool *done, struct fault *fault)
{
	struct history_query *q = &h->rest;
	*done = is_passed(q);
	if (*done)
		return ERR_NONE;
	if (pass_gap(h, api->store, q, h->count)) {
		h->next = q->descending ? q->before : q->after;
		*done = true;
		return ERR_NONE;
	}
	*done = is_passed(q);
	if (*done)
		return ERR_NONE;
	q->count_max = h->limit + 1 - h->count;
	q->bytes_max = PAGE_BYTES;
	struct page *page;
	enum err err = history_page(reader, q, &page, fault);
	if (err == ERR_GONE && store_next(api->store, q->after) > q->after + 1)
		return ERR_NONE; /* what it was in turned out to be gone: a gap */
	if (err && h->count > 0) {
		/* The events found so far are complete. The request for the next page gets the error. */
		h->next = q->descending ? q->before : q->after;
		*done = true;
		return ERR_NONE;
	}
	if (err)
		return err;
	*done = !add_events(h, page);
	pass_page(q, page);
	*done = *done || is_passed(q);
	page_unref(page);
	return ERR_NONE;
}

static void note_time(struct api *api, bool waited, int64_t begun_us)
{
	if (!waited)
		spread_add(&api->queries, clock_mono_us() - begun_us, 1);
}

static void end_json(struct api *api, struct history *h)
{
	struct buf *out = request_out(h->exchange);
	if (h->next != 0)
		buf_printf(out, "],\"next\":%" PRIu64, h->next);
	else
		buf_adds(out, "],\"next\":null");
	/* A poller goes on at the checkpoint: everything that matches up to there is in this page, or before it. */
	uint64_t end = h->range.query.before - 1;
	uint64_t checkpoint = h->next != 0 && !h->query.descending ? h->next
			      : end > h->range.query.after         ? end
								   : h->range.query.after;
	buf_printf(out, ",\"checkpoint\":%" PRIu64 ",\"first\":%" PRIu64 ",\"head\":%" PRIu64 ",\"epoch\":\"%s\"",
		   checkpoint, store_first(api->store), h->range.head, store_epoch(api->store));
	bool at_end = h->range.ends_with_gap && h->next == 0;
	if (h->range.has_gap || at_end) {
		buf_adds(out, ",\"gap\":");
		gap_write(out, h->range.has_gap ? &h->range.gap : &h->range.end_gap);
	}
	buf_addc(out, '}');
	request_status(h->exchange, 200, "application/json");
	request_add_header(h->exchange, "Vary", "Accept");
	if (h->next != 0)
		add_link(h, h->next, api->base, store_epoch(api->store));
	note_time(api, h->waited, h->begun_us);
}

/* On the pool, a page of the log at a time. */
static void write_on(void *arg, struct http_request *x, struct reader *reader)
{
	struct api *api = arg;
	struct history *h = request_state(x);
	struct fault fault;
	bool done;
	enum err err = write_page(api, h, reader, &done, &fault);
	if (!err && !done) {
		request_hold(x, h->bytes_max); /* what it may come to */
		request_defer(x, write_on);
		return;
	}
	request_hold(x, 0); /* request_done counts what the whole takes */
	if (err) {
		fail(x, &fault);
		return;
	}
	end_json(api, h);
	request_done(x);
}

static void reply_json(struct api *api, struct history *h, struct reader *reader)
{
	struct fault fault;
	size_t room = request_reply_max(h->exchange, &fault);
	if (room == 0) {
		fail(h->exchange, &fault);
		return;
	}
	h->bytes_max = room < REPLY_BYTES_MAX ? room : REPLY_BYTES_MAX;
	h->limit = h->query.limit != 0 ? h->query.limit : READER_QUERY_LIMIT_DEFAULT;
	h->rest = h->range.query;
	h->count = 0;
	h->next = 0;
	buf_adds(request_out(h->exchange), "{\"events\":[");
	write_on(api, h->exchange, reader);
}

static enum err reply_lines(struct api *api, struct history *h, struct reader *reader, struct fault *fault)
{
	struct http_request *x = h->exchange;
	struct history_range range = h->range;
	struct ndjson_options options = {
		.store = api->store,
		.base = api->base,
		.limit = h->query.limit,
		.coding = field_coding(request_header(x, "Accept-Encoding")),
	};
	if (request_reply_max(x, fault) == 0)
		return fault->code;
	bool waited = h->waited;
	int64_t begun_us = h->begun_us;
	h->select = NULL; /* the stream's from here on */
	request_keep(x, NULL, NULL);
	destroy(h);
	enum err err = ndjson_stream_take(x, reader, &range, options, fault);
	if (!err)
		note_time(api, waited, begun_us);
	return err;
}

/* Looks at one page of the log for anything that is in the range, or a gap. *done: there is, or all was looked at. */
static enum err look_at_page(struct api *api, struct history *h, struct reader *reader, bool *done, bool *empty,
			     struct fault *fault)
{
	struct history_query *q = &h->rest;
	*empty = true;
	*done = is_passed(q);
	if (*done)
		return ERR_NONE;
	pass_gap(h, api->store, q, 0);
	*done = h->range.has_gap || is_passed(q);
	*empty = !h->range.has_gap;
	if (*done)
		return ERR_NONE;
	q->count_max = 1;
	q->bytes_max = 1;
	struct page *page;
	enum err err = history_page(reader, q, &page, fault);
	if (err == ERR_GONE && store_next(api->store, q->after) > q->after + 1)
		return ERR_NONE;
	if (err)
		return err;
	*empty = page_count(page) == 0;
	pass_page(q, page);
	*done = !*empty || is_passed(q);
	page_unref(page);
	return ERR_NONE;
}

static void on_waited(void *arg, bool time_is_up)
{
	(void)time_is_up;
	struct history *h = arg;
	h->waited = true;
	request_defer_reply(h->exchange, api_history);
}

/* Waits for something to come after the range, which is empty. */
static enum err wait_for_more(struct api *api, struct history *h, struct fault *fault)
{
	struct reader_query from = {.start = {.after = h->range.query.before - 1}, .before = h->query.before};
	struct reader_query again = {0};
	/* The cursor wants a selection of its own. */
	enum err err = request_stay(h->exchange, fault);
	if (!err)
		err = parse(h->exchange, h->form, &again, fault);
	struct selection *select = err ? NULL : api_select_take(api, &again);
	if (!err && select == NULL)
		err = fault_nomem(fault);
	/* What `head` meant when the request came is what it means when it goes on. */
	h->query.start = (struct position){.after = h->range.query.after};
	h->query.has_after = true;
	if (!err && long_poll_wait(api->waiters, &from, select, h->query.wait_ms, on_waited, h) != ERR_NONE)
		err = fault_nomem(fault);
	return err;
}

/* A long poll waits only where something new could still match. */
static bool may_wait(const struct history *h, uint64_t head)
{
	const struct reader_query *q = &h->query;
	return q->wait_ms > 0 && !h->waited && !q->descending && !h->range.has_gap &&
	       (q->before == 0 || q->before > head + 1) && !(q->has_until && q->until_ms <= clock_wall_ms());
}

static void reply(struct api *api, struct history *h, struct reader *reader)
{
	struct http_request *x = h->exchange;
	struct fault fault;
	if (h->form == FORM_JSON) {
		reply_json(api, h, reader);
		return;
	}
	if (reply_lines(api, h, reader, &fault) != ERR_NONE)
		request_fault(x, &fault);
	request_done(x);
}

/* On the pool, a page of the log at a time. */
static void look_on(void *arg, struct http_request *x, struct reader *reader)
{
	struct api *api = arg;
	struct history *h = request_state(x);
	struct fault fault;
	bool done;
	bool empty;
	enum err err = look_at_page(api, h, reader, &done, &empty, &fault);
	if (!err && !done) {
		request_defer(x, look_on);
		return;
	}
	if (!err && empty)
		err = wait_for_more(api, h, &fault);
	if (err)
		fail(x, &fault);
	else if (!empty)
		reply(api, h, reader);
}

/* One pass over the request; a long poll that waits comes back for another. */
static void answer(struct api *api, struct history *h, struct reader *reader)
{
	struct http_request *x = h->exchange;
	struct fault fault;
	if (history_range_set(&h->range, api->store, reader, &h->query, h->select, &fault) != ERR_NONE) {
		fail(x, &fault);
		return;
	}
	h->rest = h->range.query;
	if (may_wait(h, store_head(api->store)))
		look_on(api, x, reader);
	else
		reply(api, h, reader);
}

static struct history *start(struct api *api, struct http_request *x, enum form form, struct fault *fault)
{
	struct history *h = calloc(1, sizeof *h);
	if (h == NULL) {
		fault_nomem(fault);
		return NULL;
	}
	h->exchange = x;
	h->form = form;
	h->begun_us = clock_mono_us();
	enum err err = parse(x, form, &h->query, fault);
	if (!err) {
		h->select = api_select_take(api, &h->query);
		err = h->select != NULL ? ERR_NONE : fault_nomem(fault);
	}
	if (err) {
		free(h);
		return NULL;
	}
	request_keep(x, h, destroy);
	return h;
}

void api_history(void *arg, struct http_request *x, struct reader *reader)
{
	struct api *api = arg;
	struct fault fault;
	struct history *h = request_state(x); /* a long poll that comes back */
	enum form form = wanted_form(x);
	if (form == FORM_SSE) {
		stream_events(api, x, reader);
		return;
	}
	if (h == NULL)
		h = start(api, x, form, &fault);
	if (h == NULL) {
		fail(x, &fault);
		return;
	}
	answer(api, h, reader);
}
