/* GET /v1/events as JSON, NDJSON or server-sent events, and GET /v1/events/{seq}. */
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
	/* Limit of one JSON page; lower when reply memory is short, and `next` then leads to the rest. */
	REPLY_BYTES_MAX = 16 * 1024 * 1024,
	PAGE_BYTES = 1024 * 1024,
};

enum format { FORMAT_JSON, FORMAT_NDJSON, FORMAT_SSE, FORMATS };

static const unsigned allowed[] = {
	[FORMAT_JSON] = Q_AFTER | Q_BEFORE | Q_TIME | Q_FILTER | Q_WHERE | Q_MAX_AGE | Q_ORDER | Q_LIMIT | Q_WAIT,
	[FORMAT_NDJSON] = Q_AFTER | Q_BEFORE | Q_TIME | Q_FILTER | Q_WHERE | Q_MAX_AGE | Q_ORDER | Q_LIMIT | Q_WAIT,
	[FORMAT_SSE] = Q_AFTER | Q_SINCE | Q_FILTER | Q_WHERE | Q_MAX_AGE | Q_SPEED | Q_SESSION | Q_LAST_EVENT_ID,
};

/* The state of a request for a page. A long poll is handled again after it has waited, and a request that has to read many
 * events runs once for each page of the log.
 *
 *     range ─▶ (long poll: is there anything?) ─▶ events ─▶ reply
 *                   one page of the log per run of the pool job */
struct history {
	struct http_request *request;
	enum format format;
	struct reader_query query;
	struct selection *select;
	struct history_range range;
	bool waited;
	int64_t begun_us;          /* monotonic */
	size_t bytes_max;          /* limit of a JSON page */
	uint32_t limit;            /* events per page */
	struct history_query rest; /* the part of the range that was not read yet */
	uint32_t count;            /* events written */
	uint64_t last;             /* the last of them */
	uint64_t next;             /* position of the next page; 0: there is none */
};

static void destroy(void *arg)
{
	struct history *h = arg;
	reader_query_finish(&h->query);
	selection_destroy(h->select);
	free(h);
}

static const char *const format_types[FORMATS] = {
	[FORMAT_JSON] = "application/json", [FORMAT_NDJSON] = "application/x-ndjson", [FORMAT_SSE] = "text/event-stream"};

/* Called for each Accept header; there may be several. */
static void on_accept(void *arg, struct slice name, struct slice value)
{
	struct field_preference *preferences = arg;
	if (name.len > 0)
		return; /* Accept-Encoding and the like */
	for (enum format f = 0; f < FORMATS; f++)
		field_prefer(&preferences[f], value, format_types[f]);
	field_prefer(&preferences[FORMAT_NDJSON], value, "application/ndjson");
}

/* The format that the request prefers; JSON if it accepts none of the three. */
static enum format wanted_format(const struct http_request *x)
{
	struct field_preference preferences[FORMATS] = {0};
	enum format best = FORMAT_JSON;
	request_each_header(x, "Accept", on_accept, preferences);
	for (enum format f = 0; f < FORMATS; f++)
		if (field_is_better(preferences[f], preferences[best]))
			best = f;
	return best;
}

static void fail(struct http_request *x, const struct fault *fault)
{
	request_fault(x, fault);
	request_done(x);
}

/* Parses the parameters, and narrows them to the token's grant. */
static enum err parse(struct http_request *x, enum format format, struct reader_query *q, struct fault *fault)
{
	enum err err = reader_query_parse(request_url(x), allowed[format], q, fault);
	return err ? err : reader_query_narrow(q, request_url(x), request_grant(x), fault);
}

/* --- server-sent events --- */

static void stream_events(struct api *api, struct http_request *x, struct reader *reader)
{
	struct reader_query q;
	struct fault fault;
	enum err err = parse(x, FORMAT_SSE, &q, &fault);
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

/* A Link header with the URL of the next page. */
static void add_link(struct history *h, uint64_t next, const char *base, const char *epoch)
{
	const struct url *u = request_url(h->request);
	const char *own = h->query.descending ? "before" : "after";
	struct buf link;
	buf_init(&link);
	buf_printf(&link, "<%s/v1/events?%s=%" PRIu64, base, own, next);
	for (size_t i = 0; i < u->param_count; i++) {
		struct slice value = u->params[i].value;
		if (slice_is(u->params[i].name, own) || slice_is(u->params[i].name, "wait"))
			continue;
		if (slice_is(u->params[i].name, "epoch")) /* the gap was reported: later positions are of this store */
			value = slice_of(epoch);
		buf_addc(&link, '&');
		url_encode(&link, u->params[i].name);
		buf_addc(&link, '=');
		url_encode(&link, value);
	}
	buf_add(&link, ">; rel=\"next\"", sizeof ">; rel=\"next\"");
	if (!buf_failed(&link))
		request_add_header(h->request, "Link", link.data);
	buf_finish(&link);
}

/* Skips missing events. True: the page has to end before them, since it can report one gap only, and in ascending order
 * only at its beginning. */
static bool skip_gap(struct history *h, struct store *store, struct history_query *q, uint32_t count)
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

/* Appends the events of a page of the log. False: the reply has reached a limit. */
static bool add_events(struct history *h, const struct page *page)
{
	struct buf *out = request_out(h->request);
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

static void skip_page(struct history_query *q, const struct page *page)
{
	if (q->descending)
		q->before = page_last(page);
	else
		q->after = page_last(page);
}

static bool is_exhausted(const struct history_query *q)
{
	return q->after + 1 >= q->before;
}

/* *page NULL: the archive that held the events was lost, and there is a gap now. */
static enum err next_page(struct api *api, struct reader *reader, const struct history_query *q, struct page **page,
			  struct fault *fault)
{
	enum err err = history_page(reader, q, page, fault);
	return err == ERR_GONE && store_next(api->store, q->after) > q->after + 1 ? ERR_NONE : err;
}

/* Reads one page of the log for up to `limit` events, and one more to know whether there is a next page. */
static enum err write_page(struct api *api, struct history *h, struct reader *reader, bool *done, struct fault *fault)
{
	struct history_query *q = &h->rest;
	*done = is_exhausted(q);
	if (*done)
		return ERR_NONE;
	if (skip_gap(h, api->store, q, h->count)) {
		h->next = q->descending ? q->before : q->after;
		*done = true;
		return ERR_NONE;
	}
	*done = is_exhausted(q);
	if (*done)
		return ERR_NONE;
	q->count_max = h->limit + 1 - h->count;
	q->bytes_max = PAGE_BYTES;
	struct page *page;
	enum err err = next_page(api, reader, q, &page, fault);
	if (!err && page == NULL)
		return ERR_NONE;
	if (err && h->count > 0) {
		/* The events found so far are complete. The request for the next page gets the error. */
		h->next = q->descending ? q->before : q->after;
		*done = true;
		return ERR_NONE;
	}
	if (err)
		return err;
	*done = !add_events(h, page);
	skip_page(q, page);
	*done = *done || is_exhausted(q);
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
	struct buf *out = request_out(h->request);
	if (h->next != 0)
		buf_printf(out, "],\"next\":%" PRIu64, h->next);
	else
		buf_adds(out, "],\"next\":null");
	/* A polling client continues at the checkpoint: every matching event up to it is in this page or an earlier one. */
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
	request_status(h->request, 200, "application/json");
	request_add_header(h->request, "Vary", "Accept");
	if (h->next != 0)
		add_link(h, h->next, api->base, store_epoch(api->store));
	note_time(api, h->waited, h->begun_us);
}

/* On the pool, one page of the log per run. */
static void continue_page(void *arg, struct http_request *x, struct reader *reader)
{
	struct api *api = arg;
	struct history *h = request_state(x);
	struct fault fault;
	bool done;
	enum err err = write_page(api, h, reader, &done, &fault);
	if (!err && !done) {
		request_hold(x, h->bytes_max); /* the most that the reply may need */
		request_defer(x, continue_page);
		return;
	}
	request_hold(x, 0); /* request_done counts the whole reply */
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
	size_t bytes_max = request_reply_max(h->request, &fault);
	if (bytes_max == 0) {
		fail(h->request, &fault);
		return;
	}
	h->bytes_max = bytes_max < REPLY_BYTES_MAX ? bytes_max : REPLY_BYTES_MAX;
	h->limit = h->query.limit != 0 ? h->query.limit : READER_QUERY_LIMIT_DEFAULT;
	h->rest = h->range.query;
	h->count = 0;
	h->next = 0;
	buf_adds(request_out(h->request), "{\"events\":[");
	continue_page(api, h->request, reader);
}

static enum err reply_lines(struct api *api, struct history *h, struct reader *reader, struct fault *fault)
{
	struct http_request *x = h->request;
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
	h->select = NULL; /* the stream owns it from here on */
	request_keep(x, NULL, NULL);
	destroy(h);
	enum err err = ndjson_stream_take(x, reader, &range, options, fault);
	if (!err)
		note_time(api, waited, begun_us);
	return err;
}

/* Scans one page of the log for an event or a gap in the range. *done: one was found, or the range is exhausted. */
static enum err scan_page(struct api *api, struct history *h, struct reader *reader, bool *done, bool *empty,
			  struct fault *fault)
{
	struct history_query *q = &h->rest;
	*empty = true;
	*done = is_exhausted(q);
	if (*done)
		return ERR_NONE;
	skip_gap(h, api->store, q, 0);
	*done = h->range.has_gap || is_exhausted(q);
	*empty = !h->range.has_gap;
	if (*done)
		return ERR_NONE;
	q->count_max = 1;
	q->bytes_max = 1;
	struct page *page;
	enum err err = next_page(api, reader, q, &page, fault);
	if (err || page == NULL)
		return err;
	*empty = page_count(page) == 0;
	skip_page(q, page);
	*done = !*empty || is_exhausted(q);
	page_unref(page);
	return ERR_NONE;
}

static void on_waited(void *arg, bool time_is_up)
{
	(void)time_is_up;
	struct history *h = arg;
	h->waited = true;
	request_defer_reply(h->request, api_history);
}

/* Waits for an event after the range, which is empty. */
static enum err wait_for_event(struct api *api, struct history *h, struct fault *fault)
{
	struct reader_query from = {.start = {.after = h->range.query.before - 1}, .before = h->query.before};
	struct reader_query again = {0};
	/* The cursor needs a selection of its own. */
	enum err err = request_stay(h->request, fault);
	if (!err)
		err = parse(h->request, h->format, &again, fault);
	struct selection *select = err ? NULL : api_select_take(api, &again);
	if (!err && select == NULL)
		err = fault_nomem(fault);
	/* `head` keeps the position that it stood for when the request arrived. */
	h->query.start = (struct position){.after = h->range.query.after};
	h->query.has_after = true;
	if (!err && long_poll_wait(api->waiters, &from, select, h->query.wait_ms, on_waited, h) != ERR_NONE)
		err = fault_nomem(fault);
	return err;
}

/* A long poll waits only if a new event could match. */
static bool may_wait(const struct history *h, uint64_t head)
{
	const struct reader_query *q = &h->query;
	return q->wait_ms > 0 && !h->waited && !q->descending && !h->range.has_gap &&
	       (q->before == 0 || q->before > head + 1) && !(q->has_until && q->until_ms <= clock_wall_ms());
}

static void reply(struct api *api, struct history *h, struct reader *reader)
{
	struct http_request *x = h->request;
	struct fault fault;
	if (h->format == FORMAT_JSON) {
		reply_json(api, h, reader);
		return;
	}
	if (reply_lines(api, h, reader, &fault) != ERR_NONE)
		request_fault(x, &fault);
	request_done(x);
}

/* On the pool, one page of the log per run. */
static void continue_scan(void *arg, struct http_request *x, struct reader *reader)
{
	struct api *api = arg;
	struct history *h = request_state(x);
	struct fault fault;
	bool done;
	bool empty;
	enum err err = scan_page(api, h, reader, &done, &empty, &fault);
	if (!err && !done) {
		request_defer(x, continue_scan);
		return;
	}
	if (!err && empty)
		err = wait_for_event(api, h, &fault);
	if (err)
		fail(x, &fault);
	else if (!empty)
		reply(api, h, reader);
}

/* Handles the request once; a long poll that waited is handled again. */
static void answer(struct api *api, struct history *h, struct reader *reader)
{
	struct http_request *x = h->request;
	struct fault fault;
	if (history_range_set(&h->range, api->store, reader, &h->query, h->select, &fault) != ERR_NONE) {
		fail(x, &fault);
		return;
	}
	h->rest = h->range.query;
	if (may_wait(h, store_head(api->store)))
		continue_scan(api, x, reader);
	else
		reply(api, h, reader);
}

static struct history *start(struct api *api, struct http_request *x, enum format format, struct fault *fault)
{
	struct history *h = calloc(1, sizeof *h);
	if (h == NULL) {
		fault_nomem(fault);
		return NULL;
	}
	h->request = x;
	h->format = format;
	h->begun_us = clock_mono_us();
	enum err err = parse(x, format, &h->query, fault);
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
	struct history *h = request_state(x); /* set if a long poll has waited */
	enum format format = wanted_format(x);
	if (format == FORMAT_SSE) {
		stream_events(api, x, reader);
		return;
	}
	if (h == NULL)
		h = start(api, x, format, &fault);
	if (h == NULL) {
		fail(x, &fault);
		return;
	}
	answer(api, h, reader);
}
