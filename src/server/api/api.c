#include "server/api/api.h"

#include <assert.h>

#include "server/message/entity.h"
#include "server/ws/ws.h"

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
	if (request_reply_max(x, &fault) > 0)
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
		request_problem(x, 412, "the current version does not satisfy the conditions (If-Match and the like)");
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

struct selection *api_select_take(struct api *api, struct reader_query *q)
{
	struct selection *s = history_select_take(api->store, q->filter);
	q->filter = NULL;
	return s;
}

/* Refuses a request that is not a WebSocket upgrade, or a malformed one. */
static void refuse_upgrade(struct http_request *x, bool ours, int status, const struct fault *fault)
{
	/* the Python hub answered 400 to a request without an upgrade */
	request_problem(x, !ours && request_head(x)->upgrades == 0 ? 400 : status, fault->text);
	if (status != 426)
		return;
	request_add_header(x, "Upgrade", "websocket");
	request_add_header(x, "Connection", "Upgrade");
	request_add_header(x, "Sec-WebSocket-Version", "13");
}

/* A WebSocket request that the listener did not hand to ws: it is not the first request of its connection, or has an
 * error. */
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

void api_add_figures(struct api *api, struct api_figures figures)
{
	assert(api->figures_count < API_FIGURES_MAX);
	api->figures[api->figures_count++] = figures;
}
