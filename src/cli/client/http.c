#include "cli/client/http.h"

#include <curl/curl.h>
#include <stdlib.h>

#include "cli/stop.h"
#include "server/access/token.h"
#include "json/document.h"
#include "json/json.h"

enum {
	CONNECT_TIMEOUT_MS = 10000,
	KEEPALIVE_S = 30,
	BODY_MAX = 256 * 1024 * 1024, /* maximum size of a reply that is kept in memory */
	MS = 1000,
};

struct http_client {
	CURL *curl;
	const char *token; /* NULL: none */
	char error[CURL_ERROR_SIZE];
};

/* A request that is under way. */
struct transfer {
	struct http_client *client;
	const struct http_request *request;
	struct http_reply *reply;
	struct fault *fault;
	enum err err; /* from the sink */
};

enum err http_client_open(struct http_client **out, struct fault *fault)
{
	struct http_client *c = calloc(1, sizeof *c);
	*out = c;
	if (c == NULL)
		return fault_nomem(fault);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
		c->curl = curl_easy_init();
	if (c->curl != NULL)
		return ERR_NONE;
	http_client_close(c);
	*out = NULL;
	return fault_set(fault, ERR_NOMEM, "cannot start the HTTP client");
}

void http_client_authorize(struct http_client *c, const char *token)
{
	c->token = token[0] != '\0' ? token : NULL;
}

void http_client_close(struct http_client *c)
{
	if (c == NULL)
		return;
	if (c->curl != NULL)
		curl_easy_cleanup(c->curl);
	free(c);
}

void http_reply_finish(struct http_reply *r)
{
	buf_finish(&r->body);
	r->json = (struct slice){"", 0};
}

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
	struct transfer *t = arg;
	size_t len = size * count;
	long status = 0;
	curl_easy_getinfo(t->client->curl, CURLINFO_RESPONSE_CODE, &status);
	if (t->request->sink != NULL && status / 100 == 2) {
		t->err = t->request->sink(t->request->arg, bytes, len, t->fault);
	} else {
		buf_add(&t->reply->body, bytes, len);
		if (buf_failed(&t->reply->body) || t->reply->body.len > BODY_MAX)
			t->err = fault_set(t->fault, ERR_NOMEM, "the reply of the server is too large");
	}
	return t->err ? 0 : len; /* any value but len aborts the transfer */
}

static int on_progress(void *arg, curl_off_t down_all, curl_off_t down, curl_off_t up_all, curl_off_t up)
{
	(void)down_all, (void)down, (void)up_all, (void)up;
	const struct transfer *t = arg;
	return t->request->stoppable && stop_wanted();
}

static void set_timeouts(CURL *curl, int64_t silence_ms)
{
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
	curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(curl, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_S);
	curl_easy_setopt(curl, CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_S);
	if (silence_ms == 0)
		return;
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)((silence_ms + MS - 1) / MS));
}

static void set_callbacks(CURL *curl, struct transfer *t)
{
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, t->client->error);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, t);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
}

static struct curl_slist *add_header(struct curl_slist *list, const char *name, const char *value)
{
	char line[512]; /* the longest value is a token */
	snprintf(line, sizeof line, "%s: %s", name, value);
	struct curl_slist *longer = curl_slist_append(list, line);
	return longer != NULL ? longer : list;
}

/* curl_easy_reset keeps the connection. */
static struct curl_slist *prepare(struct transfer *t)
{
	CURL *curl = t->client->curl;
	const struct http_request *r = t->request;
	struct curl_slist *headers = NULL;
	curl_easy_reset(curl);
	curl_easy_setopt(curl, CURLOPT_URL, r->url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "tidemark/" TIDEMARK_VERSION);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	/* A proxy in the environment is meant for the web, not for local services. */
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	set_timeouts(curl, r->silence_ms);
	set_callbacks(curl, t);
	if (r->accept != NULL)
		headers = add_header(headers, "Accept", r->accept);
	if (r->body.p != NULL) {
		curl_easy_setopt(curl, CURLOPT_POST, 1L);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, r->body.p);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len);
		headers = add_header(headers, "Content-Type", r->content_type);
		/* Otherwise libcurl would ask and wait before it sends a large body. */
		struct curl_slist *longer = curl_slist_append(headers, "Expect:");
		headers = longer != NULL ? longer : headers;
	}
	if (t->client->token != NULL) {
		char bearer[8 + TOKEN_TEXT_MAX];
		snprintf(bearer, sizeof bearer, "Bearer %s", t->client->token);
		headers = add_header(headers, "Authorization", bearer);
	}
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	return headers;
}

static enum err translate(struct transfer *t, CURLcode code)
{
	const char *text = t->client->error[0] != '\0' ? t->client->error : curl_easy_strerror(code);
	switch (code) {
	case CURLE_OK: return ERR_NONE;
	case CURLE_OUT_OF_MEMORY: return fault_nomem(t->fault);
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_URL_MALFORMAT: return fault_set(t->fault, ERR_INVALID, "%s", text);
	case CURLE_COULDNT_CONNECT:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION: return fault_set(t->fault, ERR_IO, "%s", text);
	default: return fault_set(t->fault, ERR_CLOSED, "%s", text);
	}
}

static void read_reply(struct transfer *t)
{
	struct http_reply *r = t->reply;
	long status = 0;
	curl_off_t retry_after_s = 0;
	struct json_error error;
	curl_easy_getinfo(t->client->curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(t->client->curl, CURLINFO_RETRY_AFTER, &retry_after_s);
	r->status = (int)status;
	r->retry_after_ms = (int64_t)retry_after_s * MS;
	r->json = (struct slice){r->body.data, 0};
	if (r->body.len == 0 || !json_minify(r->body.data, r->body.len, r->body.data, &r->json.len, &error))
		r->json = (struct slice){"", 0};
}

enum err http_send(struct http_client *c, const struct http_request *request, struct http_reply *reply, struct fault *fault)
{
	*reply = (struct http_reply){.json = {"", 0}};
	struct transfer t = {.client = c, .request = request, .reply = reply, .fault = fault};
	struct curl_slist *headers = prepare(&t);
	c->error[0] = '\0';
	CURLcode code = curl_easy_perform(c->curl);
	curl_slist_free_all(headers);
	enum err err = t.err ? t.err : translate(&t, code);
	if (!err)
		read_reply(&t);
	return err;
}

static enum err code_of(int status)
{
	switch (status) {
	case 401:
	case 403: return ERR_DENIED;
	case 404: return ERR_NOT_FOUND;
	case 409: return ERR_CONFLICT;
	case 410: return ERR_GONE;
	case 413: return ERR_TOO_LARGE;
	case 507: return ERR_FULL;
	case 429:
	case 502:
	case 503:
	case 504: return ERR_BUSY;
	default: return status / 100 == 4 ? ERR_INVALID : ERR_CORRUPT;
	}
}

enum err http_problem(const struct http_reply *reply, struct fault *fault)
{
	enum err code = code_of(reply->status);
	struct document d;
	struct slice detail;
	uint64_t place;
	(void)document_read(&d, reply->json); /* a body that is not a document has no members */
	struct doc problem = document_root(&d);
	if (doc_get_text(doc_member(problem, "detail"), &detail) && detail.len > 0 && json_plain_text(detail))
		fault_set(fault, code, "%.*s", (int)detail.len, detail.p);
	else
		fault_set(fault, code, "the server answered with status %d", reply->status);
	if (doc_get_u64(doc_member(problem, "line"), &place))
		fault->place = (long)place;
	document_finish(&d);
	return code;
}
