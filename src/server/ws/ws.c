#include "server/ws/ws.h"

#include <assert.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/system/clock.h"
#include "base/system/log.h"
#include "base/url.h"
#include "event/where.h"
#include "profiles/monitoring/ws/ws_query.h"
#include "server/http/http_conn.h"
#include "server/message/close_frame.h"
#include "server/message/problem.h"
#include "server/ws/catchup_scheduler.h"
#include "server/ws/reply_budget.h"
#include "server/ws/ws_replay.h"

enum {
	KEY_LEN = 24,
	PEEK_MAX = 8 * 1024,
	CLOSE_MAX_MS = 4000,   /* for all peers to take their close frames */
	ADMITTED_AT_ONCE = 32, /* newcomers at a turn of the loop: those who are in wait for no more of them */
	FIN_CLOSE = 0x88,      /* the first byte of a Close frame */
	CLOSE_PAYLOAD_MAX = 125,
	THROWN_MAX = 64 * 1024 * 1024, /* of a message that is refused, before the connection is closed */
	CLOSE_REVOKED = 4401,
	CLOSE_TRY_AGAIN = 1013,
	CLOSE_DELETED = 4404,
	CLOSE_TAKEN_OVER = 4409,
};

struct ws_request {
	const struct ws_profile *profile;
	size_t request_peek_len; /* bytes of the request in the socket */
	char key[KEY_LEN + 1];
	bool subprotocol; /* is agreed */
	struct url url;
	struct reader_query query;
	struct grant grant;
	uint64_t peer;
	struct ws_places places; /* see ws_reserve */
	struct ws_conn *conn;    /* made beforehand, so that nothing can fail once the socket is taken */
};

/* Dashboards see the services, and nothing else: other streams have no flat shape. */
static enum err choose_services(const struct url *u, struct reader_query *q, struct fault *fault)
{
	bool any = false;
	for (size_t i = 0; i < u->param_count; i++) {
		bool stream = slice_is(u->params[i].name, "stream");
		if (stream && service_find(u->params[i].value) == SERVICE_NONE)
			return fault_set(fault, ERR_INVALID,
					 "stream: /ws shows websocket, redis, supabase, kimi, glm and test_event; other "
					 "streams are read at /v1/ws");
		any = any || stream;
	}
	bool fine = true;
	for (int i = 0; fine && !any && i <= SERVICE_TEST; i++)
		fine = filter_add_stream(q->filter, slice_of(service_name((enum service)i))) == ERR_NONE;
	return fine ? ERR_NONE : fault_set(fault, ERR_NOMEM, "out of memory");
}

enum err ws_query_parse(const struct url *u, const struct grant *g, struct reader_query *q, struct fault *fault)
{
	const struct ws_profile *profile = ws_profile_find(u->path);
	enum err err = reader_query_parse(u, profile->query, q, fault);
	if (!err && profile->form == ENCODING_FLAT && (err = choose_services(u, q, fault)) != ERR_NONE)
		reader_query_finish(q);
	return err ? err : reader_query_narrow(q, u, g, fault);
}

/* Past the gate, as any other request. */
static enum err pass(struct ws_request *r, const struct request_guard *guard, struct guard_input *visit, struct fault *fault)
{
	if (url_take(&r->url, "access_token", &visit->access_token) > 1)
		return fault_set(fault, ERR_INVALID, "access_token: given twice");
	if (r->url.authority.p != NULL)
		visit->host = r->url.authority;
	visit->path = r->url.path;
	visit->permission = r->profile->permission;
	r->peer = visit->peer;
	bool fine = request_guard_host(guard, visit, fault) == 0 && request_guard_pass(guard, visit, &r->grant, fault) == 0;
	return fine ? ERR_NONE : ERR_DENIED;
}

/* What is left to do once it has passed the gate. Takes the request where it fails. */
static enum err complete(struct ws_request *r, const struct request_peek *head, struct ws_request **out, struct fault *fault)
{
	r->request_peek_len = head->len;
	r->subprotocol = head->protocol_v1;
	snprintf(r->key, sizeof r->key, "%.*s", (int)head->key.len, head->key.p);
	enum err err = ws_query_parse(&r->url, &r->grant, &r->query, fault);
	if (!err && (r->conn = calloc(1, sizeof *r->conn)) == NULL)
		err = fault_set(fault, ERR_NOMEM, "out of memory");
	if (err)
		ws_request_destroy(r);
	else
		*out = r;
	return err;
}

enum err ws_request_create(const struct request_peek *head, const struct request_guard *guard, struct guard_input *visit,
			   struct ws_request **out, struct fault *fault)
{
	*out = NULL;
	struct ws_request *r = calloc(1, sizeof *r);
	if (r == NULL)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	enum err err = ERR_NONE;
	enum url_result url = url_parse(&r->url, head->target);
	if (url == URL_NO_MEMORY)
		err = fault_set(fault, ERR_NOMEM, "out of memory");
	else if (url != URL_FINE)
		err = fault_set(fault, ERR_INVALID, "the URL is broken");
	else if ((r->profile = ws_profile_find(r->url.path = request_guard_path(guard, r->url.path))) == NULL)
		err = fault_set(fault, ERR_NOT_FOUND, "there is no WebSocket at this path");
	else
		err = pass(r, guard, visit, fault);
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
		return fault_set(fault, ERR_NOMEM, "out of memory");
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
	struct ws_places *p = &r->places;
	p->request = p->stay = p->conditions = none;
	enum err err = quota_hold(&p->request, QUOTA_REQUESTS, 1, fault);
	if (!err)
		err = quota_hold(&p->stay, QUOTA_LONG_REQUESTS, 1, fault);
	return err ? err : quota_hold(&p->conditions, QUOTA_CONDITIONS, where_count(filter_where(r->query.filter)), fault);
}

static void give_places(struct ws_places *p)
{
	quota_hold(&p->conditions, QUOTA_CONDITIONS, 0, NULL);
	quota_hold(&p->stay, QUOTA_LONG_REQUESTS, 0, NULL);
	quota_hold(&p->request, QUOTA_REQUESTS, 0, NULL);
}

void ws_request_destroy(struct ws_request *r)
{
	if (r == NULL)
		return;
	give_places(&r->places);
	reader_query_finish(&r->query);
	grant_drop(&r->grant);
	url_finish(&r->url);
	free(r->conn);
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
	pthread_mutex_lock(&c->ws->lock);
	c->loaded = true;
	pthread_mutex_unlock(&c->ws->lock);
	ws_wake(c->ws, &c->ws->ready, &c->in_inbox);
}

static void on_session_news(struct session_reader *r, enum session_news news)
{
	struct ws_conn *c = LIST_ITEM(r, struct ws_conn, reader);
	pthread_mutex_lock(&c->ws->lock);
	c->news |= news;
	pthread_mutex_unlock(&c->ws->lock);
	ws_wake(c->ws, &c->ws->ready, &c->in_inbox);
}

void ws_add_take(struct ws *w, int fd, struct ws_request *request, uint64_t entered)
{
	struct ws_conn *c = request->conn;
	request->conn = NULL;
	c->ws = w;
	c->fd = fd;
	c->request = request;
	list_init(&c->in_all);
	list_init(&c->in_line);
	subscription_init(&c->subscription);
	list_init(&c->in_inbox);
	list_init(&c->tasks);
	list_init(&c->errands);
	c->reader.on_news = on_session_news;
	c->profile = request->profile;
	c->peer = request->peer;
	c->entered = entered;
	c->grant = request->grant;
	request->grant = (struct grant){0};
	c->client = grant_client(&c->grant, c->peer);
	c->places = request->places;
	request->places = (struct ws_places){0};
	c->upload = (struct quota_hold){.quotas = w->options.quotas, .client = c->client};
	acks_init(&c->acks, w->options.quotas, c->client);
	ws_init_pace(c);
	c->number = atomic_fetch_add(&w->incoming, 1) + 1;
	ws_wake(w, &w->arrived, &c->in_inbox);
}

/* --- receiving --- */

static void drop_message(struct ws_conn *c)
{
	buf_finish(&c->in);
	quota_hold_upload(&c->upload, 0, NULL);
}

/* Who may not publish has little to say. */
static size_t message_max(const struct ws_conn *c)
{
	size_t max = c->ws->options.message_max;
	return max > QUOTA_SMALL_UPLOAD && !grant_may(&c->grant, PERMISSION_PUBLISH) ? QUOTA_SMALL_UPLOAD : max;
}

/* `left`: bytes of its frame that are still to come. */
static enum err take_fragment(struct ws_conn *c, const void *bytes, size_t len, size_t left, struct fault *fault)
{
	size_t max = message_max(c);
	if (lws_frame_is_binary(c->wsi))
		return fault_set(fault, ERR_INVALID, "messages are text frames, not binary");
	if (left > max || c->in.len + len > max - left)
		return fault_set(fault, ERR_TOO_LARGE, "the message is larger than %zu bytes (see --max-request)", max);
	buf_add(&c->in, bytes, len);
	if (buf_failed(&c->in))
		return fault_set(fault, ERR_NOMEM, "out of memory");
	return quota_hold_upload(&c->upload, c->in.cap, fault);
}

/* The rest of a message that is refused is thrown away, unless that is too much to wait for. */
static void throw_away(struct ws_conn *c, size_t len, size_t left)
{
	c->thrown += len;
	if (left > THROWN_MAX || c->thrown > THROWN_MAX - left)
		ws_hang_up(c, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, "the message is too large");
}

static void refuse_message(struct ws_conn *c, const struct fault *fault)
{
	c->refused = true;
	drop_message(c);
	c->profile->error(c, problem_status(fault->code), fault);
}

static void end_message(struct ws_conn *c)
{
	c->begun_ms = 0;
	c->begun_len = 0;
	quota_hold_upload(&c->upload, 0, NULL); /* a publish takes it over */
	if (!c->refused)
		c->profile->message(c);
	c->refused = false;
	c->thrown = 0;
	buf_finish(&c->in);
	ws_throttle(c);
}

static void on_receive(struct ws_conn *c, const void *bytes, size_t len)
{
	ws_hear(c);
	c->spoke_ms = c->heard_ms;
	if (c->close_code != 0 || c->peer_closed)
		return;
	c->begun_ms = c->begun_ms != 0 ? c->begun_ms : c->heard_ms;
	c->begun_len += len;
	if (c->begun_len >= HTTP_CONN_PROGRESS) {
		c->begun_ms = c->heard_ms;
		c->begun_len = 0;
	}
	struct fault fault;
	size_t left = lws_remaining_packet_payload(c->wsi);
	bool first = !c->refused && take_fragment(c, bytes, len, left, &fault) != ERR_NONE;
	if (first)
		refuse_message(c, &fault);
	if (c->refused)
		throw_away(c, len, left);
	bool ends = left == 0 && lws_is_final_fragment(c->wsi);
	if (ends)
		end_message(c);
	if (first || ends)
		ws_pump_out(c);
}

/* --- the life of a connection --- */

/* A named session that was known already has come back. */
static void note_return(struct ws_conn *c)
{
	c->pulse.reconnections++;
	c->ws->pulse.reconnections++;
	ws_metrics_count(c->ws->metrics, ws_session(c), WSM_RECONNECT, 1);
}

/* Where to start, and whose session it is. */
static enum err take_session(struct ws_conn *c, struct position *start, struct fault *fault)
{
	struct ws *w = c->ws;
	const struct reader_query *q = &c->request->query;
	struct reader_start reading = {w->options.feed, w->options.sessions, w->options.writer, c->client};
	enum err err = reader_start_begin(&reading, q, &c->reader, start, &c->resumed, fault);
	if (!err && c->resumed)
		note_return(c);
	return err;
}

/* The services among the streams that a dashboard asked for; a set of test events alone is no service. */
static unsigned services_of(const struct url *u)
{
	unsigned services = 0;
	for (size_t i = 0; i < u->param_count; i++)
		if (slice_is(u->params[i].name, "stream"))
			services |= 1u << service_find(u->params[i].value);
	return services;
}

static enum err make_cursor(struct ws_conn *c, struct fault *fault)
{
	struct ws *w = c->ws;
	c->services = services_of(&c->request->url);
	struct position start;
	struct reader_query *q = &c->request->query;
	enum err err = take_session(c, &start, fault);
	if (err)
		return err;
	struct selection *select = history_select_take(feed_store(w->options.feed), q->filter);
	q->filter = NULL;
	if (select != NULL)
		err = cursor_create(w->options.feed, start, 0, select, c->profile->form, on_loaded, c, &c->cursor);
	if (select != NULL && !err && q->max_age_ms > 0)
		cursor_set_max_age(c->cursor, q->max_age_ms, q->older);
	return select == NULL || err ? fault_set(fault, ERR_NOMEM, "out of memory") : ERR_NONE;
}

static void check_grant(struct ws_conn *c)
{
	if (!access_holds(&c->grant))
		ws_hang_up(c, CLOSE_REVOKED, "the token was revoked");
}

/* The reader has its position: the hello follows. */
static void begin(struct ws_conn *c)
{
	struct fault fault;
	enum err err = c->profile->reads ? make_cursor(c, &fault) : ERR_NONE;
	if (err) {
		ws_metrics_count(c->ws->metrics, ws_session(c), WSM_UNOPENED, 1);
		log_warn("a WebSocket reader cannot begin", "error=%s", log_text(fault.text));
		bool full = err == ERR_BUSY || err == ERR_RATE;
		ws_hang_up(c, full ? CLOSE_TRY_AGAIN : LWS_CLOSE_STATUS_UNEXPECTED_CONDITION,
			   full ? "too many sessions, or their filters are too long" : "out of memory");
		return;
	}
	c->speed.speed = c->request->query.speed;
	ws_request_destroy(c->request);
	c->request = NULL;
	c->busy = false;
	c->profile->open(c);
	ws_throttle(c);
	ws_pump(c);
}

/* A time that is being looked for in the log, on a thread of the pool. */
struct since {
	struct ws_task task;
	struct pool_job job;
	struct reader_query *query; /* the request's, which waits for this */
	struct reader_query found;  /* a copy: the connection may go meanwhile */
	enum err err;
	struct fault fault;
};

static void run_since(struct pool_job *job, struct reader *reader)
{
	struct since *s = LIST_ITEM(job, struct since, job);
	s->err = reader_start_apply_times(reader, &s->found, &s->fault);
	ws_task_done(&s->task);
}

static void on_since(struct ws_task *task)
{
	struct since *s = LIST_ITEM(task, struct since, task);
	struct ws_conn *c = task->conn;
	ws_task_end(task);
	if (c != NULL && s->err) {
		c->profile->error(c, problem_status(s->err), &s->fault);
		ws_hang_up(c, LWS_CLOSE_STATUS_UNEXPECTED_CONDITION, "the log cannot be read");
	} else if (c != NULL && c->close_code == 0) {
		c->request->query = s->found;
		begin(c);
	}
	free(s);
}

/* Times are found in the log, which may take a while: until then nothing is sent, and nothing is read. */
static void begin_since(struct ws_conn *c)
{
	struct since *s = calloc(1, sizeof *s);
	if (s == NULL) {
		ws_hang_up(c, LWS_CLOSE_STATUS_UNEXPECTED_CONDITION, "out of memory");
		return;
	}
	s->found = c->request->query;
	s->job.run = run_since;
	s->job.client = c->client;
	c->busy = true;
	ws_throttle(c);
	ws_task_begin(c, &s->task, on_since);
	pool_submit(c->ws->options.pool, &s->job);
}

static int on_open(struct ws_conn *c)
{
	struct ws *w = c->ws;
	pulse_start(&c->pulse, clock_mono_ms());
	ws_hear(c);
	c->spoke_ms = c->heard_ms;
	struct slice session = c->request->query.session;
	c->session = session.len > 0 ? strndup(session.p, session.len) : NULL;
	list_append(&w->all, &c->in_all);
	atomic_fetch_add(&w->connections, 1);
	atomic_fetch_add(&w->dashboards, c->profile == &ws_dashboard);
	ws_metrics_count(w->metrics, ws_session(c), WSM_TOTAL, 1);
	ws_metrics_enter(w->metrics, ws_session(c));
	if (session.len > 0 && c->session == NULL)
		ws_hang_up(c, LWS_CLOSE_STATUS_UNEXPECTED_CONDITION, "out of memory");
	else if (c->profile->reads && reader_start_has_times(&c->request->query))
		begin_since(c);
	else
		begin(c);
	check_grant(c); /* a reload since the request passed the gate */
	if (w->closed)
		ws_hang_up(c, LWS_CLOSE_STATUS_GOINGAWAY, "the server is shutting down");
	return 0;
}

/* The connection goes: what is on its way is answered to nobody. */
static void forget(struct ws_task *task)
{
	list_remove(&task->in_conn);
	task->conn = NULL;
	if (!task->away)
		task->finish(task);
}

/* Something is on its way to the peer, or would be if the socket had room. */
static bool owes(const struct ws_conn *c)
{
	return c->retrying || c->wait == WAIT_SOCKET || c->out.len > 0 || c->share > 0 || !acks_empty(&c->acks);
}

static void conn_destroy(struct ws_conn *c)
{
	struct ws *w = c->ws;
	if (owes(c))
		ws_failed(c);
	if (c->wsi != NULL) /* before that there is no timer, and after ws_destroy has begun no context */
		lws_sul_schedule(w->context, 0, &c->timer, NULL, LWS_SET_TIMER_USEC_CANCEL);
	ev_timer_stop(w->loop, &c->replay_speed_timer);
	if (c->session != NULL)
		sessions_detach(w->options.sessions, ws_session(c), &c->reader);
	subscription_unpark(w->subscriptions, &c->subscription);
	subscription_finish(&c->subscription);
	cursor_destroy(c->cursor);
	LIST_EACH (link, &c->tasks)
		forget(LIST_ITEM(link, struct ws_task, in_conn));
	ws_queries_drop(c);
	reply_budget_lose(c);
	if (c->retrying)
		ws_metrics_count(w->metrics, ws_session(c), WSM_RETRY_LOST, 1);
	pthread_mutex_lock(&w->lock);
	list_remove(&c->in_inbox); /* nobody puts it there any more */
	pthread_mutex_unlock(&w->lock);
	if (!list_empty(&c->in_all)) {
		atomic_fetch_sub(&w->connections, 1);
		atomic_fetch_sub(&w->dashboards, c->profile == &ws_dashboard);
		ws_metrics_leave(w->metrics, ws_session(c));
	}
	list_remove(&c->in_all);
	list_remove(&c->in_line);
	drop_message(c);
	buf_finish(&c->out);
	acks_finish(&c->acks);
	ws_request_destroy(c->request);
	free(c->session);
	grant_drop(&c->grant);
	give_places(&c->places);
	w->options.on_close(w->options.on_close_arg, c->entered);
	free(c);
}

/* --- the peer closes --- */

/* Marks the connection as one that cannot be written to, so that libwebsockets neither answers the peer's Close nor shuts
 * the socket down; reading goes on, and the end of the peer is noticed. Its interface has no way to answer later: a write to
 * a descriptor that is no socket makes it believe that, and the socket is back in its place at once. The number never
 * becomes free and the socket is not closed meanwhile, so that epoll notices nothing. */
static bool silence_library(struct ws_conn *c)
{
	unsigned char byte[LWS_PRE + 1] = {0};
	int no_socket = eventfd(0, EFD_CLOEXEC);
	int socket = fcntl(c->fd, F_DUPFD_CLOEXEC, 0);
	bool fine = no_socket >= 0 && socket >= 0 && dup3(no_socket, c->fd, O_CLOEXEC) == c->fd;
	if (fine) {
		fine = lws_write(c->wsi, byte + LWS_PRE, 1, LWS_WRITE_HTTP) < 0;
		/* Onto a descriptor that is open: the one error that is left is EINTR. */
		while (dup3(socket, c->fd, O_CLOEXEC) < 0)
			assert(errno == EINTR || errno == EBUSY);
	}
	if (socket >= 0)
		close(socket);
	if (no_socket >= 0)
		close(no_socket);
	return fine;
}

/* The answer to a Close, sent past libwebsockets. The peer may have gone. */
static void send_close(const struct ws_conn *c, struct slice payload)
{
	unsigned char frame[2 + CLOSE_PAYLOAD_MAX] = {FIN_CLOSE, (unsigned char)payload.len};
	assert(payload.len <= CLOSE_PAYLOAD_MAX);
	slice_copy((char *)frame + 2, payload);
	(void)!send(c->fd, frame, 2 + payload.len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* A Close that is answered once the acknowledgements of its session are durable, and an op of the writer's that says so. */
struct closing {
	struct write_op op; /* first: the writer gives it back */
	struct ws_task task;
	char payload[CLOSE_PAYLOAD_MAX];
	size_t len;
};

static void on_saved(struct write_op *op)
{
	ws_task_done(&((struct closing *)op)->task);
}

static void answer_close(struct ws_conn *c)
{
	struct closing *k = c->closing;
	c->closing = NULL;
	send_close(c, (struct slice){k->payload, k->len});
	c->close_code = CLOSE_WITHOUT_WORD;
	lws_set_timeout(c->wsi, PENDING_TIMEOUT_CLOSE_SEND, LWS_TO_KILL_ASYNC);
}

/* The commit is there, or has failed; the connection may have gone, or have been answered after save_ms. */
static void on_save_ended(struct ws_task *task)
{
	struct closing *k = LIST_ITEM(task, struct closing, task);
	struct ws_conn *c = task->conn;
	ws_task_end(task);
	if (c != NULL && c->closing == k)
		answer_close(c);
	free(k);
}

static void on_save_late(lws_sorted_usec_list_t *timer)
{
	struct ws_conn *c = lws_container_of(timer, struct ws_conn, timer);
	if (c->closing != NULL)
		answer_close(c);
}

/* Has the acknowledgements of the session written. False when the Close is to be answered at once: nothing waits to be
 * written, or it cannot be waited for. */
static bool wait_for_save(struct ws_conn *c, struct slice payload)
{
	const struct ws_options *o = &c->ws->options;
	if (c->session == NULL || c->close_code != 0 || lws_partial_buffered(c->wsi) ||
	    sessions_saved(o->sessions, ws_session(c)))
		return false;
	struct closing *k = calloc(1, sizeof *k);
	if (k == NULL)
		return false;
	k->op.done = on_saved;
	slice_copy(k->payload, payload);
	k->len = payload.len;
	ws_task_begin(c, &k->task, on_save_ended);
	if (writer_submit(o->writer, &k->op, NULL) != ERR_NONE) {
		ws_task_end(&k->task);
		free(k);
		return false;
	}
	if (!silence_library(c)) /* for want of a descriptor */
		return false;
	c->closing = k;
	subscription_unpark(c->ws->subscriptions, &c->subscription);
	lws_sul_schedule(c->ws->context, 0, &c->timer, on_save_late, o->save_ms * 1000);
	return true;
}

/* libwebsockets answers a Close with its own payload. Where that is no payload of a Close, the answer is made here, and the
 * connection ends without another. At a clean close the acknowledgements are durable before the answer
 * (docs/decisions/0006-clean-close.md). */
static int on_peer_close(struct ws_conn *c, struct slice payload)
{
	int fault = close_frame_fault(payload);
	bool first = !c->peer_closed;
	c->peer_closed = true;
	if (fault == 0) {
		if (first)
			wait_for_save(c, payload);
		return 0;
	}
	const char code[] = {(char)(fault >> 8), (char)fault};
	if (!lws_partial_buffered(c->wsi))
		send_close(c, (struct slice){code, sizeof code});
	return -1;
}

/* libwebsockets ends an open connection. Where nobody has asked for it and the peer is there, the peer has broken the
 * protocol: it gets a Close frame with 1002 in every case; libwebsockets sends one in most. */
static void on_ending(struct ws_conn *c)
{
	char byte;
	ssize_t n = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	bool there = n > 0 || (n < 0 && errno == EAGAIN);
	if (list_empty(&c->in_all) || c->close_code != 0 || c->peer_closed || !there)
		return;
	c->close_code = CLOSE_PROTOCOL_ERROR;
	lws_close_reason(c->wsi, LWS_CLOSE_STATUS_PROTOCOL_ERR, NULL, 0);
}

static int on_writable(struct ws_conn *c)
{
	if (c->close_code == 0) {
		ws_pump(c);
		ws_queries_check(c);
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
 * for URLs and headers, and everything in them that matters has been read. A subprotocol is offered on where it is agreed,
 * an extension never. */
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
	if (n != (ssize_t)left) { /* it was there a moment ago: the connection has broken */
		close(c->fd);
		ws_metrics_count(c->ws->metrics, (struct slice){"", 0}, WSM_UNOPENED, 1);
		conn_destroy(c);
		return;
	}
	/* The handshake happens within: the first callback for the new connection attaches it, and a later one may already
	 * have destroyed it when this returns. */
	struct ws *w = c->ws;
	w->arriving = c;
	lws_adopt_socket_vhost_readbuf(w->vhost, c->fd, request, (size_t)len);
	if (w->arriving == c) { /* refused before any callback; the socket is closed */
		w->arriving = NULL;
		ws_metrics_count(w->metrics, (struct slice){"", 0}, WSM_UNOPENED, 1);
		conn_destroy(c);
	}
}

/* What its session, or a page that was loaded, has woken it for. */
static void go_on(struct ws_conn *c, bool loaded, unsigned news)
{
	if ((news & SESSION_DELETED) != 0) {
		ws_hang_up(c, CLOSE_DELETED, "the session was deleted");
		return;
	}
	if ((news & SESSION_TAKEN) != 0) {
		ws_hang_up(c, CLOSE_TAKEN_OVER, "the session was taken over by another connection");
		return;
	}
	bool was_loading = c->wait == WAIT_LOAD;
	if (was_loading && loaded)
		c->wait = WAIT_NOTHING;
	if ((news & SESSION_MOVED) != 0)
		c->moving = true;
	if (c->wait == WAIT_LOAD || c->cursor == NULL)
		return;
	if (c->moving)
		ws_move(c);
	if (c->seeking)
		ws_seek(c);
	else if (was_loading && loaded)
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

/* It was closed before, for a reason of its own. */
static bool is_ending(const struct ws_conn *c)
{
	return c->close_code != 0 || c->closing != NULL;
}

static void close_all(struct ws *w)
{
	w->closed = true;
	w->closed_ms = clock_mono_ms();
	uint64_t head = feed_head(w->options.feed);
	LIST_EACH (link, &w->all) {
		struct ws_conn *c = LIST_ITEM(link, struct ws_conn, in_all);
		uint64_t lag = c->muted || is_ending(c) ? 0 : ws_lag(c, head); /* from here on it is sent nothing more */
		atomic_fetch_add(&w->left, lag);
		atomic_fetch_add(&w->left_behind, lag > 0);
		ws_hang_up(c, LWS_CLOSE_STATUS_GOINGAWAY, "the server is shutting down");
	}
}

static void on_concerned(void *arg, struct subscription *s)
{
	(void)arg;
	ws_pump(LIST_ITEM(s, struct ws_conn, subscription));
}

static void admit_some(struct ws *w)
{
	for (int i = 0; i < ADMITTED_AT_ONCE; i++) {
		struct list *link = take_first(w, &w->arrived);
		if (link == NULL)
			return;
		admit(LIST_ITEM(link, struct ws_conn, in_inbox));
	}
	lws_cancel_service(w->context); /* for the others */
}

static void send_answers(struct ws_conn *c)
{
	ws_throttle(c);
	ws_pump_out(c);
	ws_queries_check(c);
}

/* Those that follow each other on a connection, as a commit has them, go out together. */
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
		go_on(c, loaded, news);
	}
	if (atomic_exchange(&w->reloaded, false))
		LIST_EACH (every, &w->all)
			check_grant(LIST_ITEM(every, struct ws_conn, in_all));
	if (atomic_exchange(&w->committed, false)) {
		catchup_committed(w);
		subscriptions_dispatch(w->subscriptions, on_concerned, w);
	}
	pthread_mutex_lock(&w->lock);
	bool closing = w->closing;
	pthread_mutex_unlock(&w->lock);
	if (closing && !w->closed)
		close_all(w);
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
		w->wakes = true;
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
	case LWS_CALLBACK_RECEIVE_PONG: ws_pong(c); return 0;
	case LWS_CALLBACK_SERVER_WRITEABLE: return on_writable(c);
	case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE: return on_peer_close(c, (struct slice){in, len});
	case LWS_CALLBACK_WS_SERVER_DROP_PROTOCOL: on_ending(c); return 0;
	case LWS_CALLBACK_HTTP: return -1; /* only WebSockets come here */
	case LWS_CALLBACK_WSI_DESTROY:
		lws_set_opaque_user_data(wsi, NULL);
		conn_destroy(c);
		return 0;
	default: return 0;
	}
}

/* Only with memory of its own for each connection does libwebsockets tell of its ending. */
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

/* Where descriptors are short, libwebsockets comes up without the pipe that wakes it, and does not say so. */
static bool can_be_woken(struct ws *w)
{
	lws_cancel_service(w->context);
	ev_run(w->loop, EVRUN_NOWAIT);
	return w->wakes;
}

/* What libwebsockets calls an error is, among others, every connection that it is handed. */
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
		return fault_set(fault, ERR_NOMEM, "out of memory");
	w->options = options;
	pthread_mutex_init(&w->lock, NULL);
	list_init(&w->arrived);
	list_init(&w->ready);
	list_init(&w->done);
	list_init(&w->all);
	catchup_init(w, ws_serve);
	for (int i = 0; i < WS_LINES; i++)
		list_init(&w->lines[i]);
	pulse_start(&w->pulse, clock_mono_ms());
	atomic_store(&w->tick_due_ms, clock_mono_ms() + WS_FIGURES_S * 1000);
	w->metrics = options.metrics != NULL ? options.metrics : ws_metrics_create(options.idle_ms);
	if (subscriptions_create(options.feed, &w->subscriptions) != ERR_NONE) {
		ws_destroy(w);
		return fault_set(fault, ERR_NOMEM, "out of memory");
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
		return fault_set(
			fault, ERR_IO,
			"cannot start the WebSocket server: there are too few descriptors (see the limit of open files)");
	}
	if (w->metrics == NULL || w->vhost == NULL || pthread_create(&w->thread, NULL, work, w) != 0) {
		ws_destroy(w);
		return fault_set(fault, ERR_IO,
				 "cannot start the WebSocket server: is libwebsockets' plugin for libev installed?");
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
	if (w->loop != NULL)
		ev_loop_destroy(w->loop);
	LIST_EACH (link, &w->done) {
		struct ws_task *task = LIST_ITEM(link, struct ws_task, in_inbox);
		task->finish(task);
	}
	LIST_EACH (link, &w->arrived) {
		struct ws_conn *c = LIST_ITEM(link, struct ws_conn, in_inbox);
		close(c->fd);
		conn_destroy(c);
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
	uint64_t late = overdue > 0 ? (uint64_t)overdue : 0; /* a loop that hangs does not say so itself */
	uint64_t lag = atomic_load(&w->loop_lag_ms);
	*out = (struct ws_figures){
		.connections = atomic_load(&w->connections),
		.delivered = atomic_load(&w->delivered),
		.lag_max = atomic_load(&w->lag_max),
		.lag_sum = atomic_load(&w->lag_sum),
		.left = atomic_load(&w->left),
		.left_behind = atomic_load(&w->left_behind),
		.dashboards = atomic_load(&w->dashboards),
		.loop_lag_ms = lag > late ? lag : late,
	};
}

struct ws_metrics *ws_figures_of(const struct ws *w)
{
	return w->metrics;
}
