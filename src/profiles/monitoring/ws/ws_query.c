#include "profiles/monitoring/ws/ws_query.h"

#include <stdlib.h>

#include "base/system/clock.h"
#include "base/system/log.h"
#include "profiles/monitoring/state/boundary.h"
#include "server/message/problem.h"
#include "server/ws/reply_budget.h"

enum {
	BRIEF_EVENTS = 100, /* what is asked for unless one says how many */
	WAITING_MAX = 16,   /* questions of one connection; then it is not read from */
};

/*     asked ─▶ its turn ─▶ claim granted ─▶ a pool thread makes the reply ─▶ said
 *
 * What is said is the connection's share until it is sent. */
struct errand {
	struct list in_conn; /* until it is its turn */
	struct reply_claim claim;
	struct pool_job job;
	struct ws_task task;
	enum ws_query_kind kind;
	struct question question;
	struct service_history_query query;
	struct past *past;         /* NULL: it has not begun, or is none of this kind */
	struct boundary *boundary; /* of a series; NULL: it has not begun */
	char *name;                /* of an export */
	struct buf reply;
};

void ws_put_time(struct buf *out)
{
	buf_adds(out, ",\"timestamp\":");
	clock_write(out, clock_wall_ms());
	buf_addc(out, '}');
}

/* Why there is less than was asked for: members that are there only where that is so. */
static void write_missing(struct buf *out, const struct past *past)
{
	const struct fault *why = service_history_missing(past);
	const struct gap *gap = service_history_gap(past);
	if (why != NULL) {
		char reason[sizeof why->text];
		problem_hide_paths(reason, sizeof reason, why->text);
		buf_adds(out, ",\"missing\":");
		buf_json(out, slice_of(reason));
	}
	if (gap != NULL) {
		buf_adds(out, ",\"gap\":");
		gap_write(out, gap);
	}
}

static void write_initial(struct ws *w, struct buf *out, const struct errand *e, struct slice recent)
{
	struct tally tallies[SERVICES];
	uint64_t seq;
	monitor_tallies(w->options.monitor, tallies, &seq);
	buf_adds(out, "{\"type\":\"initial_stats\",\"stats\":{");
	for (int i = 0; i < SERVICES; i++) {
		buf_printf(out, "%s\"%s\":", i == 0 ? "" : ",", service_name((enum service)i));
		tally_write(out, (enum service)i, &tallies[i], true);
	}
	buf_adds(out, "},\"session_metrics\":");
	monitor_write_sessions(w->options.monitor, out);
	buf_adds(out, ",\"semaphore_metrics\":");
	leases_write_metrics(w->options.leases, out, w->options.port);
	buf_adds(out, ",\"websocket_health\":");
	ws_metrics_text(w->metrics, WS_TEXT_HEALTH, out);
	buf_adds(out, ",\"recent_events\":");
	buf_add(out, recent.p, recent.len);
	buf_printf(out, ",\"seq\":%llu,\"epoch\":\"%s\"", (unsigned long long)e->query.before - 1,
		   store_epoch(feed_store(w->options.feed)));
	write_missing(out, e->past);
}

static void write_series(struct ws *w, struct buf *out, const struct errand *e)
{
	const struct question *q = &e->question;
	buf_printf(out,
		   "{\"type\":\"time_series_data\",\"connection_type\":%s,\"interval_minutes\":%lld,\"hours\":%s,\"data\":",
		   q->service_text, (long long)q->interval, q->hours_text);
	if (q->service == SERVICE_NONE) {
		buf_adds(out, "{}");
		return;
	}
	struct minute first = boundary_minute(e->boundary, q->service);
	monitor_write_series(w->options.monitor, out, q->service, q->interval, e->query.since_ms, &first);
}

static void write_history(struct buf *out, const struct errand *e, struct slice events)
{
	uint64_t more = service_history_more(e->past);
	bool complete = more == 0 && service_history_missing(e->past) == NULL && service_history_gap(e->past) == NULL;
	buf_printf(out,
		   "{\"type\":\"historical_data\",\"connection_type\":%s,\"hours\":%s,\"data\":", e->question.service_text,
		   e->question.hours_text);
	buf_add(out, events.p, events.len);
	buf_printf(out, ",\"complete\":%s,\"next_before\":", complete ? "true" : "false");
	if (more == 0)
		buf_adds(out, "null");
	else
		buf_printf(out, "%llu", (unsigned long long)more);
	write_missing(out, e->past);
}

static void write_reply(struct ws *w, struct errand *e, struct slice events)
{
	struct buf *out = &e->reply;
	switch (e->kind) {
	case WS_QUERY_INITIAL: write_initial(w, out, e, events); break;
	case WS_QUERY_RECENT:
		buf_printf(out, "{\"type\":\"recent_events\",\"connection_type\":%s,\"events\":", e->question.service_text);
		buf_add(out, events.p, events.len);
		write_missing(out, e->past);
		break;
	case WS_QUERY_HISTORY: write_history(out, e, events); break;
	case WS_QUERY_SERIES: write_series(w, out, e); break;
	case WS_QUERY_EXPORT:
		buf_adds(out, "{\"type\":\"export_complete\",\"filepath\":");
		buf_json(out, events);
		break;
	}
	ws_put_time(out);
}

/* A page of the log; false when there is more to read, which comes at its next turn. */
static bool read_past(struct ws *w, struct errand *e, struct reader *reader, struct buf *found, enum err *err,
		      struct fault *fault)
{
	bool done = false;
	*err = ERR_NONE;
	if (e->past == NULL)
		*err = service_history_create(w->options.monitor, feed_store(w->options.feed), reader, &e->query, &e->past,
					      fault);
	if (*err == ERR_NONE)
		*err = service_history_read(e->past, reader, &done, fault);
	if (*err == ERR_NONE && !done)
		return false;
	if (*err == ERR_NONE)
		service_history_write(e->past, found);
	return true;
}

/* The same for the minute in which a series begins. */
static bool read_boundary(struct ws *w, struct errand *e, struct reader *reader, enum err *err, struct fault *fault)
{
	bool done = false;
	*err = ERR_NONE;
	if (e->question.service == SERVICE_NONE)
		return true;
	if (e->boundary == NULL)
		*err = boundary_create(monitor_boundaries(w->options.monitor), feed_store(w->options.feed), reader,
				       e->query.since_ms, &e->boundary, fault);
	if (*err == ERR_NONE)
		*err = boundary_read(e->boundary, reader, &done, fault);
	return *err != ERR_NONE || done;
}

/* False when there is more to read. */
static bool read_log(struct ws *w, struct errand *e, struct reader *reader, struct buf *found, enum err *err,
		     struct fault *fault)
{
	if (e->kind == WS_QUERY_SERIES)
		return read_boundary(w, e, reader, err, fault);
	return read_past(w, e, reader, found, err, fault);
}

/* On a pool thread. */
static void run_errand(struct pool_job *job, struct reader *reader)
{
	struct errand *e = LIST_ITEM(job, struct errand, job);
	struct ws *w = e->task.ws;
	struct buf found;
	struct fault fault;
	enum err err;
	buf_init(&found);
	if (e->kind == WS_QUERY_EXPORT) {
		err = service_history_export(w->options.monitor, feed_store(w->options.feed), reader, slice_of(e->name),
					     &found, &fault);
	} else if (!read_log(w, e, reader, &found, &err, &fault)) {
		pool_submit_again(w->options.pool, job);
		return;
	}
	if (!err && buf_failed(&found))
		err = fault_set(&fault, ERR_NOMEM, "out of memory");
	if (err) {
		log_error("a dashboard's question cannot be answered", "error=%s", log_text(fault.text));
		buf_adds(&e->reply, "{\"type\":\"error\",\"status\":500,\"message\":");
		buf_json(&e->reply, slice_of(fault.text));
		ws_put_time(&e->reply);
	} else {
		write_reply(w, e, buf_slice(&found));
	}
	buf_finish(&found);
	ws_task_done(&e->task);
}

static void destroy(struct errand *e)
{
	service_history_destroy(e->past);
	boundary_destroy(e->boundary);
	buf_finish(&e->reply);
	free(e->name);
	free(e);
}

static void pause_reading(struct ws_conn *c)
{
	c->busy = c->held || c->share > 0 || c->ws_query_count >= WAITING_MAX;
	ws_throttle(c);
}

static void on_errand_done(struct ws_task *task)
{
	struct errand *e = LIST_ITEM(task, struct errand, task);
	struct ws_conn *c = task->conn;
	ws_task_end(task);
	if (c == NULL) {
		reply_budget_drop(&e->claim);
	} else {
		c->held = false;
		ws_say(c, &e->reply);
		reply_budget_keep(c, &e->claim, e->reply.len);
		if (e->kind == WS_QUERY_INITIAL)
			ws_pump(c);
		pause_reading(c);
	}
	destroy(e);
}

static void on_granted(struct reply_claim *claim)
{
	struct errand *e = LIST_ITEM(claim, struct errand, claim);
	e->task.away = true;
	e->job.client = claim->client;
	pool_submit(e->task.ws->options.pool, &e->job);
}

/* More than a page shows is asked for. */
static enum ws_line line_of(const struct errand *e)
{
	bool more = e->query.limit == 0 || e->query.limit > BRIEF_EVENTS;
	return e->kind != WS_QUERY_EXPORT && e->kind != WS_QUERY_SERIES && more ? LINE_LONG : LINE_BRIEF;
}

static void begin_next(struct ws_conn *c)
{
	if (c->ws_query_out || list_empty(&c->errands))
		return;
	struct errand *e = LIST_ITEM(c->errands.next, struct errand, in_conn);
	list_remove(&e->in_conn);
	c->ws_query_count--;
	c->ws_query_out = true;
	ws_task_begin(c, &e->task, on_errand_done);
	e->task.away = false;
	reply_budget_ask(c, line_of(e), &e->claim);
}

void ws_send_query(struct ws_conn *c, enum ws_query_kind kind, const struct question *q, struct service_history_query past,
		   char *name)
{
	struct errand *e = calloc(1, sizeof *e);
	if (e == NULL || (kind == WS_QUERY_EXPORT && name == NULL)) {
		free(e);
		free(name);
		ws_hang_up(c, LWS_CLOSE_STATUS_UNEXPECTED_CONDITION, "out of memory");
		return;
	}
	e->kind = kind;
	e->query = past;
	e->name = name;
	if (q != NULL)
		e->question = *q;
	e->job.run = run_errand;
	e->claim.grant = on_granted;
	list_init(&e->in_conn);
	list_append(&c->errands, &e->in_conn);
	c->ws_query_count++;
	begin_next(c);
	pause_reading(c);
}

void ws_queries_check(struct ws_conn *c)
{
	if (!reply_budget_check(c))
		return;
	c->ws_query_out = false;
	begin_next(c);
	pause_reading(c);
}

void ws_queries_drop(struct ws_conn *c)
{
	LIST_EACH (link, &c->errands) {
		list_remove(link);
		destroy(LIST_ITEM(link, struct errand, in_conn));
	}
}
