/* POST /v1/events: parses the body, hands it to the writer, and answers when the events are durable. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "event/cloudevent.h"
#include "server/api/api.h"
#include "server/message/content_encoding.h"
#include "server/message/field.h"
#include "json/json.h"

enum {
	LARGE_BODY = 32 * 1024, /* a body larger than this takes so long to parse that other requests would wait */
	LARGE_COMPRESSED_BODY = 4 * 1024,
	RECEIPT_BYTES = 512 /* memory for an answer, which must be there before anything is stored */
};

struct publish {
	struct write_op op; /* first member: the writer hands it back */
	struct api *api;
	struct http_request *request;
	const char *body;     /* owned by the batch */
	enum batch_form form; /* of the body */
	bool single;          /* the body is a single event, which may span several lines */
};

/* How to parse a body. */
struct body_format {
	enum batch_form form;
	enum content_coding coding;        /* content coding of the body */
	struct cloudevent_headers headers; /* CloudEvents in binary mode: its headers */
};

static void destroy(void *arg)
{
	struct publish *p = arg;
	receipt_finish(&p->op.receipt);
	batch_destroy(p->op.batch);
	free(p);
}

static void write_receipt(struct publish *p)
{
	const struct receipt *r = &p->op.receipt;
	struct buf *out = request_out(p->request);
	buf_printf(out, "{\"first\":%" PRIu64 ",\"last\":%" PRIu64 ",\"count\":%" PRIu64 ",\"duplicates\":%" PRIu64,
		   r->first, r->last, r->count, r->duplicates);
	for (size_t i = 0; r->seqs != NULL && i < batch_count(p->op.batch); i++)
		buf_printf(out, "%s%" PRIu64, i == 0 ? ",\"seqs\":[" : ",", r->seqs[i]);
	buf_printf(out, "%s,\"epoch\":\"%s\",\"durability\":\"%s\"}", r->seqs != NULL ? "]" : "", store_epoch(p->api->store),
		   p->api->durability);
	request_status(p->request, 201, "application/json");
	if (buf_failed(out)) /* an error would be wrong, because the events are stored: send no answer */
		request_cut(p->request);
}

/* The line number of an event in the body. Newlines are intact: the parser changes bytes within lines only. */
static long line_of(const char *body, const struct event *e)
{
	long line = 1;
	for (const char *p = body; (p = memchr(p, '\n', (size_t)(e->data.p - p))) != NULL; p++)
		line++;
	return line;
}

/* Converts the index of the event at fault to a line number, or to none for a single event. */
static void set_fault_line(const struct publish *p, struct fault *fault)
{
	if (fault->place < 0)
		return;
	if (p->single)
		fault->place = -1;
	else if (p->form == BATCH_LINES)
		fault->place = line_of(p->body, batch_event(p->op.batch, (size_t)fault->place));
}

static void on_committed(struct write_op *op)
{
	struct publish *p = (struct publish *)op;
	if (op->err) {
		set_fault_line(p, &op->fault);
		request_fault(p->request, &op->fault);
	} else {
		write_receipt(p);
	}
	request_done(p->request);
}

/* Compares the media type, ignoring its parameters. */
static bool has_media_type(struct slice header, const char *type)
{
	return field_is(field_cut(&header, ';'), slice_of(type));
}

static enum err read_expect(const struct url *u, struct append_options *options, struct fault *fault)
{
	for (size_t i = 0; i < u->param_count; i++) {
		struct slice name = u->params[i].name;
		if (!slice_is(name, "expect"))
			return fault_set(fault, ERR_INVALID, "%.*s: unknown parameter", (int)(name.len < 64 ? name.len : 64),
					 name.p);
		if (options->expect)
			return fault_set(fault, ERR_INVALID, "expect: given more than once");
		options->expect = json_sequence(u->params[i].value, &options->expect_last);
		if (!options->expect)
			return fault_set(fault, ERR_INVALID, "expect: must be a seq (0 to 9007199254740991)");
	}
	return ERR_NONE;
}

static enum err check_streams(struct publish *p, struct fault *fault)
{
	enum err err = grant_publish(request_grant(p->request), p->op.batch, request_peer(p->request), fault);
	if (!err)
		err = writer_admit(p->api->writer, p->op.batch, &p->op.options, fault);
	if (err)
		set_fault_line(p, fault);
	return err;
}

static enum err check_rate(struct publish *p, struct fault *fault)
{
	struct http_request *x = p->request;
	int retry_s;
	char text[16];
	enum err err = rates_take(p->api->rates, request_client(x), batch_count(p->op.batch), &retry_s, fault);
	snprintf(text, sizeof text, "%d", retry_s);
	if (err)
		request_add_header(x, "Retry-After", text);
	return err;
}

/* Replaces a compressed body by its content; frees it on failure. */
static enum err unpack(enum content_coding coding, char **body, size_t *len, size_t max, struct fault *fault)
{
	struct buf raw;
	buf_init(&raw);
	enum err err = content_decode(coding, (struct slice){*body, *len}, max, &raw, fault);
	free(*body);
	if (err)
		buf_finish(&raw);
	*body = raw.data;
	*len = raw.len;
	return err;
}

/* Takes the body. */
static enum err parse(struct publish *p, const struct body_format *m, char *body, size_t len, struct fault *fault)
{
	struct batch_limits limits = p->api->limits;
	p->form = m->form;
	p->body = body;
	p->single = m->headers.count > 0;
	if (m->headers.count == 0)
		return batch_parse_take(body, len, m->form, limits, &p->op.batch, fault);
	struct buf text;
	buf_init(&text);
	enum err err = cloudevent_compose(&m->headers, body, len, limits.data_max, &text, fault);
	free(body);
	if (err)
		buf_finish(&text);
	else
		err = batch_from_value_take(buf_slice(&text), text.data, m->form, limits, &p->op.batch, fault);
	return err;
}

static enum err start(struct publish *p, const struct body_format *m, struct fault *fault)
{
	enum err err = read_expect(request_url(p->request), &p->op.options, fault);
	size_t len;
	char *body = err ? NULL : request_body_take(p->request, &len);
	if (!err && body == NULL && m->headers.count == 0)
		err = fault_set(fault, ERR_INVALID, "the body is empty");
	if (!err && m->coding != CONTENT_CODING_NONE && body != NULL)
		err = unpack(m->coding, &body, &len, p->api->body_max, fault);
	if (!err)
		err = parse(p, m, body, len, fault);
	if (!err)
		err = check_streams(p, fault);
	if (!err)
		err = check_rate(p, fault);
	if (!err && !buf_reserve(request_out(p->request), RECEIPT_BYTES))
		err = fault_nomem(fault);
	if (!err)
		err = writer_submit(p->api->writer, &p->op, fault);
	if (err && m->headers.count > 0)
		fault->place = -1; /* a single event, which may span several lines */
	return err;
}

static void on_attribute(void *arg, struct slice name, struct slice value)
{
	cloudevent_add_header(arg, name, value);
}

static bool read_type(struct http_request *x, struct body_format *m)
{
	static const struct {
		const char *type;
		enum batch_form form;
	} types[] = {{"application/json", BATCH_JSON},
		     {"application/x-ndjson", BATCH_LINES},
		     {"application/ndjson", BATCH_LINES},
		     {"application/cloudevents+json", BATCH_CLOUDEVENT},
		     {"application/cloudevents-batch+json", BATCH_CLOUDEVENTS}};
	static const char any_format[] = "application/cloudevents";
	struct slice type = request_header(x, "Content-Type");
	struct slice begin = {type.p, type.len < strlen(any_format) ? type.len : strlen(any_format)};
	/* Headers next to a structured event repeat its attributes (HTTP binding of CloudEvents, 3.2.3). */
	if (!field_is(begin, slice_of(any_format)))
		request_each_header(x, "ce-", on_attribute, &m->headers);
	m->headers.content_type = type;
	m->form = BATCH_CLOUDEVENT;
	bool known = m->headers.count > 0;
	for (size_t i = 0; !known && i < sizeof types / sizeof *types; i++) {
		known = has_media_type(type, types[i].type);
		m->form = types[i].form;
	}
	if (!known)
		request_problem(x, 415,
				"Content-Type must be application/json (an event or an array; with curl: --json), "
				"application/x-ndjson, application/cloudevents+json or application/cloudevents-batch+json; "
				"any with ce- headers");
	return known;
}

static bool read_encoding(struct http_request *x, struct body_format *m)
{
	struct slice encoding = request_header(x, "Content-Encoding");
	bool gzip = has_media_type(encoding, "gzip") || has_media_type(encoding, "x-gzip");
	m->coding = has_media_type(encoding, "zstd") ? CONTENT_CODING_ZSTD
		    : gzip                           ? CONTENT_CODING_GZIP
						     : CONTENT_CODING_NONE;
	bool known = encoding.len == 0 || m->coding != CONTENT_CODING_NONE || has_media_type(encoding, "identity");
	if (!known) {
		request_problem(x, 415, "Content-Encoding: only zstd and gzip are supported");
		request_add_header(x, "Accept-Encoding", "zstd, gzip"); /* RFC 7694, 3 */
	}
	return known;
}

void api_publish(void *arg, struct http_request *x, struct reader *reader)
{
	struct api *api = arg;
	struct body_format m;
	m.headers.count = 0;
	if (!read_type(x, &m) || !read_encoding(x, &m)) {
		request_done(x);
		return;
	}
	bool is_large = request_body_len(x) > (m.coding != CONTENT_CODING_NONE ? LARGE_COMPRESSED_BODY : LARGE_BODY);
	if (is_large && reader == NULL && writer_has_small(api->writer)) {
		request_defer(x, api_publish);
		return;
	}
	struct publish *p = calloc(1, sizeof *p);
	if (p == NULL) {
		request_problem(x, 503, "out of memory");
		request_done(x);
		return;
	}
	p->op.done = on_committed;
	p->op.client = request_connection(x);
	p->op.account = request_client(x);
	p->api = api;
	p->request = x;
	request_keep(x, p, destroy);
	struct fault fault;
	if (start(p, &m, &fault) == ERR_NONE)
		return;
	request_fault(x, &fault);
	request_done(x);
}
