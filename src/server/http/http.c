#include "server/http/http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/system/clock.h"
#include "base/system/log.h"
#include "server/http/builtin_replies.h"
#include "server/http/http_internal.h"

enum {
	IDLE_TIMEOUT_S = 30,
	BODY_TIMEOUT_FACTOR = 3,
	REFUSE_CHECK_US = 100,
	RECLAIMED_FRACTION = 4, /* http_sweep frees at most this fraction (1/n) of the reply memory at a time */
};

/* --- requests --- */

static void *on_uri(void *arg, const char *uri, struct MHD_Connection *connection)
{
	struct http_request *x = calloc(1, sizeof *x);
	if (x == NULL)
		return NULL; /* the URL is passed to on_request instead */
	x->http = arg;
	x->connection = connection;
	list_init(&x->in_waiting);
	x->held_kind = QUOTA_REPLIES;
	x->upload.quotas = x->slot.quotas = x->long_slot.quotas = x->search.quotas = x->http->options.quotas;
	x->conn = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
	x->url_result = url_parse(&x->url, slice_of(uri));
	x->url.path = request_guard_path(x->http->options.guard, x->url.path);
	if (x->url_result == URL_FINE)
		x->access_tokens = url_take(&x->url, "access_token", &x->access_token);
	return x;
}

static void request_destroy(struct http_request *x)
{
	if (x->state_destroy != NULL)
		x->state_destroy(x->state);
	if (x->conn != NULL)
		http_conn_holds(&x->http->conns, x->conn, NULL);
	grant_drop(&x->grant);
	quota_hold_upload(&x->upload, 0, NULL);
	quota_hold(&x->search, QUOTA_SEARCHES, 0, NULL);
	quota_hold(&x->long_slot, QUOTA_LONG_REQUESTS, 0, NULL);
	quota_hold(&x->slot, QUOTA_REQUESTS, 0, NULL);
	request_hold(x, 0);
	buf_finish(&x->body);
	buf_finish(&x->out);
	url_finish(&x->url);
	free(x->segment);
	reply_drop_headers(x);
	free(x);
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode why)
{
	(void)arg;
	(void)connection;
	(void)why;
	if (*state == NULL)
		return;
	request_set_answering(*state, false);
	request_destroy(*state);
	*state = NULL;
}

/* Counts the request for its client until it has ended, refused or not: its body may take long. False: the client has too
 * many, and the reply is ready; the rest of the request is not awaited. */
static bool count_request(struct http_request *x)
{
	struct fault fault;
	x->slot.client = x->client != 0 ? x->client : request_peer(x);
	if (quota_hold(&x->slot, QUOTA_REQUESTS, 1, &fault) == ERR_NONE)
		return true;
	request_fault(x, &fault);
	x->closes = true;
	return false;
}

static void take_body(struct http_request *x, const char *bytes, size_t n)
{
	struct http *h = x->http;
	if (x->discard) {
		x->discarded += n;
		return;
	}
	if (x->body.len + n > h->options.body_max) {
		routing_too_large(x);
		x->discard = true;
		return;
	}
	struct fault fault;
	buf_add(&x->body, bytes, n);
	if (buf_failed(&x->body))
		fault_nomem(&fault);
	else if (quota_hold_upload(&x->upload, x->body.cap, &fault) == ERR_NONE)
		return;
	request_fault(x, &fault);
	x->discard = true;
	buf_finish(&x->body);
	quota_hold_upload(&x->upload, 0, NULL);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *uri, const char *method,
				  const char *version, const char *upload, size_t *upload_len, void **state)
{
	(void)arg;
	(void)uri;
	struct http_request *x = *state;
	if (x == NULL)
		return reply_refuse_without_memory(connection);
	if (x->method == NULL) { /* the headers are complete, the body is not */
		routing_read_head(x, method, version);
		bool accepted = routing_accept(x);
		x->discard = !count_request(x) || !accepted;
		if (x->discard && routing_answers_ahead(x))
			return reply_send_ahead(x);
		return x->discard && routing_answers_at_once(x) ? reply_send(x) : MHD_YES;
	}
	if (*upload_len > 0) {
		if (x->conn != NULL)
			http_conn_received(&x->http->conns, x->conn, *upload_len);
		take_body(x, upload, *upload_len);
		*upload_len = 0;
		/* A reply can be sent only after the body; a client that sends without end does not get one. */
		return x->discarded > DISCARD_MAX ? MHD_NO : MHD_YES;
	}
	if (x->stage == TAKEN || x->stage == SENT)
		return MHD_NO; /* closes the stub, or the connection after its reply */
	if (x->stage == DONE || x->discard)
		return reply_send(x);
	if (!reply_memory_begin_handover(x->http)) {
		reply_refuse_unready(x);
		return reply_send(x);
	}
	request_run(x);
	reply_memory_end_handover(x->http);
	return MHD_YES;
}

/* --- connections --- */

static void on_connection(void *arg, struct MHD_Connection *connection, void **socket_context,
			  enum MHD_ConnectionNotificationCode code)
{
	struct http *h = arg;
	struct http_conn *c = *socket_context;
	uint64_t peer = proxies_counted(h->options.guard->proxies, connection_address(connection));
	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
		*socket_context = http_conns_add(&h->conns, fd);
		return;
	}
	bool taken = c != NULL && c->taken;
	if (c != NULL)
		http_conns_remove(&h->conns, c);
	if (!taken)
		h->options.on_close(h->options.on_close_arg, peer);
}

static void add_connection(void *arg, const struct accepted_socket *a)
{
	struct http *h = arg;
	const struct sockaddr *address = (const struct sockaddr *)&a->address;
	/* On failure libmicrohttpd has closed the socket, and calls nothing. */
	if (MHD_add_connection(h->daemon, a->fd, address, a->address_len) != MHD_YES)
		h->options.on_close(h->options.on_close_arg, proxies_counted(h->options.guard->proxies, address));
}

void http_sweep(struct http *h)
{
	bool wanted = quota_is_wanted(h->options.quotas, QUOTA_REPLIES) || quota_is_wanted(h->options.quotas, QUOTA_EXPORTS);
	struct quota_figures all = quota_read(h->options.quotas, QUOTA_REPLIES);
	uint64_t over = all.held > all.limit ? all.held - all.limit : 0;
	http_conns_sweep(&h->conns, wanted ? (size_t)(over + all.limit / RECLAIMED_FRACTION) : 0);
	reply_memory_serve_waiting(h, clock_mono_ms() - MEMORY_WAIT_MS);
}

int64_t http_idle_since(struct http *h)
{
	return http_conns_idle_since(&h->conns);
}

bool http_end_idle(struct http *h)
{
	return http_conns_end_idle(&h->conns);
}

void http_recheck(struct http *h)
{
	http_conns_recheck(&h->conns);
}

uint64_t http_slow(struct http *h)
{
	return http_conns_slow(&h->conns);
}

/* --- the daemon --- */

static void on_log(void *arg, const char *format, va_list args)
{
	(void)arg;
	char text[256];
	vsnprintf(text, sizeof text, format, args);
	text[strcspn(text, "\n")] = '\0';
	log_debug("http", "detail=%s", log_text(text));
}

/* -1: no descriptor left. */
static int open_stub(void)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return -1;
	close(pair[1]);
	return pair[0];
}

enum err http_create(struct pool *pool, struct http_options options, struct http **out, struct fault *fault)
{
	*out = NULL;
	struct http *h = calloc(1, sizeof *h);
	if (h == NULL)
		return fault_nomem(fault);
	h->pool = pool;
	h->options = options;
	pthread_mutex_init(&h->lock, NULL);
	builtin_replies_init(options.guard->base);
	fair_queue_init(&h->waiting);
	http_conns_init(&h->conns, IDLE_TIMEOUT_S * 1000 + options.timeout_ms, BODY_TIMEOUT_FACTOR * options.timeout_ms);
	h->stub = open_stub();
	unsigned flags = MHD_USE_NO_LISTEN_SOCKET | MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
	struct MHD_OptionItem items[] = {
		{MHD_OPTION_CONNECTION_LIMIT, options.connections_max, NULL},
		{MHD_OPTION_CONNECTION_TIMEOUT, IDLE_TIMEOUT_S, NULL},
		{MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)options.connection_memory, NULL},
		{MHD_OPTION_END, 0, NULL},
	};
	if (h->stub >= 0)
		h->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, h, MHD_OPTION_EXTERNAL_LOGGER, on_log, h,
					     MHD_OPTION_URI_LOG_CALLBACK, on_uri, h, MHD_OPTION_NOTIFY_COMPLETED,
					     on_completed, h, MHD_OPTION_NOTIFY_CONNECTION, on_connection, h,
					     MHD_OPTION_ARRAY, items, MHD_OPTION_END);
	enum err err = h->daemon != NULL ? http_loop_start(h->daemon, add_connection, h, &h->loop, fault)
					 : fault_set(fault, ERR_IO, "cannot start the HTTP server: %s", strerror(errno));
	if (err)
		http_destroy(h);
	else
		*out = h;
	return err;
}

void http_refuse(struct http *h)
{
	h->refusing = true;
	while (h->handing_over > 0)
		usleep(REFUSE_CHECK_US); /* none of these threads waits for anything */
	pthread_mutex_lock(&h->lock);
	struct list waiting;
	list_init(&waiting);
	fair_queue_take_all(&h->waiting, &waiting);
	LIST_EACH (link, &waiting) {
		list_remove(link);
		quota_wait_end(h->options.quotas, QUOTA_REPLIES);
		pool_submit(h->pool, &LIST_ITEM(link, struct http_request, in_waiting)->job);
	}
	pthread_mutex_unlock(&h->lock);
}

void http_destroy(struct http *h)
{
	if (h == NULL)
		return;
	if (h->loop != NULL)
		http_loop_stop(h->loop);
	if (h->daemon != NULL)
		MHD_stop_daemon(h->daemon);
	if (h->stub >= 0)
		close(h->stub);
	http_conns_finish(&h->conns);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

void http_add_take(struct http *h, struct accepted_socket *a)
{
	http_loop_take(h->loop, a);
}
