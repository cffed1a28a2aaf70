/* From the head of a request to its route, with every check that may refuse the request. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/access/origin.h"
#include "server/http/http_internal.h"
#include "json/json.h"

enum { SEGMENT_MAX = 1024, ALLOW_LEN = 64 };

/* Does the path match the pattern? The part that {} or {+} matches is decoded into the request. */
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
	x->no_memory = x->no_memory || x->segment == NULL;
	return x->segment != NULL && url_decode(x->segment, part.len, false, &x->segment_len);
}

/* Answers OPTIONS: the methods of the path, and for a CORS preflight, the headers that a page may send. */
static void answer_options(struct http_request *x, const char *allow)
{
	request_status(x, 204, "text/plain");
	request_add_header(x, "Allow", allow);
	request_add_header(x, "Access-Control-Allow-Methods", allow);
	/* Any header is allowed: attributes of CloudEvents have names chosen by the publisher, and a wildcard does not
	 * apply to requests with credentials. */
	struct slice wanted = request_header(x, "Access-Control-Request-Headers");
	request_add_header(x, "Access-Control-Allow-Headers",
			   wanted.len > 0 ? wanted.p : "Authorization, Content-Type, Content-Encoding, Last-Event-ID");
	request_add_header(x, "Access-Control-Max-Age", "600");
}

/* Pages of any origin may read the reply to a GET of a ROUTE_OPEN path; every other method is for allowed origins only. */
static bool is_open_to_all(const struct http_request *x, const struct http_route *r, bool options)
{
	struct slice wanted = request_header(x, "Access-Control-Request-Method");
	bool get = strcmp(r->method, MHD_HTTP_METHOD_GET) == 0;
	bool asks = !options || wanted.len == 0 || slice_is(wanted, "GET") || slice_is(wanted, "HEAD");
	return (r->flags & ROUTE_OPEN) != 0 && get && asks;
}

/* Looks for the route in one table; appends the methods that the path has there to `allow`. */
static bool find_in(struct http_request *x, const struct http_routes *routes, bool options, char allow[ALLOW_LEN])
{
	bool head = strcmp(x->method, MHD_HTTP_METHOD_HEAD) == 0;
	for (const struct http_route *r = routes->table; r->method != NULL; r++) {
		if (!path_fits(x, r->path))
			continue;
		if (strcmp(head ? MHD_HTTP_METHOD_GET : x->method, r->method) == 0) {
			x->route = r;
			x->route_arg = routes->arg;
			x->open = is_open_to_all(x, r, false);
			return true;
		}
		bool nothing = (r->flags & ROUTE_CATCHALL) != 0 && !(options && allow[0] == '\0');
		size_t used = strlen(allow);
		if (!nothing)
			snprintf(allow + used, ALLOW_LEN - used, "%s%s", used > 0 ? ", " : "",
				 strcmp(r->method, MHD_HTTP_METHOD_GET) == 0 ? "GET, HEAD" : r->method);
		x->open = x->open || (options && is_open_to_all(x, r, true));
	}
	return false;
}

/* Finds the route; otherwise the reply is a 404 or 405. */
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
	if (x->no_memory) {
		request_problem(x, 503, "out of memory");
	} else if (allow[0] == '\0') {
		request_not_found(x);
	} else if (options) {
		answer_options(x, allow);
	} else {
		char detail[128];
		snprintf(detail, sizeof detail, "this path does not support the method; it supports %s", allow);
		request_problem(x, 405, detail);
		request_add_header(x, "Allow", allow);
	}
	return false;
}

/* What the request guard checks; before the route is known, only the part that does not depend on it. */
static struct guard_input guard_input_of(const struct http_request *x)
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

static bool check_refusal(struct http_request *x, int status, const struct guard_input *v, const struct fault *fault)
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
	struct guard_input v = guard_input_of(x);
	return check_refusal(x, request_guard_host(x->http->options.guard, &v, &fault), &v, &fault);
}

static bool check_rights(struct http_request *x)
{
	struct fault fault;
	struct guard_input v = guard_input_of(x);
	int status = request_guard_pass(x->http->options.guard, &v, &x->grant, &fault);
	if (status == 0 && !http_conn_holds(&x->http->conns, x->conn, &x->grant)) {
		fault_set(&fault, ERR_DENIED, "the token was revoked");
		status = 401;
	}
	x->client = x->upload.client = grant_client(&x->grant, v.peer);
	return check_refusal(x, status, &v, &fault);
}

void routing_too_large(struct http_request *x)
{
	char detail[96];
	snprintf(detail, sizeof detail, "the body is larger than the limit of %zu bytes (--max-request)",
		 x->http->options.body_max);
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
	/* HTTP/0.9 does not matter here: it has no headers. */
	x->head.http_1_1 = strcmp(version, MHD_HTTP_VERSION_1_0) != 0;
	MHD_get_connection_values_n(x->connection, MHD_HEADER_KIND, on_field, &x->head);
	if (x->url.authority.p != NULL) /* RFC 9112, 3.2.2 */
		x->head.host = x->url.authority;
	const struct request_guard *guard = x->http->options.guard;
	x->cors_allowed = origin_is_fine(x->head.origin, x->head.host, guard->allow_origins, &guard->own);
}

/* The base path without a final slash is redirected, so that relative links of the page there work. */
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

/* The decoded path must be UTF-8 text: names of streams and sessions are. */
static enum url_result check_path(struct slice path)
{
	size_t len;
	if (memchr(path.p, '%', path.len) == NULL) /* nearly all paths */
		return json_utf8(path) ? URL_FINE : URL_MALFORMED;
	char *text = malloc(path.len + 1);
	if (text == NULL)
		return URL_NO_MEMORY;
	slice_copy(text, path);
	bool fine = url_decode(text, path.len, false, &len) && json_utf8((struct slice){text, len});
	free(text);
	return fine ? URL_FINE : URL_MALFORMED;
}

/* Refuses query parameters if the handler reads none. False: the reply is ready. */
static bool check_params(struct http_request *x)
{
	struct fault fault;
	if ((x->route->flags & ROUTE_PARAMS) != 0 || x->url.param_count == 0)
		return true;
	struct slice name = x->url.params[0].name;
	fault_set(&fault, ERR_INVALID, "%.*s: unknown parameter; this path takes none", (int)(name.len < 64 ? name.len : 64),
		  name.p);
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
		request_problem(
			x, 400,
			"the URL contains an invalid percent-encoding, a path that is not UTF-8, or an authority with a "
			"user or without a host");
		return false;
	case URL_TOO_MANY_PARAMS: request_problem(x, 400, "the URL has more than 100 parameters"); return false;
	}
	if (x->access_tokens > 1) {
		request_problem(x, 400, "access_token: given more than once");
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
