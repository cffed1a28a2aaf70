#include "server/api/api.h"

#include "base/kind.h"
#include "base/system/clock.h"
#include "server/message/entity.h"
#include "server/ws/ws.h"

const struct http_route api_routes[] = {
	{"POST", "/v1/events", PERMISSION_PUBLISH, api_publish, ROUTE_DIRECT | ROUTE_PARAMS},
	{"GET", "/v1/events", PERMISSION_READ, api_history, ROUTE_HELD | ROUTE_BRIEF | ROUTE_PACKED | ROUTE_PARAMS},
	{"GET", "/v1/events/{}", PERMISSION_READ, api_event, ROUTE_HELD | ROUTE_BRIEF | ROUTE_PACKED},
	{"GET", "/v1/streams", PERMISSION_READ, api_streams, ROUTE_HELD | ROUTE_BRIEF | ROUTE_PACKED | ROUTE_PARAMS},
	{"GET", "/v1/streams/{}", PERMISSION_READ, api_stream, ROUTE_PACKED},
	{"GET", "/v1/sessions", PERMISSION_READ, api_sessions, ROUTE_HELD | ROUTE_PACKED | ROUTE_PARAMS},
	{"GET", "/v1/sessions/{}", PERMISSION_READ, api_session_get, 0},
	{"PUT", "/v1/sessions/{}", PERMISSION_READ, api_session_put, ROUTE_DIRECT},
	{"DELETE", "/v1/sessions/{}", PERMISSION_ADMIN, api_session_delete, ROUTE_DIRECT},
	{"POST", "/v1/sessions/{}/ack", PERMISSION_READ, api_session_ack, ROUTE_DIRECT},
	{"GET", "/v1/export", PERMISSION_READ_ALL, api_export, ROUTE_PARAMS},
	{"GET", "/v1/archives", PERMISSION_READ_ALL, api_archives, ROUTE_DIRECT},
	{"POST", "/v1/archives", PERMISSION_ADMIN, api_archive_make, ROUTE_PARAMS},
	{"GET", "/v1/archives/{}", PERMISSION_READ_ALL, api_archive_get, 0},
	{"DELETE", "/v1/archives/{}", PERMISSION_ADMIN, api_archive_delete, ROUTE_DIRECT},
	{"GET", "/v1/leases", PERMISSION_READ_ALL, api_leases, ROUTE_HELD | ROUTE_PACKED},
	{"POST", "/v1/leases", PERMISSION_PUBLISH_ALL, api_lease_acquire, ROUTE_DIRECT | ROUTE_PARAMS},
	{"GET", "/v1/leases/{}", PERMISSION_READ_ALL, api_lease_get, ROUTE_DIRECT},
	{"PUT", "/v1/leases/{}", PERMISSION_PUBLISH_ALL, api_lease_renew, ROUTE_DIRECT | ROUTE_PARAMS},
	{"DELETE", "/v1/leases/{}", PERMISSION_PUBLISH_ALL, api_lease_release, ROUTE_DIRECT | ROUTE_PARAMS},
	{"GET", "/v1/quarantine", PERMISSION_READ_ALL, api_quarantine, ROUTE_DIRECT | ROUTE_PARAMS},
	{"GET", "/v1/stats", PERMISSION_READ_ALL, api_stats, ROUTE_PACKED},
	{"GET", "/metrics", PERMISSION_READ_ALL, api_metrics, ROUTE_PACKED},
	{"GET", "/v1/ws", PERMISSION_READ, api_websocket, ROUTE_DIRECT | ROUTE_SOCKET | ROUTE_PARAMS},
	{"GET", "/openapi.json", PERMISSION_NOTHING, api_contract, ROUTE_DIRECT | ROUTE_OPEN},
	{"GET", "/asyncapi.json", PERMISSION_NOTHING, api_contract, ROUTE_DIRECT | ROUTE_OPEN},
	{"GET", "/healthz", PERMISSION_NOTHING, api_healthz, ROUTE_DIRECT | ROUTE_OPEN},
	{"GET", "/readyz", PERMISSION_NOTHING, api_readyz, ROUTE_DIRECT | ROUTE_OPEN},
	/* the monitoring profile */
	{"GET", "/ws", PERMISSION_READ_ALL, api_websocket, ROUTE_DIRECT | ROUTE_SOCKET | ROUTE_PARAMS},
	{"GET", "/events", PERMISSION_PUBLISH, api_websocket, ROUTE_DIRECT | ROUTE_SOCKET | ROUTE_PARAMS},
	{"GET", "/status", PERMISSION_READ_ALL, api_status, ROUTE_DIRECT | ROUTE_OPEN},
	{"GET", "/health", PERMISSION_READ_ALL, api_health, ROUTE_OPEN},
	{"GET", "/health/live", PERMISSION_READ_ALL, api_health_live, ROUTE_DIRECT | ROUTE_OPEN},
	{"GET", "/health/ready", PERMISSION_READ_ALL, api_health_ready, ROUTE_OPEN},
	{"GET", "/health/semaphores", PERMISSION_READ_ALL, api_health_semaphores, ROUTE_DIRECT | ROUTE_OPEN},
	{"GET", "/health/memory", PERMISSION_READ_ALL, api_health_memory, ROUTE_OPEN},
	{"GET", "/health/websocket", PERMISSION_READ_ALL, api_health_websocket, ROUTE_DIRECT | ROUTE_OPEN},
	{"GET", "/metrics/validation", PERMISSION_READ_ALL, api_metrics_validation, ROUTE_DIRECT | ROUTE_OPEN},
	{"GET", "/metrics/adapter", PERMISSION_READ_ALL, api_metrics_adapter, ROUTE_DIRECT | ROUTE_OPEN},
	{"GET", "/flags/status", PERMISSION_READ_ALL, api_flags, ROUTE_DIRECT | ROUTE_OPEN},
	{"PUT", "/flags/{}", PERMISSION_ADMIN, api_flag_set, ROUTE_DIRECT},
	{"GET", "/health/flags", PERMISSION_READ_ALL, api_health_flags, ROUTE_DIRECT | ROUTE_OPEN},
	{"POST", "/metrics/flush", PERMISSION_ADMIN, api_metrics_flush, ROUTE_DIRECT | ROUTE_OPEN},
	{"GET", "/api/metrics/current", PERMISSION_READ_ALL, api_metrics_current, ROUTE_OPEN | ROUTE_PACKED},
	{"GET", "/api/cache-metrics", PERMISSION_READ_ALL, api_cache_metrics, ROUTE_HELD | ROUTE_PACKED | ROUTE_PARAMS},
	{"GET", "/api/auditor/observations", PERMISSION_READ_ALL, api_observations, ROUTE_DIRECT | ROUTE_PARAMS},
	{"POST", "/api/auditor/observations/{}/acknowledge", PERMISSION_ADMIN, api_acknowledge, ROUTE_DIRECT},
	{"GET", "/problems", PERMISSION_NOTHING, api_problem, ROUTE_DIRECT | ROUTE_OPEN},
	{"GET", "/problems/{}", PERMISSION_NOTHING, api_problem, ROUTE_DIRECT | ROUTE_OPEN},
	/* files: any query is ignored, such as the ?v=2 that a page puts behind the name of a script */
	{"GET", "/static/{+}", PERMISSION_NOTHING, api_file, ROUTE_PACKED | ROUTE_PARAMS},
	{"GET", "/monitoring_dashboard.html", PERMISSION_NOTHING, api_dashboard_page, ROUTE_PACKED | ROUTE_PARAMS},
	{"GET", "/semaphore_monitor.html", PERMISSION_NOTHING, api_dashboard_page, ROUTE_PACKED | ROUTE_PARAMS},
	{"GET", "/", PERMISSION_NOTHING, api_page, ROUTE_PACKED | ROUTE_PARAMS},
	{"GET", "/{}", PERMISSION_NOTHING, api_page, ROUTE_CATCHALL | ROUTE_PACKED | ROUTE_PARAMS},
	{0},
};

bool api_given_twice(const struct url *u, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (slice_eq(u->params[i].name, u->params[index].name))
			return true;
	return false;
}

bool api_refuse_full(struct http_request *x)
{
	struct fault fault;
	if (request_room(x, &fault) > 0)
		return false;
	api_fault_done(x, &fault);
	return true;
}

bool api_answer_condition(struct http_request *x, const char *tag, int64_t modified_s, const char *type)
{
	const struct entity_conditions c = {request_header(x, "If-Match"), request_header(x, "If-None-Match"),
					    request_header(x, "If-Modified-Since"),
					    request_header(x, "If-Unmodified-Since")};
	enum entity_verdict verdict = entity_check(&c, tag, modified_s);
	if (verdict == ENTITY_GO_ON)
		return false;
	if (verdict == ENTITY_KNOWN && type != NULL)
		request_status(x, 304, type);
	else
		request_problem(x, 412, "what is here now is not what the conditions ask for (If-Match and the like)");
	return true;
}

void api_json_done(struct http_request *x, int status)
{
	request_status(x, status, "application/json");
	request_done(x);
}

void api_fault_done(struct http_request *x, const struct fault *fault)
{
	request_fault(x, fault);
	request_done(x);
}

void api_put_now(struct buf *out, const char *name)
{
	buf_printf(out, ",\"%s\":", name);
	clock_write(out, clock_wall_ms());
}

struct selection *api_select_take(struct api *api, struct reader_query *q)
{
	struct selection *s = history_select_take(api->store, q->filter);
	q->filter = NULL;
	return s;
}

/* The request is no upgrade, or a malformed one. */
static void refuse_upgrade(struct http_request *x, bool ours, int status, const struct fault *fault)
{
	/* 400 is what the Python hub said to a request without an upgrade. */
	request_problem(x, !ours && request_head(x)->upgrades == 0 ? 400 : status, fault->text);
	if (status != 426)
		return;
	request_add_header(x, "Upgrade", "websocket");
	request_add_header(x, "Connection", "Upgrade");
	request_add_header(x, "Sec-WebSocket-Version", "13");
}

/* A WebSocket that the door did not pass on: it is not the first request of its connection, or something is wrong with it.
 */
void api_websocket(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct api *api = arg;
	struct fault fault;
	struct ws_request *request;
	int fd;
	uint64_t peer;
	bool ours = slice_is(request_url(x)->path, "/v1/ws");
	struct url url = request_url_take(x);
	enum err err = ws_request_create_passed(request_head(x), &url, request_grant(x), request_peer(x), &request, &fault);
	int status = err ? 0 : request_peek_upgrade(request_head(x), &fault);
	if (!err && status == 0)
		err = ws_reserve(api->ws, request, &fault);
	if (!err && status == 0)
		err = request_take_socket(x, &fd, &peer, &fault);
	if (err)
		request_fault(x, &fault);
	else if (status != 0)
		refuse_upgrade(x, ours, status, &fault);
	else
		ws_add_take(api->ws, fd, request, peer);
	if (err || status != 0)
		ws_request_destroy(request);
	request_done(x);
}
