/* The life of a connection: its session, its cursor, its end. */
#include "server/ws/ws_conn.h"

#include <ev.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/system/clock.h"
#include "base/system/log.h"
#include "server/message/problem.h"
#include "server/ws/reply_budget.h"

void ws_check_grant(struct ws_conn *c)
{
	if (!access_holds(&c->grant))
		ws_hang_up(c, CLOSE_REVOKED, "the token was revoked");
}

/* The reader has its position; the profile sends hello. */
static void begin(struct ws_conn *c)
{
	struct fault fault;
	enum err err = c->profile->reads ? ws_reader_start(c, &fault) : ERR_NONE;
	if (err) {
		ws_metrics_count(c->ws->metrics, ws_session(c), WSM_UNOPENED, 1);
		log_warn("cannot start a WebSocket reader", "error=%s", log_text(fault.text));
		bool full = err == ERR_BUSY || err == ERR_RATE;
		ws_hang_up(c, full ? CLOSE_TRY_AGAIN : LWS_CLOSE_STATUS_UNEXPECTED_CONDITION,
			   full ? "too many sessions, or their filters are too long" : "out of memory");
		return;
	}
	ws_request_destroy(c->request);
	c->request = NULL;
	c->busy = false;
	c->profile->open(c);
	ws_throttle(c);
	ws_pump(c);
}

/* A start time that a pool thread looks up in the log. */
struct since {
	struct ws_task task;
	struct pool_job job;
	struct reader_query *query; /* borrowed from the request, which waits for this */
	struct reader_query found;  /* a copy: the connection may end meanwhile */
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

/* Finding a time in the log may take a while: until then nothing is sent, and reading is paused. */
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

int ws_open(struct ws_conn *c)
{
	struct ws *w = c->ws;
	ws_alive_init(c);
	struct slice session = c->request->query.session;
	c->session = session.len > 0 ? strndup(session.p, session.len) : NULL;
	c->replier = c->profile->publishes ? &ws_publisher : NULL;
	list_append(&w->all, &c->in_all);
	atomic_fetch_add(&w->connections, 1);
	ws_metrics_count(w->metrics, ws_session(c), WSM_TOTAL, 1);
	ws_metrics_opened(w->metrics, ws_session(c));
	if ((session.len > 0 && c->session == NULL) || (c->profile->opened != NULL && !c->profile->opened(c)))
		ws_hang_up(c, LWS_CLOSE_STATUS_UNEXPECTED_CONDITION, "out of memory");
	else if (c->profile->reads && reader_start_has_times(&c->request->query))
		begin_since(c);
	else
		begin(c);
	ws_check_grant(c); /* tokens may have been reloaded since the request guard passed the request */
	if (w->closed)
		ws_hang_up(c, LWS_CLOSE_STATUS_GOINGAWAY, "the server is shutting down");
	return 0;
}

/* The connection ends: its tasks finish without an answer. */
static void abandon_task(struct ws_task *task)
{
	list_remove(&task->in_conn);
	task->conn = NULL;
	if (!task->away)
		task->finish(task);
}

/* Has the peer not been sent everything yet? */
static bool has_unsent(const struct ws_conn *c)
{
	return c->retrying || ws_reader_is_blocked(c) || c->out.len > 0 || reply_budget_holds(c) ||
	       ws_publisher_has_unsent(c);
}

void ws_conn_destroy(struct ws_conn *c)
{
	struct ws *w = c->ws;
	if (has_unsent(c))
		ws_failed(c);
	if (c->wsi != NULL) /* before that there is no timer, and after ws_destroy has begun there is no context */
		lws_sul_schedule(w->context, 0, &c->timer, NULL, LWS_SET_TIMER_USEC_CANCEL);
	if (c->session != NULL)
		sessions_detach(w->options.sessions, ws_session(c), &c->reader);
	ws_reader_finish(c);
	LIST_EACH (link, &c->tasks)
		abandon_task(LIST_ITEM(link, struct ws_task, in_conn));
	reply_budget_lose(c);
	if (c->retrying)
		ws_metrics_count(w->metrics, ws_session(c), WSM_RETRY_LOST, 1);
	pthread_mutex_lock(&w->lock);
	list_remove(&c->in_inbox); /* no other thread puts it there any more */
	pthread_mutex_unlock(&w->lock);
	if (!list_empty(&c->in_all)) {
		if (c->profile->closed != NULL)
			c->profile->closed(c);
		atomic_fetch_sub(&w->connections, 1);
		ws_metrics_closed(w->metrics, ws_session(c));
	}
	list_remove(&c->in_all);
	ws_drop_message(c);
	buf_finish(&c->out);
	ws_publisher_finish(c);
	ws_request_destroy(c->request);
	free(c->session);
	grant_drop(&c->grant);
	ws_release_holds(&c->holds);
	w->options.on_close(w->options.on_close_arg, c->counted_peer);
	free(c);
}
