#include "net/api.h"

#include "base/assets.h"
#include "net/origin.h"
#include "net/ws.h"

const struct http_route api_routes[] = {
	{"POST", "/v1/events", api_publish, true, false},
	{"GET", "/v1/events", api_history, false, false},
	{"GET", "/v1/events/{}", api_event, false, false},
	{"GET", "/v1/streams", api_streams, false, false},
	{"GET", "/v1/streams/{}", api_stream, false, false},
	{"GET", "/v1/sessions", api_sessions, false, false},
	{"GET", "/v1/sessions/{}", api_session_get, false, false},
	{"PUT", "/v1/sessions/{}", api_session_put, true, false},
	{"DELETE", "/v1/sessions/{}", api_session_delete, true, false},
	{"GET", "/v1/stats", api_stats, false, false},
	{"GET", "/v1/ws", api_websocket, true, false},
	{"GET", "/healthz", api_healthz, true, false},
	{"GET", "/readyz", api_readyz, true, false},
	{"GET", "/", api_page, true, false},
	{"GET", "/{}", api_page, true, true},
	{0},
};

struct selection *api_select_take(struct api *api, struct query *q)
{
	struct selection *s = history_select_take(api->store, q->filter);
	q->filter = NULL;
	return s;
}

/* What the door did not pass on as a WebSocket: say what is wrong with it. */
void api_websocket(void *arg, struct exchange *x, struct reader *reader)
{
	(void)reader;
	struct api *api = arg;
	struct fault fault;
	struct query q;
	if (!origin_is_fine(exchange_header(x, "Origin"), exchange_header(x, "Host"), api->allow_origins)) {
		exchange_problem(x, 403, "this Origin may not connect here (see --allow-origin)");
	} else if (query_parse(exchange_url(x), WS_QUERY, store_epoch(api->store), &q, &fault) != ERR_NONE) {
		exchange_fault(x, &fault);
	} else {
		query_finish(&q);
		exchange_problem(x, 426, "this is a WebSocket: connect with Upgrade: websocket on a connection of its own");
		exchange_add_header(x, "Upgrade", "websocket");
	}
	exchange_done(x);
}

static const char *content_type(struct slice name)
{
	static const struct {
		const char *ending;
		const char *type;
	} types[] = {{".html", "text/html; charset=utf-8"},
		     {".js", "text/javascript; charset=utf-8"},
		     {".css", "text/css; charset=utf-8"},
		     {".svg", "image/svg+xml"},
		     {".json", "application/json"}};
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		size_t n = strlen(types[i].ending);
		if (name.len > n && memcmp(name.p + name.len - n, types[i].ending, n) == 0)
			return types[i].type;
	}
	return "application/octet-stream";
}

void api_page(void *arg, struct exchange *x, struct reader *reader)
{
	(void)arg;
	(void)reader;
	struct slice name = exchange_segment(x).len > 0 ? exchange_segment(x) : slice_of("index.html");
	for (size_t i = 0; i < static_assets.count; i++) {
		const struct asset *a = &static_assets.items[i];
		if (!slice_is(name, a->name))
			continue;
		exchange_status(x, 200, content_type(name));
		exchange_add_header(x, "Content-Security-Policy",
				    "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'");
		exchange_add_header(x, "Cache-Control", "no-cache");
		exchange_static(x, a->bytes, a->len);
		exchange_done(x);
		return;
	}
	exchange_problem(x, 404, "there is nothing at this path");
	exchange_done(x);
}
