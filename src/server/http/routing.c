/* From the head of a request to its route, through everything that may refuse it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/access/origin.h"
#include "server/http/http_internal.h"
#include "json/json.h"

enum { SEGMENT_MAX = 1024, ALLOW_LEN = 64 };

/* Does the path fit the pattern? What {} or {+} stands for is decoded into the exchange. */
static bool path_fits(struct http_request *x, const char *pattern)
{
	struct slice path = x->url.path;
	size_t before = strcspn(pattern, "{");
	if (pattern[before] == '\0')
		return slice_is(path, pattern);
	bool all = pattern[before + 1] == '+';
	const char *behind = strchr(pattern, '}') + 1;
	size_t after = strlen(behind);
	if (path.len <= before + after || memcmp(path.p, pattern, before) != 0 ||
	    memcmp(path.p + path.len - after, behind, after) != 0)
		return false;
	struct slice part = {path.p + before, path.len - before - after};
	if ((!all && memchr(part.p, '/', part.len) != NULL) || part.len >= SEGMENT_MAX)
		return false;
	free(x->segment);
	x->segment = strndup(part.p, part.len);
	x->starved = x->starved || x->segment == NULL;
	return x->segment != NULL && url_decode(x->segment, part.len, false, &x->segment_len);
}

/* Answers OPTIONS: what the path takes, and to a browser's preflight, what a page may send. */
static void answer_options(struct http_request *x, const char *allow)
{
	request_status(x, 204, "text/plain");
	request_add_header(x, "Allow", allow);
	request_add_header(x, "Access-Control-Allow-Methods", allow);
	/* Any: those of CloudEvents have names of the publisher's own, and a wildcard does not count with credentials. */
	struct slice wanted = request_header(x, "Access-Control-Request-Headers");
	request_add_header(x, "Access-Control-Allow-Headers",
			   wanted.len > 0 ? wanted.p : "Authorization, Content-Type, Content-Encoding, Last-Event-ID");
	request_add_header(x, "Access-Control-Max-Age", "600");
}

/* Everybody may read what a GET of an open path says; what changes something is only for pages that may do it. */
static bool opens(const struct http_request *x, const struct http_route *r, bool options)
{
	struct slice wanted = request_header(x, "Access-Control-Request-Method");
	bool get = strcmp(r->method, MHD_HTTP_METHOD_GET) == 0;
	bool asks = !options || wanted.len == 0 || slice_is(wanted, "GET") || slice_is(wanted, "HEAD");
	return (r->flags & ROUTE_OPEN) != 0 && get && asks;
}

/* Looks for the route in one table; `allow` gets the methods that the path takes there. */
static bool find_in(struct http_request *x, const struct http_routes *routes, bool options, char allow[ALLOW_LEN])
{
	bool head = strcmp(x->method, MHD_HTTP_METHOD_HEAD) == 0;
	for (const struct http_route *r = routes->table; r->method != NULL; r++) {
		if (!path_fits(x, r->path))
			continue;
		if (strcmp(head ? MHD_HTTP_METHOD_GET : x->method, r->method) == 0) {
			x->route = r;
			x->route_arg = routes->arg;
			x->open = opens(x, r, false);
			return true;
		}
		bool nothing = (r->flags & ROUTE_CATCHALL) != 0 && !(options && allow[0] == '\0');
		size_t used = nothing ? ALLOW_LEN : strlen(allow);
		if (used < ALLOW_LEN)
			snprintf(allow + used, ALLOW_LEN - used, "%s%s", used > 0 ? ", " : "",
				 strcmp(r->method, MHD_HTTP_METHOD_GET) == 0 ? "GET, HEAD" : r->method);
		x->open = x->open || (options && opens(x, r, true));
	}
	return false;
}

/* Finds the route; where there is none, the reply says why. */
static bool find_route(struct http_request *x)
{
	char allow[ALLOW_LEN] = "";
	bool options = strcmp(x->method, MHD_HTTP_METHOD_OPTIONS) == 0;
	if (options && slice_is(x->url.path, "*")) { /* the server as a whole (RFC 9110, 9.3.7) */
		answer_options(x, "GET, HEAD, POST, PUT, DELETE, OPTIONS");
		return false;
	}
	for (const struct http_routes *routes = x->http->options.routes; routes->table != NULL; routes++)
		if (find_in(x, routes, options, allow))
			return true;
	if (x->starved) {
		request_problem(x, 503, "out of memory");
	} else if (allow[0] == '\0') {
		request_nothing(x);
	} else if (options) {
		answer_options(x, allow);
	} else {
		char detail[128];
		snprintf(detail, sizeof detail, "this path does not take the method: it takes %s", allow);
		request_problem(x, 405, detail);
		request_add_header(x, "Allow", allow);
	}
	return false;
}

/* What the gate wants to know; before the route is known, only what matters until then. */
static struct guard_input visit_of(const struct http_request *x)
{
	const struct http_route *r = x->route;
	bool socket = r != NULL && (r->flags & ROUTE_SOCKET) != 0;
	return (struct guard_input){
		.path = x->url.path,
		.host = x->head.host,
		.origin = x->head.origin,
		.authorization = x->head.authorization,
		.access_token = x->access_token,
		.peer = request_peer(x),
		.local = x->conn->local,
		.subprotocol = socket ? x->head.bearer : (struct slice){0},
		.guarded = socket || (r != NULL && strcmp(r->method, MHD_HTTP_METHOD_GET) != 0),
		.permission = r != NULL ? r->permission : PERMISSION_NOTHING,
	};
}

static bool let_pass(struct http_request *x, int status, const struct guard_input *v, const struct fault *fault)
{
	if (status == 0)
		return true;
	request_guard_refused(x->http->options.guard, v, status);
	reply_put_problem(x, status, fault);
	if (status == 401)
		request_add_header(x, "WWW-Authenticate", "Bearer realm=\"tidemark\"");
	return false;
}

static bool check_host(struct http_request *x)
{
	struct fault fault;
	struct guard_input v = visit_of(x);
	return let_pass(x, request_guard_host(x->http->options.guard, &v, &fault), &v, &fault);
}

static bool check_rights(struct http_request *x)
{
	struct fault fault;
	struct guard_input v = visit_of(x);
	int status = request_guard_pass(x->http->options.guard, &v, &x->grant, &fault);
	if (status == 0 && !http_conn_holds(&x->http->conns, x->conn, &x->grant)) {
		fault_set(&fault, ERR_DENIED, "the token was revoked");
		status = 401;
	}
	x->client = x->upload.client = grant_client(&x->grant, v.peer);
	return let_pass(x, status, &v, &fault);
}

void routing_too_large(struct http_request *x)
{
	char detail[96];
	snprintf(detail, sizeof detail, "the body is larger than %zu bytes (see --max-request)", x->http->options.body_max);
	request_problem(x, 413, detail);
}

static unsigned long long content_length(const struct http_request *x)
{
	return strtoull(request_header(x, "Content-Length").p, NULL, 10);
}

bool routing_answers_ahead(const struct http_request *x)
{
	return !x->closes && x->conn != NULL && request_header(x, "Expect").len == 0 &&
	       content_length(x) > x->http->options.body_max;
}

bool routing_answers_at_once(const struct http_request *x)
{
	return x->closes || request_header(x, "Expect").len > 0 || content_length(x) > DISCARD_MAX;
}

static enum MHD_Result on_field(void *arg, enum MHD_ValueKind kind, const char *name, size_t name_len, const char *value,
				size_t value_len)
{
	(void)kind;
	request_peek_add(arg, (struct slice){name, name_len}, (struct slice){value != NULL ? value : "", value_len});
	return MHD_YES;
}

void routing_read_head(struct http_request *x, const char *method, const char *version)
{
	x->method = method;
	x->head.get = strcmp(method, MHD_HTTP_METHOD_GET) == 0;
	x->head.http_1_1 = strcmp(version, MHD_HTTP_VERSION_1_0) != 0; /* and not before that: this has no headers */
	MHD_get_connection_values_n(x->connection, MHD_HEADER_KIND, on_field, &x->head);
	if (x->url.authority.p != NULL) /* RFC 9112, 3.2.2 */
		x->head.host = x->url.authority;
	const struct request_guard *guard = x->http->options.guard;
	x->shared = origin_is_fine(x->head.origin, x->head.host, guard->allow_origins, &guard->own);
}

/* The base without a slash: relative links in the page at the root would miss it. */
static bool redirect_to_root(struct http_request *x)
{
	char root[160];
	const char *base = x->http->options.guard->base;
	if (base[0] == '\0' || !slice_is(x->url.path, base))
		return false;
	snprintf(root, sizeof root, "%s/", base);
	request_status(x, 308, "text/plain");
	request_add_header(x, "Location", root);
	return true;
}

/* Whatever a path may name is text. */
static enum url_result check_path(struct slice path)
{
	size_t len;
	if (memchr(path.p, '%', path.len) == NULL) /* as nearly all are */
		return json_utf8(path) ? URL_FINE : URL_MALFORMED;
	char *text = malloc(path.len + 1);
	if (text == NULL)
		return URL_NO_MEMORY;
	slice_copy(text, path);
	bool fine = url_decode(text, path.len, false, &len) && json_utf8((struct slice){text, len});
	free(text);
	return fine ? URL_FINE : URL_MALFORMED;
}

/* Where the handler reads no parameters, there is none that it would heed. False when the reply is ready. */
static bool check_params(struct http_request *x)
{
	struct fault fault;
	if ((x->route->flags & ROUTE_PARAMS) != 0 || x->url.param_count == 0)
		return true;
	struct slice name = x->url.params[0].name;
	fault_set(&fault, ERR_INVALID, "%.*s: there is no such parameter; this path takes none",
		  (int)(name.len < 64 ? name.len : 64), name.p);
	request_fault(x, &fault);
	return false;
}

bool routing_accept(struct http_request *x)
{
	struct fault fault;
	int status = request_peek_refusal(&x->head, &fault);
	if (status != 0) {
		request_problem(x, status, fault.text);
		x->closes = true;
		return false;
	}
	if (x->url_result == URL_FINE)
		x->url_result = check_path(x->url.path);
	switch (x->url_result) {
	case URL_FINE: break;
	case URL_NO_MEMORY: request_problem(x, 503, "out of memory"); return false;
	case URL_MALFORMED:
		request_problem(x, 400,
				"the URL holds a broken percent-encoding, a path that is not UTF-8, or an authority with a "
				"user or without a host");
		return false;
	case URL_TOO_MANY_PARAMS: request_problem(x, 400, "the URL has more than 100 parameters"); return false;
	}
	if (x->access_tokens > 1) {
		request_problem(x, 400, "access_token: given twice");
		return false;
	}
	if (x->http->refusing || x->conn == NULL) {
		reply_refuse_unready(x);
		return false;
	}
	http_conn_reads(&x->http->conns, x->conn);
	if (redirect_to_root(x))
		return false;
	if (!check_host(x) || !find_route(x) || !check_rights(x) || !check_params(x))
		return false;
	if (content_length(x) > x->http->options.body_max) {
		routing_too_large(x);
		return false;
	}
	return true;
}
