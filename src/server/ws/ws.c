#include "server/ws/ws.h"

#include <ev.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/system/clock.h"
#include "base/system/log.h"
#include "server/ws/ws_conn.h"

enum {
	PEEK_MAX = 8 * 1024,
	CLOSE_MAX_MS = 4000, /* time for all peers to take their close frames */
	ADMIT_BATCH = 32,    /* new connections per iteration of the loop: open connections wait for no more of them */
};

/* --- the inbox: messages from other threads --- */

static void on_commit(void *arg)
{
	struct ws *w = arg;
	if (!atomic_exchange(&w->committed, true))
		lws_cancel_service(w->context);
}

static void on_session_news(struct session_reader *r, enum session_news news)
{
	struct ws_conn *c = LIST_ITEM(r, struct ws_conn, reader);
	pthread_mutex_lock(&c->ws->lock);
	c->news |= news;
	pthread_mutex_unlock(&c->ws->lock);
	ws_wake(c->ws, &c->ws->ready, &c->in_inbox);
}

void ws_add_take(struct ws *w, int fd, struct ws_request *request, uint64_t counted_peer)
{
	struct ws_conn *c = request->conn;
	request->conn = NULL;
	c->ws = w;
	c->fd = fd;
	c->request = request;
	list_init(&c->in_all);
	list_init(&c->in_inbox);
	list_init(&c->tasks);
	c->reader.on_news = on_session_news;
	c->profile = request->profile;
	c->peer = request->peer;
	c->counted_peer = counted_peer;
	c->grant = request->grant;
	request->grant = (struct grant){0};
	c->client = grant_client(&c->grant, c->peer);
	c->holds = request->holds;
	request->holds = (struct ws_holds){0};
	ws_receive_init(c);
	ws_publisher_init(c);
	ws_reader_init(c);
	c->number = atomic_fetch_add(&w->incoming, 1) + 1;
	ws_wake(w, &w->accepted, &c->in_inbox);
}

static int on_writable(struct ws_conn *c)
{
	if (c->close_code == 0) {
		ws_pump(c);
		ws_progressed(c);
		return 0;
	}
	if (c->out.len > 0 && c->close_code != CLOSE_WITHOUT_FRAME && !lws_partial_buffered(c->wsi))
		ws_send_out(c);
	const char *why = c->close_why != NULL ? c->close_why : "";
	if (c->close_code != CLOSE_WITHOUT_FRAME)
		lws_close_reason(c->wsi, (enum lws_close_status)c->close_code, (unsigned char *)why, strlen(why));
	return -1;
}

/* --- the thread --- */

/* libwebsockets gets a request of this server's own in place of the client's, which is taken out of the socket: it has
 * narrow limits for URLs and headers, and everything relevant in them has been read already. An agreed subprotocol is
 * passed on, an extension never. */
static void admit(struct ws_conn *c)
{
	char head[PEEK_MAX];
	char request[512];
	size_t left = c->request->request_peek_len;
	ssize_t n = left > 0 ? recv(c->fd, head, left, MSG_DONTWAIT) : 0;
	int len =
		snprintf(request, sizeof request,
			 "GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
			 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n%s\r\n",
			 c->request->key, c->request->subprotocol ? "Sec-WebSocket-Protocol: " PEEK_SUBPROTOCOL "\r\n" : "");
	if (n != (ssize_t)left) { /* the bytes were there before: the connection has failed */
		close(c->fd);
		ws_metrics_count(c->ws->metrics, (struct slice){"", 0}, WSM_UNOPENED, 1);
		ws_conn_destroy(c);
		return;
	}
	/* The handshake happens inside this call: the first callback for the new connection attaches it, and a later one
	 * may already have destroyed it when the call returns. */
	struct ws *w = c->ws;
	w->attaching = c;
	lws_adopt_socket_vhost_readbuf(w->vhost, c->fd, request, (size_t)len);
	if (w->attaching == c) { /* refused before any callback; the socket is closed */
		w->attaching = NULL;
		ws_metrics_count(w->metrics, (struct slice){"", 0}, WSM_UNOPENED, 1);
		ws_conn_destroy(c);
	}
}

/* Handles the events of its session, and a page that was loaded. */
static void on_wake(struct ws_conn *c, bool loaded, unsigned news)
{
	if ((news & SESSION_DELETED) != 0) {
		ws_hang_up(c, CLOSE_DELETED, "the session was deleted");
		return;
	}
	if ((news & SESSION_TAKEN) != 0) {
		ws_hang_up(c, CLOSE_TAKEN_OVER, "the session was taken over by another connection");
		return;
	}
	ws_reader_wake(c, loaded, (news & SESSION_MOVED) != 0);
}

static struct list *take_first(struct ws *w, struct list *inbox)
{
	pthread_mutex_lock(&w->lock);
	struct list *link = list_empty(inbox) ? NULL : inbox->next;
	if (link != NULL)
		list_remove(link);
	pthread_mutex_unlock(&w->lock);
	return link;
}

static void close_all(struct ws *w)
{
	w->closed = true;
	w->closed_ms = clock_mono_ms();
	uint64_t head = feed_head(w->options.feed);
	LIST_EACH (link, &w->all) {
		struct ws_conn *c = LIST_ITEM(link, struct ws_conn, in_all);
		uint64_t lag = ws_unsent_lag(c, head); /* it is sent nothing more from now on */
		atomic_fetch_add(&w->left, lag);
		atomic_fetch_add(&w->left_behind, lag > 0);
		ws_hang_up(c, LWS_CLOSE_STATUS_GOINGAWAY, "the server is shutting down");
	}
}

static void admit_some(struct ws *w)
{
	for (int i = 0; i < ADMIT_BATCH; i++) {
		struct list *link = take_first(w, &w->accepted);
		if (link == NULL)
			return;
		admit(LIST_ITEM(link, struct ws_conn, in_inbox));
	}
	lws_cancel_service(w->context); /* for the rest */
}

static void send_answers(struct ws_conn *c)
{
	ws_throttle(c);
	ws_pump_out(c);
	ws_progressed(c);
}

/* Consecutive tasks of one connection, as from one commit, are answered in one write. */
static void finish_tasks(struct ws *w)
{
	struct ws_conn *answered = NULL;
	struct list *link;
	while ((link = take_first(w, &w->done)) != NULL) {
		struct ws_task *task = LIST_ITEM(link, struct ws_task, in_inbox);
		if (answered != NULL && answered != task->conn)
			send_answers(answered);
		answered = task->conn;
		task->finish(task);
	}
	if (answered != NULL)
		send_answers(answered);
}

static void read_inbox(struct ws *w)
{
	struct list *link;
	admit_some(w);
	finish_tasks(w);
	while ((link = take_first(w, &w->ready)) != NULL) {
		struct ws_conn *c = LIST_ITEM(link, struct ws_conn, in_inbox);
		pthread_mutex_lock(&w->lock);
		unsigned news = c->news;
		bool loaded = c->loaded;
		c->news = 0;
		c->loaded = false;
		pthread_mutex_unlock(&w->lock);
		on_wake(c, loaded, news);
	}
	if (atomic_exchange(&w->reloaded, false))
		LIST_EACH (every, &w->all)
			ws_check_grant(LIST_ITEM(every, struct ws_conn, in_all));
	if (atomic_exchange(&w->committed, false)) {
		catchup_committed(w);
		subscriptions_dispatch(w->subscriptions, ws_reader_on_commit, w);
	}
	pthread_mutex_lock(&w->lock);
	bool closing = w->closing;
	pthread_mutex_unlock(&w->lock);
	if (closing && !w->closed)
		close_all(w);
}

/* Attaches `wsi` to the connection that is being handed over; NULL: it belongs to another. */
static struct ws_conn *attach(struct ws *w, struct lws *wsi)
{
	struct ws_conn *c = w->attaching;
	if (c == NULL || lws_get_socket_fd(wsi) != c->fd)
		return NULL;
	w->attaching = NULL;
	c->wsi = wsi;
	lws_set_opaque_user_data(wsi, c);
	return c;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	(void)user;
	struct ws *w = lws_context_user(lws_get_context(wsi));
	struct ws_conn *c = lws_get_opaque_user_data(wsi);
	if (reason == LWS_CALLBACK_EVENT_WAIT_CANCELLED) {
		w->wakes = true;
		read_inbox(w);
		return 0;
	}
	if (c == NULL)
		c = attach(w, wsi);
	if (c == NULL)
		return 0;
	switch (reason) {
	case LWS_CALLBACK_ESTABLISHED: return ws_open(c);
	case LWS_CALLBACK_RECEIVE: ws_receive(c, in, len); return 0;
	case LWS_CALLBACK_RECEIVE_PONG: ws_pong(c); return 0;
	case LWS_CALLBACK_SERVER_WRITEABLE: return on_writable(c);
	case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE: return ws_peer_closed(c, (struct slice){in, len});
	case LWS_CALLBACK_WS_SERVER_DROP_PROTOCOL: ws_ending(c); return 0;
	case LWS_CALLBACK_HTTP: return -1; /* only WebSockets get here */
	case LWS_CALLBACK_WSI_DESTROY:
		lws_set_opaque_user_data(wsi, NULL);
		ws_conn_destroy(c);
		return 0;
	default: return 0;
	}
}

/* Only with per-connection memory does libwebsockets call back when a connection ends. */
static const struct lws_protocols protocols[] = {
	{.name = PEEK_SUBPROTOCOL, .callback = on_event, .per_session_data_size = 1, .rx_buffer_size = 4096}, {0}};

static bool is_over(struct ws *w)
{
	if (!w->closed)
		return false;
	return list_empty(&w->all) || clock_mono_ms() - w->closed_ms > CLOSE_MAX_MS;
}

static void *work(void *arg)
{
	struct ws *w = arg;
	ws_begin_ticks(w);
	while (!is_over(w))
		ev_run(w->loop, EVRUN_ONCE);
	return NULL;
}

/* Without descriptors libwebsockets starts without the pipe that wakes it, and reports no error. */
static bool can_be_woken(struct ws *w)
{
	lws_cancel_service(w->context);
	ev_run(w->loop, EVRUN_NOWAIT);
	return w->wakes;
}

/* libwebsockets logs every connection that it is handed as an error. */
static void on_log(int level, const char *line)
{
	(void)level;
	char shown[LOG_TEXT_MAX];
	log_debug("websocket", "detail=%s", log_quote(shown, (struct slice){line, strcspn(line, "\n")}));
}

enum err ws_create(struct ws_options options, struct ws **out, struct fault *fault)
{
	*out = NULL;
	struct ws *w = calloc(1, sizeof *w);
	if (w == NULL)
		return fault_nomem(fault);
	w->options = options;
	pthread_mutex_init(&w->lock, NULL);
	list_init(&w->accepted);
	list_init(&w->ready);
	list_init(&w->done);
	list_init(&w->all);
	catchup_init(w, ws_serve);
	for (int i = 0; i < REPLY_QUEUES; i++)
		list_init(&w->reply_queues[i]);
	pulse_start(&w->pulse, clock_mono_ms());
	atomic_store(&w->tick_due_ms, clock_mono_ms() + WS_FIGURES_S * 1000);
	w->metrics = options.metrics != NULL ? options.metrics : ws_metrics_create(options.idle_ms);
	if (subscriptions_create(options.feed, &w->subscriptions) != ERR_NONE) {
		ws_destroy(w);
		return fault_nomem(fault);
	}
	lws_set_log_level(LLL_ERR | LLL_WARN, on_log);
	w->loop = ev_loop_new(EVBACKEND_EPOLL);
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN_SERVER,
		.protocols = protocols,
		.options = LWS_SERVER_OPTION_DISABLE_IPV6 | LWS_SERVER_OPTION_LIBEV,
		.foreign_loops = (void *[]){w->loop},
		.user = w,
		.gid = -1,
		.uid = -1,
		.vhost_name = "tidemark",
	};
	w->context = w->loop != NULL ? lws_create_context(&info) : NULL;
	w->vhost = w->context != NULL ? lws_get_vhost_by_name(w->context, "tidemark") : NULL;
	if (w->vhost != NULL && !can_be_woken(w)) {
		ws_destroy(w);
		return fault_set(fault, ERR_IO,
				 "cannot start the WebSocket server: there are too few file descriptors; raise the limit of "
				 "open files");
	}
	bool fine = w->metrics != NULL && w->vhost != NULL;
	if (!fine || thread_start(&w->thread, "websocket", work, w, fault) != ERR_NONE) {
		ws_destroy(w);
		return fault_set(fault, ERR_IO,
				 "cannot start the WebSocket server: is libwebsockets' plugin for libev installed?");
	}
	feed_listen(options.feed, on_commit, w);
	*out = w;
	return ERR_NONE;
}

void ws_close(struct ws *w)
{
	pthread_mutex_lock(&w->lock);
	w->closing = true;
	pthread_mutex_unlock(&w->lock);
	if (!w->thread.runs)
		return;
	lws_cancel_service(w->context);
	thread_join(&w->thread);
	w->thread.runs = false;
}

void ws_destroy(struct ws *w)
{
	if (w == NULL)
		return;
	if (w->context != NULL)
		lws_context_destroy(w->context);
	if (w->loop != NULL)
		ev_loop_destroy(w->loop);
	LIST_EACH (link, &w->done) {
		struct ws_task *task = LIST_ITEM(link, struct ws_task, in_inbox);
		task->finish(task);
	}
	LIST_EACH (link, &w->accepted) {
		struct ws_conn *c = LIST_ITEM(link, struct ws_conn, in_inbox);
		close(c->fd);
		ws_conn_destroy(c);
	}
	if (w->metrics != w->options.metrics)
		ws_metrics_destroy(w->metrics);
	subscriptions_destroy(w->subscriptions);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

void ws_count_unopened(void *ws)
{
	ws_metrics_count(ws_figures_of(ws), (struct slice){"", 0}, WSM_UNOPENED, 1);
}

void ws_recheck(struct ws *w)
{
	atomic_store(&w->reloaded, true);
	lws_cancel_service(w->context);
}

void ws_read(struct ws *w, struct ws_figures *out)
{
	int64_t overdue = clock_mono_ms() - atomic_load(&w->tick_due_ms);
	uint64_t late = overdue > 0 ? (uint64_t)overdue : 0; /* a loop that hangs does not update loop_lag_ms itself */
	uint64_t lag = atomic_load(&w->loop_lag_ms);
	*out = (struct ws_figures){
		.connections = atomic_load(&w->connections),
		.delivered = atomic_load(&w->delivered),
		.lag_max = atomic_load(&w->lag_max),
		.lag_sum = atomic_load(&w->lag_sum),
		.left = atomic_load(&w->left),
		.left_behind = atomic_load(&w->left_behind),
		.loop_lag_ms = lag > late ? lag : late,
	};
}

struct ws_metrics *ws_figures_of(const struct ws *w)
{
	return w->metrics;
}
