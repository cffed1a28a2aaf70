#include "net/ws.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/url.h"
#include "net/ws_conn.h"

enum {
	KEY_LEN = 24,
	HEAD_MAX = 8 * 1024,
	TICK_US = 1000 * 1000,
	SAVE_MAX_MS = 500,
	CLOSE_MAX_MS = 4000, /* for all peers to take their close frames */
	CLOSE_TAKEN_OVER = 4409,
};

struct ws_request {
	size_t head_len; /* bytes of the request in the socket */
	char key[KEY_LEN + 1];
	struct url url;
	struct query query;
};

enum err ws_request_create(const struct head *head, const char *epoch, struct ws_request **out, struct fault *fault)
{
	*out = NULL;
	struct ws_request *r = calloc(1, sizeof *r);
	if (r == NULL)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	enum err err = ERR_NONE;
	r->head_len = head->len;
	snprintf(r->key, sizeof r->key, "%.*s", (int)head->key.len, head->key.p);
	if (url_parse(&r->url, head->target) != URL_FINE)
		err = fault_set(fault, ERR_INVALID, "the URL is broken");
	else if (!slice_is(r->url.path, "/v1/ws"))
		err = fault_set(fault, ERR_NOT_FOUND, "there is no WebSocket at this path");
	else
		err = query_parse(&r->url, WS_QUERY, epoch, &r->query, fault);
	if (err) {
		ws_request_destroy(r);
		return err;
	}
	*out = r;
	return ERR_NONE;
}

void ws_request_destroy(struct ws_request *r)
{
	if (r == NULL)
		return;
	query_finish(&r->query);
	url_finish(&r->url);
	free(r);
}

/* --- the inbox: what other threads leave here --- */

static void on_commit(void *arg)
{
	struct ws *w = arg;
	if (!atomic_exchange(&w->committed, true))
		lws_cancel_service(w->context);
}

static void on_loaded(void *arg)
{
	struct ws_conn *c = arg;
	ws_wake(c->ws, &c->ws->ready, &c->in_inbox);
}

static void on_session_lost(void *holder, const char *why)
{
	struct ws_conn *c = holder;
	pthread_mutex_lock(&c->ws->lock);
	c->lost = true;
	c->lost_why = why;
	pthread_mutex_unlock(&c->ws->lock);
	ws_wake(c->ws, &c->ws->ready, &c->in_inbox);
}

void ws_add_take(struct ws *w, int fd, struct ws_request *request)
{
	struct ws_conn *c = calloc(1, sizeof *c);
	if (c == NULL) {
		close(fd);
		ws_request_destroy(request);
		w->options.on_close(w->options.on_close_arg);
		return;
	}
	c->ws = w;
	c->fd = fd;
	c->request = request;
	list_init(&c->in_all);
	list_init(&c->in_live);
	list_init(&c->in_inbox);
	list_init(&c->publishes);
	ws_wake(w, &w->arrived, &c->in_inbox);
}

/* --- receiving --- */

/* A sign of life. */
static void hear(struct ws_conn *c)
{
	c->heard_ms = clock_mono_ms();
	c->pinged_ms = 0;
}

static void drop_message(struct ws_conn *c)
{
	c->ws->messages -= c->in.cap;
	buf_finish(&c->in);
}

static void take_fragment(struct ws_conn *c, const void *bytes, size_t len)
{
	struct ws *w = c->ws;
	if (lws_frame_is_binary(c->wsi))
		c->refusal = 400;
	else if (c->in.len + len > w->options.message_max)
		c->refusal = 413;
	if (c->refusal == 0) {
		size_t before = c->in.cap;
		buf_add(&c->in, bytes, len);
		w->messages += c->in.cap - before;
		if (buf_failed(&c->in) || w->messages > w->options.messages_max)
			c->refusal = 503;
	}
	if (c->refusal != 0)
		drop_message(c);
}

static void refuse_message(struct ws_conn *c)
{
	struct fault fault;
	if (c->refusal == 400)
		fault_set(&fault, ERR_INVALID, "messages are text frames, not binary");
	else if (c->refusal == 413)
		fault_set(&fault, ERR_TOO_LARGE, "the message is larger than %zu bytes (see --max-request)",
			  c->ws->options.message_max);
	else
		fault_set(&fault, ERR_BUSY, "too many messages are on their way in");
	ws_error(c, c->refusal, &fault, (struct slice){"", 0});
	c->refusal = 0;
}

static void on_receive(struct ws_conn *c, const void *bytes, size_t len)
{
	hear(c);
	if (c->close_code != 0)
		return;
	if (c->refusal == 0)
		take_fragment(c, bytes, len);
	if (lws_remaining_packet_payload(c->wsi) > 0 || !lws_is_final_fragment(c->wsi))
		return;
	c->ws->messages -= c->in.cap; /* a publish takes it over */
	if (c->refusal != 0)
		refuse_message(c);
	else
		ws_message(c);
	buf_finish(&c->in);
	ws_throttle(c);
	ws_pump_out(c);
}

/* --- the life of a connection --- */

static void say_hello(struct ws_conn *c)
{
	struct ws *w = c->ws;
	struct buf text;
	buf_init(&text);
	buf_printf(&text, "{\"op\":\"hello\",\"epoch\":\"%s\",\"first\":%llu,\"head\":%llu,\"after\":%llu,\"session\":",
		   store_epoch(feed_store(w->options.feed)), (unsigned long long)feed_first(w->options.feed),
		   (unsigned long long)feed_head(w->options.feed), (unsigned long long)cursor_after(c->cursor));
	if (c->session != NULL)
		buf_json(&text, ws_session(c));
	else
		buf_adds(&text, "null");
	buf_addc(&text, '}');
	ws_say(c, &text);
	buf_finish(&text);
}

/* Where to start: what was asked for, else after what the session acknowledged, else at the head. */
static enum err take_session(struct ws_conn *c, struct position *start)
{
	struct ws *w = c->ws;
	const struct query *q = &c->request->query;
	*start = q->start;
	if (!q->has_after && !q->start.foreign)
		start->from_head = true;
	if (q->session.len == 0)
		return ERR_NONE;
	struct session_state state;
	uint64_t after;
	struct gap gap;
	position_resolve(w->options.feed, *start, &after, &gap);
	c->session = strndup(q->session.p, q->session.len);
	if (c->session == NULL)
		return ERR_NOMEM;
	enum err err = sessions_attach(w->options.sessions, q->session, c, on_session_lost, after, &state);
	if (err)
		return err;
	writer_poke(w->options.writer);
	if (!q->has_after && !q->start.foreign)
		*start = (struct position){.after = state.acked};
	return ERR_NONE;
}

static int on_open(struct ws_conn *c)
{
	struct ws *w = c->ws;
	struct position start;
	struct query *q = &c->request->query;
	enum err err = take_session(c, &start);
	struct selection *select = err ? NULL : history_select_take(feed_store(w->options.feed), q->filter);
	q->filter = err ? q->filter : NULL;
	if (!err)
		err = select == NULL ? ERR_NOMEM
				     : cursor_create(w->options.feed, start, 0, select, WIRE_WS, on_loaded, c, &c->cursor);
	if (err) {
		lws_close_reason(c->wsi, LWS_CLOSE_STATUS_UNEXPECTED_CONDITION, NULL, 0);
		return -1;
	}
	c->pace.speed = q->speed;
	ws_request_destroy(c->request);
	c->request = NULL;
	hear(c);
	list_append(&w->all, &c->in_all);
	atomic_fetch_add(&w->connections, 1);
	say_hello(c);
	ws_pump(c);
	if (w->closed)
		ws_hang_up(c, LWS_CLOSE_STATUS_GOINGAWAY, "the server is shutting down");
	return 0;
}

static void conn_destroy(struct ws_conn *c)
{
	struct ws *w = c->ws;
	lws_sul_schedule(w->context, 0, &c->timer, NULL, LWS_SET_TIMER_USEC_CANCEL);
	if (c->session != NULL)
		sessions_detach(w->options.sessions, ws_session(c), c);
	cursor_destroy(c->cursor);
	ws_forget_publishes(c);
	pthread_mutex_lock(&w->lock);
	list_remove(&c->in_inbox); /* nobody puts it there any more */
	pthread_mutex_unlock(&w->lock);
	if (!list_empty(&c->in_all))
		atomic_fetch_sub(&w->connections, 1);
	list_remove(&c->in_all);
	list_remove(&c->in_live);
	drop_message(c);
	buf_finish(&c->out);
	ws_request_destroy(c->request);
	free(c->session);
	free(c);
	w->options.on_close(w->options.on_close_arg);
}

/* At a clean close the acknowledgements are durable before the peer's close is answered. libwebsockets answers as soon
 * as this returns, so this is the one place that waits for the disk on this thread: for the commit under way, and only
 * where something is not saved yet (docs/decisions/0006-clean-close.md). */
static void save_session(struct ws_conn *c)
{
	if (c->session != NULL && !sessions_saved(c->ws->options.sessions, ws_session(c)))
		writer_wait(c->ws->options.writer, SAVE_MAX_MS);
}

static int on_writable(struct ws_conn *c)
{
	if (c->close_code == 0) {
		ws_pump(c);
		return 0;
	}
	if (c->out.len > 0 && c->close_code != CLOSE_WITHOUT_WORD && !lws_partial_buffered(c->wsi))
		ws_send_out(c);
	const char *why = c->close_why != NULL ? c->close_why : "";
	if (c->close_code != CLOSE_WITHOUT_WORD)
		lws_close_reason(c->wsi, (enum lws_close_status)c->close_code, (unsigned char *)why, strlen(why));
	return -1;
}

/* --- the thread --- */

/* libwebsockets gets a request of ours in place of the client's, which is taken out of the socket: it has narrow limits
 * for URLs and headers, and everything in them that matters has been read. Neither a subprotocol nor an extension is
 * offered on, so that none is agreed. */
static void admit(struct ws_conn *c)
{
	char head[HEAD_MAX];
	char request[512];
	ssize_t n = recv(c->fd, head, c->request->head_len, MSG_DONTWAIT);
	int len = snprintf(request, sizeof request,
			   "GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
			   "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n",
			   c->request->key);
	if (n != (ssize_t)c->request->head_len) { /* it was there a moment ago: the connection has broken */
		close(c->fd);
		conn_destroy(c);
		return;
	}
	/* The handshake happens within: the first callback for the new connection attaches it. */
	c->ws->arriving = c;
	lws_adopt_socket_vhost_readbuf(c->ws->vhost, c->fd, request, (size_t)len);
	if (c->ws->arriving == c) { /* refused before any callback; the socket is closed */
		c->ws->arriving = NULL;
		conn_destroy(c);
	}
}

static void go_on(struct ws_conn *c, bool lost, const char *why)
{
	if (lost)
		ws_hang_up(c, CLOSE_TAKEN_OVER, why);
	else if (c->wait == WAIT_LOAD)
		ws_pump(c);
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
	LIST_EACH (link, &w->all)
		ws_hang_up(LIST_ITEM(link, struct ws_conn, in_all), LWS_CLOSE_STATUS_GOINGAWAY,
			   "the server is shutting down");
}

static void read_inbox(struct ws *w)
{
	struct list *link;
	while ((link = take_first(w, &w->arrived)) != NULL)
		admit(LIST_ITEM(link, struct ws_conn, in_inbox));
	while ((link = take_first(w, &w->answered)) != NULL) {
		struct ws_publish *p = LIST_ITEM(link, struct ws_publish, in_inbox);
		struct ws_conn *c = p->conn;
		ws_answer(p);
		if (c != NULL)
			ws_pump_out(c);
	}
	while ((link = take_first(w, &w->ready)) != NULL) {
		struct ws_conn *c = LIST_ITEM(link, struct ws_conn, in_inbox);
		pthread_mutex_lock(&w->lock);
		bool lost = c->lost;
		const char *why = c->lost_why;
		pthread_mutex_unlock(&w->lock);
		go_on(c, lost, why);
	}
	if (atomic_exchange(&w->committed, false)) {
		struct list waiting;
		list_init(&waiting);
		list_move_all(&waiting, &w->live);
		while (!list_empty(&waiting)) {
			struct ws_conn *c = LIST_ITEM(waiting.next, struct ws_conn, in_live);
			list_remove(&c->in_live);
			ws_pump(c);
		}
	}
	pthread_mutex_lock(&w->lock);
	bool closing = w->closing;
	pthread_mutex_unlock(&w->lock);
	if (closing && !w->closed)
		close_all(w);
}

/* Pings who is idle, closes who does not answer. Who is behind with reading cannot answer: the ping would be waiting
 * behind the events. */
static void check_peer(struct ws_conn *c, int64_t now)
{
	if (c->wait == WAIT_SOCKET || c->close_code != 0 || lws_partial_buffered(c->wsi)) {
		hear(c);
		return;
	}
	int64_t ping_ms = c->ws->options.ping_ms;
	if (c->pinged_ms != 0 && now - c->pinged_ms >= ping_ms) {
		ws_hang_up(c, CLOSE_WITHOUT_WORD, NULL);
	} else if (c->pinged_ms == 0 && now - c->heard_ms >= ping_ms) {
		/* Not empty: libwebsockets does not tell of an empty pong. */
		unsigned char frame[LWS_PRE + sizeof now];
		memcpy(frame + LWS_PRE, &now, sizeof now);
		c->pinged_ms = now;
		lws_write(c->wsi, frame + LWS_PRE, sizeof now, LWS_WRITE_PING);
	}
}

static void on_tick(lws_sorted_usec_list_t *tick);

/* Often enough for short ping intervals, too. */
static void schedule_tick(struct ws *w)
{
	int64_t us = w->options.ping_ms * 1000 / 4;
	lws_sul_schedule(w->context, 0, &w->tick, on_tick, us < TICK_US ? us : TICK_US);
}

static void on_tick(lws_sorted_usec_list_t *tick)
{
	struct ws *w = lws_container_of(tick, struct ws, tick);
	int64_t now = clock_mono_ms();
	uint64_t head = feed_head(w->options.feed);
	uint64_t lag_max = 0;
	LIST_EACH (link, &w->all) {
		struct ws_conn *c = LIST_ITEM(link, struct ws_conn, in_all);
		uint64_t lag = ws_lag(c, head);
		lag_max = lag > lag_max ? lag : lag_max;
		if (!ws_lags_too_far(c, head))
			check_peer(c, now);
	}
	atomic_store(&w->lag_max, lag_max);
	schedule_tick(w);
}

/* The connection that is being admitted, if `wsi` is it. */
static struct ws_conn *attach(struct ws *w, struct lws *wsi)
{
	struct ws_conn *c = w->arriving;
	if (c == NULL || lws_get_socket_fd(wsi) != c->fd)
		return NULL;
	w->arriving = NULL;
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
		read_inbox(w);
		return 0;
	}
	if (c == NULL)
		c = attach(w, wsi);
	if (c == NULL)
		return 0;
	switch (reason) {
	case LWS_CALLBACK_ESTABLISHED: return on_open(c);
	case LWS_CALLBACK_RECEIVE: on_receive(c, in, len); return 0;
	case LWS_CALLBACK_RECEIVE_PONG: hear(c); return 0;
	case LWS_CALLBACK_SERVER_WRITEABLE: return on_writable(c);
	case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE: save_session(c); return 0;
	case LWS_CALLBACK_HTTP: return -1; /* the door lets only WebSockets in */
	case LWS_CALLBACK_WSI_DESTROY:
		lws_set_opaque_user_data(wsi, NULL);
		conn_destroy(c);
		return 0;
	default: return 0;
	}
}

static const struct lws_protocols protocols[] = {{.name = "tidemark", .callback = on_event, .rx_buffer_size = 4096}, {0}};

static bool is_over(struct ws *w)
{
	if (!w->closed)
		return false;
	return list_empty(&w->all) || clock_mono_ms() - w->closed_ms > CLOSE_MAX_MS;
}

static void *work(void *arg)
{
	struct ws *w = arg;
	schedule_tick(w);
	while (!is_over(w) && lws_service(w->context, 0) >= 0)
		;
	return NULL;
}

/* What libwebsockets calls an error is, among others, every connection that it is handed. */
static void on_log(int level, const char *line)
{
	(void)level;
	log_debug("websocket", "detail=\"%.*s\"", (int)strcspn(line, "\n"), line);
}

enum err ws_create(struct ws_options options, struct ws **out, struct fault *fault)
{
	*out = NULL;
	struct ws *w = calloc(1, sizeof *w);
	if (w == NULL)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	w->options = options;
	pthread_mutex_init(&w->lock, NULL);
	list_init(&w->arrived);
	list_init(&w->ready);
	list_init(&w->answered);
	list_init(&w->all);
	list_init(&w->live);
	lws_set_log_level(LLL_ERR | LLL_WARN, on_log);
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN_SERVER,
		.protocols = protocols,
		.options = LWS_SERVER_OPTION_DISABLE_IPV6,
		.user = w,
		.gid = -1,
		.uid = -1,
		.vhost_name = "tidemark",
	};
	w->context = lws_create_context(&info);
	w->vhost = w->context != NULL ? lws_get_vhost_by_name(w->context, "tidemark") : NULL;
	if (w->vhost == NULL || pthread_create(&w->thread, NULL, work, w) != 0) {
		ws_destroy(w);
		return fault_set(fault, ERR_IO, "cannot start the WebSocket server");
	}
	w->running = true;
	feed_listen(options.feed, on_commit, w);
	*out = w;
	return ERR_NONE;
}

void ws_close(struct ws *w)
{
	pthread_mutex_lock(&w->lock);
	w->closing = true;
	pthread_mutex_unlock(&w->lock);
	if (!w->running)
		return;
	lws_cancel_service(w->context);
	pthread_join(w->thread, NULL);
	w->running = false;
}

void ws_destroy(struct ws *w)
{
	if (w == NULL)
		return;
	if (w->context != NULL)
		lws_context_destroy(w->context);
	LIST_EACH (link, &w->answered)
		ws_answer(LIST_ITEM(link, struct ws_publish, in_inbox));
	LIST_EACH (link, &w->arrived) {
		struct ws_conn *c = LIST_ITEM(link, struct ws_conn, in_inbox);
		close(c->fd);
		conn_destroy(c);
	}
	pthread_mutex_destroy(&w->lock);
	free(w);
}

void ws_read(struct ws *w, struct ws_figures *out)
{
	*out = (struct ws_figures){atomic_load(&w->connections), atomic_load(&w->delivered), atomic_load(&w->lag_max)};
}
