#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "server/access/origin.h"
#include "server/http/builtin_replies.h"
#include "server/http/http_internal.h"
#include "server/http/path_hint.h"
#include "server/message/content_encoding.h"
#include "server/message/field.h"
#include "server/message/problem.h"

enum {
	STREAM_BLOCK = 1024,        /* for a client without chunked encoding */
	PACK_MIN = 1024,            /* smaller replies are not worth compressing */
	PACK_MAX = 4 * 1024 * 1024, /* larger ones would occupy a pool thread for too long */
};

/* --- for handlers --- */

void request_status(struct http_request *x, int status, const char *content_type)
{
	x->status = status;
	x->content_type = content_type;
}

void request_add_header(struct http_request *x, const char *name, const char *value)
{
	assert(x->header_count < REPLY_HEADERS_MAX);
	char *copy = strdup(value);
	if (copy != NULL)
		x->headers[x->header_count++] = (struct reply_header){name, copy};
}

void reply_drop_headers(struct http_request *x)
{
	for (int i = 0; i < x->header_count; i++)
		free(x->headers[i].value);
	x->header_count = 0;
}

struct buf *request_out(struct http_request *x)
{
	return &x->out;
}

void request_static(struct http_request *x, const void *bytes, size_t len)
{
	x->fixed = (struct slice){bytes, len};
}

static bool speaks_lines(const struct http_request *x)
{
	return memmem(request_header(x, "Content-Type").p, request_header(x, "Content-Type").len, "ndjson", 6) != NULL;
}

static bool has_header(const struct http_request *x, const char *name)
{
	bool found = false;
	for (int i = 0; i < x->header_count; i++)
		found = found || strcmp(x->headers[i].name, name) == 0;
	return found;
}

void reply_put_problem(struct http_request *x, int status, const struct fault *fault)
{
	request_status(x, status, "application/problem+json");
	buf_finish(&x->out);
	problem_write(&x->out, status, fault, (struct problem_options){x->http->options.guard->base, speaks_lines(x)});
	int seconds = problem_retry_after(status);
	if (seconds == 0 || has_header(x, "Retry-After"))
		return;
	char text[16];
	snprintf(text, sizeof text, "%d", seconds);
	request_add_header(x, "Retry-After", text);
}

void request_fault(struct http_request *x, const struct fault *fault)
{
	reply_put_problem(x, problem_status(fault->code), fault);
}

void request_problem(struct http_request *x, int status, const char *detail)
{
	struct fault fault;
	fault_set(&fault, ERR_INVALID, "%s", detail);
	reply_put_problem(x, status, &fault);
}

void request_not_found(struct http_request *x)
{
	char detail[PATH_HINT_LEN];
	path_hint(x->http->options.routes, x->http->options.guard->base, x->url.path, detail);
	request_problem(x, 404, detail);
}

void reply_refuse_unready(struct http_request *x)
{
	struct fault fault;
	if (x->conn == NULL)
		fault_nomem(&fault);
	else
		fault_set(&fault, ERR_CLOSED, "the server is shutting down");
	request_fault(x, &fault);
}

static ssize_t on_read(void *arg, uint64_t position, char *out, size_t max)
{
	(void)position;
	struct http_request *x = arg;
	long n = x->read(x, x->state, out, max);
	if (n == HTTP_END)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (n == HTTP_BROKEN)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	return n;
}

void request_stream(struct http_request *x, http_read *read)
{
	x->read = read;
	if (!x->small)
		return;
	x->small = false; /* a stream is not made within the small budget */
	request_hold(x, x->held_kind == QUOTA_SMALL_REPLIES ? 0 : x->held);
}

void request_length(struct http_request *x, uint64_t bytes)
{
	x->length = bytes;
}

/* --- sending --- */

/* The response when there is no memory for any other. */
static struct MHD_Response *no_memory_response(void)
{
	static char text[] = "{\"type\":\"/problems/unavailable\",\"title\":\"Service Unavailable\",\"status\":503,"
			     "\"detail\":\"the server is out of memory\"}";
	return MHD_create_response_from_buffer(sizeof text - 1, text, MHD_RESPMEM_PERSISTENT);
}

static struct MHD_Response *make_response(struct http_request *x)
{
	if (x->read != NULL)
		return MHD_create_response_from_callback(x->length > 0 ? x->length : MHD_SIZE_UNKNOWN, STREAM_BLOCK, on_read,
							 x, NULL);
	if (x->fixed.p != NULL)
		return MHD_create_response_from_buffer(x->fixed.len, (void *)x->fixed.p, MHD_RESPMEM_PERSISTENT);
	if (buf_failed(&x->out)) {
		x->status = 503;
		x->content_type = "application/problem+json";
		return no_memory_response();
	}
	struct MHD_Response *r = MHD_create_response_from_buffer(x->out.len, x->out.data, MHD_RESPMEM_MUST_FREE);
	if (r != NULL)
		x->out = (struct buf){0};
	return r;
}

/* Allows pages of other origins to read the reply, where they may (Fetch standard, CORS). */
static void add_cors_headers(const struct http_request *x, struct MHD_Response *r)
{
	struct slice origin = request_header(x, "Origin");
	if (x->open) {
		MHD_add_response_header(r, "Access-Control-Allow-Origin", "*");
	} else if (origin.len > 0) {
		MHD_add_response_header(r, "Vary", "Origin");
		if (x->cors_allowed)
			MHD_add_response_header(r, "Access-Control-Allow-Origin", origin.p);
		if (x->cors_allowed && origin_may_send_credentials(origin, x->http->options.guard->allow_origins))
			MHD_add_response_header(r, "Access-Control-Allow-Credentials", "true");
	}
	if (x->open || x->cors_allowed)
		MHD_add_response_header(r, "Access-Control-Expose-Headers",
					"Link, Location, Retry-After, Content-Disposition, ETag, Tidemark-Epoch");
}

/* Without a Cache-Control of the handler's nothing may be cached: a proxy must not serve old data. */
static void add_headers(const struct http_request *x, struct MHD_Response *r)
{
	MHD_add_response_header(r, "Content-Type", x->content_type);
	MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(r, "Referrer-Policy", "no-referrer");
	for (int i = 0; i < x->header_count; i++)
		MHD_add_response_header(r, x->headers[i].name, x->headers[i].value);
	if (!has_header(x, "Cache-Control"))
		MHD_add_response_header(r, "Cache-Control", "no-store");
}

enum MHD_Result reply_send(struct http_request *x)
{
	struct MHD_Response *r = make_response(x);
	if (r == NULL)
		return MHD_NO;
	request_set_answering(x, true);
	/* A slow reader must not count as idle. */
	if (x->read != NULL)
		MHD_set_connection_option(x->connection, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
	add_headers(x, r);
	add_cors_headers(x, r);
	if (x->closes || (x->http->options.once && x->read == NULL))
		MHD_add_response_header(r, "Connection", "close");
	if (request_peek_upgrade(&x->head, NULL) == 0)
		x->http->options.on_unopened(x->http->options.on_unopened_arg);
	enum MHD_Result result = MHD_queue_response(x->connection, (unsigned)x->status, r);
	MHD_destroy_response(r);
	x->stage = SENT;
	return result;
}

static enum MHD_Result on_reply_header(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
	(void)kind;
	buf_printf(arg, "%s: %s\r\n", name, value);
	return MHD_YES;
}

/* Writes the bytes of a reply that ends its connection. */
static enum MHD_Result write_reply(struct http_request *x, struct buf *text)
{
	struct buf body;
	buf_init(&body);
	buf_add(&body, x->out.data, x->out.len);
	struct MHD_Response *r = make_response(x);
	if (r == NULL) {
		buf_finish(&body);
		return MHD_NO;
	}
	add_headers(x, r);
	add_cors_headers(x, r);
	builtin_replies_begin(text, x->status, body.len);
	MHD_get_response_headers(r, on_reply_header, text);
	MHD_destroy_response(r);
	buf_adds(text, "\r\n");
	if (strcmp(x->method, MHD_HTTP_METHOD_HEAD) != 0)
		buf_add(text, body.data, body.len);
	bool failed = buf_failed(&body) || buf_failed(text);
	buf_finish(&body);
	return failed ? MHD_NO : MHD_YES;
}

enum MHD_Result reply_send_ahead(struct http_request *x)
{
	struct buf text;
	buf_init(&text);
	enum MHD_Result result = write_reply(x, &text);
	if (result == MHD_YES && send(x->conn->fd, text.data, text.len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)text.len)
		result = MHD_NO;
	buf_finish(&text);
	shutdown(x->conn->fd, SHUT_WR);
	x->stage = SENT;
	return result;
}

enum MHD_Result reply_refuse_without_memory(struct MHD_Connection *connection)
{
	struct MHD_Response *r = no_memory_response();
	if (r == NULL)
		return MHD_NO;
	MHD_add_response_header(r, "Content-Type", "application/problem+json");
	MHD_add_response_header(r, "Connection", "close");
	enum MHD_Result result = MHD_queue_response(connection, 503, r);
	MHD_destroy_response(r);
	return result;
}

/* --- compression --- */

/* Text compresses well; images and fonts are compressed already. */
static bool is_packable(const struct http_request *x)
{
	static const char *const types[] = {"text/", "application/json", "application/wasm", "image/svg+xml"};
	size_t len = x->fixed.p != NULL ? x->fixed.len : x->out.len;
	bool fine = false;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		fine = fine || strncmp(x->content_type, types[i], strlen(types[i])) == 0;
	return fine && x->status == 200 && len >= PACK_MIN && len <= PACK_MAX && !buf_failed(&x->out);
}

/* The compressed form is another representation: a strong ETag would claim the same bytes (RFC 9110, 8.8.1). */
static void weaken_tag(struct http_request *x)
{
	for (int i = 0; i < x->header_count; i++) {
		char weak[128];
		if (strcmp(x->headers[i].name, "ETag") != 0 || x->headers[i].value[0] != '"')
			continue;
		snprintf(weak, sizeof weak, "W/%s", x->headers[i].value);
		char *copy = strdup(weak);
		if (copy == NULL)
			continue; /* no memory: the reply is sent with the strong tag */
		free(x->headers[i].value);
		x->headers[i].value = copy;
	}
}

/* Without memory the reply is sent uncompressed. */
void reply_pack(struct http_request *x)
{
	struct fault ignored;
	struct buf packed;
	enum content_coding coding = field_coding(request_header(x, "Accept-Encoding"));
	struct content_encoder *s = is_packable(x) ? content_encoder_create(coding) : NULL;
	if (s == NULL)
		return;
	buf_init(&packed);
	struct slice plain = x->fixed.p != NULL ? x->fixed : buf_slice(&x->out);
	bool fine = content_encoder_add(s, plain, true, &packed, &ignored) == ERR_NONE && packed.len < plain.len;
	content_encoder_destroy(s);
	if (!fine) {
		buf_finish(&packed);
		return;
	}
	buf_finish(&x->out);
	buf_trim(&packed);
	x->out = packed;
	x->fixed = (struct slice){NULL, 0};
	request_add_header(x, "Content-Encoding", content_coding_name(coding));
	weaken_tag(x);
}
