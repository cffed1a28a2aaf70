#include "server/http/request.h"

#include <string.h>
#include <strings.h>

#include "server/http/http_internal.h"

const struct sockaddr *connection_address(struct MHD_Connection *connection)
{
	return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
}

void request_set_answering(struct http_request *x, bool answering)
{
	if (x->conn != NULL)
		http_conn_answers(&x->http->conns, x->conn, answering);
}

const struct url *request_url(const struct http_request *x)
{
	return &x->url;
}

const struct request_peek *request_head(const struct http_request *x)
{
	return &x->head;
}

struct url request_url_take(struct http_request *x)
{
	struct url url = x->url;
	x->url = (struct url){0};
	return url;
}

struct slice request_segment(const struct http_request *x)
{
	return x->segment != NULL ? (struct slice){x->segment, x->segment_len} : (struct slice){"", 0};
}

struct slice request_header(const struct http_request *x, const char *name)
{
	const char *value = MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
	return value != NULL ? slice_of(value) : (struct slice){"", 0};
}

struct header_walk {
	const char *prefix;
	header_visit *visit;
	void *arg;
};

static enum MHD_Result on_header(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
	(void)kind;
	const struct header_walk *w = arg;
	size_t n = strlen(w->prefix);
	if (strncasecmp(name, w->prefix, n) == 0)
		w->visit(w->arg, slice_of(name + n), slice_of(value != NULL ? value : ""));
	return MHD_YES;
}

void request_each_header(const struct http_request *x, const char *prefix, header_visit *visit, void *arg)
{
	struct header_walk w = {prefix, visit, arg};
	MHD_get_connection_values(x->connection, MHD_HEADER_KIND, on_header, &w);
}

const struct grant *request_grant(const struct http_request *x)
{
	return &x->grant;
}

uint64_t request_connection(const struct http_request *x)
{
	return (uint64_t)(uintptr_t)x->conn;
}

uint64_t request_client(const struct http_request *x)
{
	return x->client;
}

uint64_t request_peer(const struct http_request *x)
{
	return proxies_peer(x->http->options.guard->proxies, connection_address(x->connection), &x->head.forwarded);
}

size_t request_body_len(const struct http_request *x)
{
	return x->body.len;
}

char *request_body_take(struct http_request *x, size_t *len)
{
	char *body = x->body.data;
	*len = x->body.len;
	quota_hold_upload(&x->upload, 0, NULL);
	x->body = (struct buf){0};
	return body;
}

void request_keep(struct http_request *x, void *state, void (*destroy)(void *state))
{
	x->state = state;
	x->state_destroy = destroy;
}

void *request_state(const struct http_request *x)
{
	return x->state;
}

void request_cut(struct http_request *x)
{
	shutdown(x->conn->fd, SHUT_RDWR);
}
