/* A request for a WebSocket, until it is handed to the thread. */
#include "server/ws/ws_conn.h"

#include <assert.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/url.h"
#include "event/where.h"

/* Parses the query parameters of a WebSocket's path (which must be one). ERR_INVALID names the wrong parameter,
 * ERR_DENIED the one that exceeds the grant. */
static enum err parse_query(const struct url *u, const struct grant *g, struct reader_query *q, struct fault *fault)
{
	const struct ws_profile *profile = ws_profile_find(u->path);
	enum err err = reader_query_parse(u, profile->query, q, fault);
	if (!err && profile->narrow != NULL && (err = profile->narrow(u, q, fault)) != ERR_NONE)
		reader_query_finish(q);
	return err ? err : reader_query_narrow(q, u, g, fault);
}

/* Passes the request through the request guard, like any other request. */
static enum err check_guard(struct ws_request *r, const struct request_guard *guard, struct guard_input *input,
			    struct fault *fault)
{
	if (url_take(&r->url, "access_token", &input->access_token) > 1)
		return fault_set(fault, ERR_INVALID, "access_token: given more than once");
	if (r->url.authority.p != NULL)
		input->host = r->url.authority;
	input->path = r->url.path;
	input->permission = r->profile->permission;
	r->peer = input->peer;
	bool fine = request_guard_host(guard, input, fault) == 0 && request_guard_pass(guard, input, &r->grant, fault) == 0;
	return fine ? ERR_NONE : ERR_DENIED;
}

/* Completes a request that the guard has passed. Takes the request on failure. */
static enum err complete(struct ws_request *r, const struct request_peek *head, struct ws_request **out, struct fault *fault)
{
	r->request_peek_len = head->len;
	r->subprotocol = head->protocol_v1;
	snprintf(r->key, sizeof r->key, "%.*s", (int)head->key.len, head->key.p);
	enum err err = parse_query(&r->url, &r->grant, &r->query, fault);
	if (!err && (r->conn = calloc(1, sizeof *r->conn)) == NULL)
		err = fault_nomem(fault);
	if (err)
		ws_request_destroy(r);
	else
		*out = r;
	return err;
}

enum err ws_request_create(const struct request_peek *head, const struct request_guard *guard, struct guard_input *input,
			   struct ws_request **out, struct fault *fault)
{
	*out = NULL;
	struct ws_request *r = calloc(1, sizeof *r);
	if (r == NULL)
		return fault_nomem(fault);
	enum err err = ERR_NONE;
	enum url_result url = url_parse(&r->url, head->target);
	if (url == URL_NO_MEMORY)
		err = fault_nomem(fault);
	else if (url != URL_FINE)
		err = fault_set(fault, ERR_INVALID, "the URL is malformed");
	else if ((r->profile = ws_profile_find(r->url.path = request_guard_path(guard, r->url.path))) == NULL)
		err = fault_set(fault, ERR_NOT_FOUND, "there is no WebSocket at this path");
	else
		err = check_guard(r, guard, input, fault);
	if (!err)
		return complete(r, head, out, fault);
	ws_request_destroy(r);
	return err;
}

enum err ws_request_create_passed(const struct request_peek *head, struct url *url, const struct grant *grant, uint64_t peer,
				  struct ws_request **out, struct fault *fault)
{
	*out = NULL;
	struct ws_request *r = calloc(1, sizeof *r);
	if (r == NULL) {
		url_finish(url);
		return fault_nomem(fault);
	}
	r->url = *url;
	*url = (struct url){0};
	r->profile = ws_profile_find(r->url.path);
	assert(r->profile != NULL);
	r->grant = grant_share(grant);
	r->peer = peer;
	return complete(r, head, out, fault);
}

enum err ws_reserve(struct ws *w, struct ws_request *r, struct fault *fault)
{
	struct quota_hold none = {w->options.quotas, grant_client(&r->grant, r->peer), 0, 0};
	struct ws_holds *p = &r->holds;
	p->request = p->stay = p->conditions = none;
	enum err err = quota_hold(&p->request, QUOTA_REQUESTS, 1, fault);
	if (!err)
		err = quota_hold(&p->stay, QUOTA_LONG_REQUESTS, 1, fault);
	return err ? err : quota_hold(&p->conditions, QUOTA_CONDITIONS, where_count(filter_where(r->query.filter)), fault);
}

void ws_release_holds(struct ws_holds *p)
{
	quota_hold(&p->conditions, QUOTA_CONDITIONS, 0, NULL);
	quota_hold(&p->stay, QUOTA_LONG_REQUESTS, 0, NULL);
	quota_hold(&p->request, QUOTA_REQUESTS, 0, NULL);
}

void ws_request_destroy(struct ws_request *r)
{
	if (r == NULL)
		return;
	ws_release_holds(&r->holds);
	reader_query_finish(&r->query);
	grant_drop(&r->grant);
	url_finish(&r->url);
	free(r->conn);
	free(r);
}
