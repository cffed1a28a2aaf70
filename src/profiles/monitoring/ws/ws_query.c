#include "profiles/monitoring/ws/ws_query.h"
#include "server/ws/ws.h"

#include <assert.h>
#include <stdlib.h>

#include "base/system/clock.h"
#include "base/system/log.h"
#include "profiles/monitoring/state/boundary.h"
#include "server/message/problem.h"
#include "server/ws/reply_budget.h"

static_assert((int)SERVICE_HISTORY_BYTES_MAX <= (int)REPLY_BYTES_MAX, "a reply fits its claim");

enum {
	SMALL_EVENTS = 100, /* default number of events */
	WAITING_MAX = 16,   /* queries of one connection, before reading is paused */
};

/*     waiting ─▶ first ─▶ claim granted ─▶ a pool thread makes the reply ─▶ sent
 *
 * The reply counts against the reply budget until it is sent. */
struct ws_query {
	struct list in_conn; /* while it waits for the query before */
	struct reply_claim claim;
	struct pool_job job;
	struct ws_task task;
	struct monitoring *self;
	enum ws_query_kind kind;
	struct question question;
	struct service_history_query query;
	struct service_history *history; /* NULL: not begun, or another kind of query */
	struct boundary *boundary;       /* of a series; NULL: not begun */
	char *name;                      /* of an export */
	struct buf reply;
};

static void stamp(struct doc root)
{
	doc_time(root, "timestamp", clock_wall_ms());
}

void ws_end_stamped(struct document *d, struct buf *out)
{
	stamp(document_root(d));
	document_end(d, out);
}

void ws_write_error(struct buf *out, int status, const char *message)
{
	struct document d;
	struct doc root = document_begin(&d);
	doc_string(root, "type", "error");
	doc_i64(root, "status", status);
	doc_string(root, "message", message);
	ws_end_stamped(&d, out);
}

/* Members that tell why the reply is incomplete. */
static void put_missing(struct doc to, const struct service_history *history)
{
	const struct fault *why = service_history_missing(history);
	const struct gap *gap = service_history_gap(history);
	if (why != NULL) {
		char reason[sizeof why->text];
		problem_hide_paths(reason, sizeof reason, why->text);
		doc_string(to, "missing", reason);
	}
	if (gap != NULL) {
		struct buf text;
		buf_init(&text);
		gap_write(&text, gap);
		doc_raw_take(to, "gap", &text);
	}
}

/* Writes the events into the frame that `head` begins. */
static void write_events(struct document *head, struct buf *out, const char *name, struct slice events)
{
	document_end_head(head, out);
	buf_printf(out, ",\"%s\":", name);
	buf_add(out, events.p, events.len);
}

static void put_tallies(struct monitor *m, struct doc to)
{
	struct tally tallies[SERVICES];
	uint64_t seq;
	monitor_tallies(m, tallies, &seq);
	for (int i = 0; i < SERVICES; i++) {
		struct buf text;
		buf_init(&text);
		tally_write(&text, (enum service)i, &tallies[i], true);
		doc_raw_take(to, service_name((enum service)i), &text);
	}
}

static void write_initial(struct buf *out, const struct ws_query *e, struct slice recent)
{
	struct document head;
	struct document tail;
	struct buf text;
	struct doc root = document_begin(&head);
	doc_string(root, "type", "initial_stats");
	put_tallies(e->self->monitor, doc_object(root, "stats"));
	buf_init(&text);
	monitor_write_sessions(e->self->monitor, &text);
	doc_raw_take(root, "session_metrics", &text);
	leases_write_metrics(e->self->leases, doc_object(root, "semaphore_metrics"), e->self->port);
	ws_metrics_text(ws_figures_of(e->self->api->ws), WS_TEXT_HEALTH, &text);
	doc_raw_take(root, "websocket_health", &text);
	write_events(&head, out, "recent_events", recent);
	root = document_begin(&tail);
	doc_u64(root, "seq", e->query.before - 1);
	doc_string(root, "epoch", store_epoch(e->self->api->store));
	put_missing(root, e->history);
	stamp(root);
	document_end_tail(&tail, out);
}

static void write_recent(struct buf *out, const struct ws_query *e, struct slice events)
{
	struct document head;
	struct document tail;
	struct doc root = document_begin(&head);
	doc_string(root, "type", "recent_events");
	doc_raw(root, "connection_type", slice_of(e->question.service_text));
	write_events(&head, out, "events", events);
	root = document_begin(&tail);
	put_missing(root, e->history);
	stamp(root);
	document_end_tail(&tail, out);
}

static void write_series(struct buf *out, const struct ws_query *e)
{
	const struct question *q = &e->question;
	struct document d;
	struct doc root = document_begin(&d);
	doc_string(root, "type", "time_series_data");
	doc_raw(root, "connection_type", slice_of(q->service_text));
	doc_i64(root, "interval_minutes", q->interval);
	doc_raw(root, "hours", slice_of(q->hours_text));
	if (q->service == SERVICE_NONE) {
		doc_object(root, "data");
	} else {
		struct minute first = boundary_minute(e->boundary, q->service);
		struct buf text;
		buf_init(&text);
		monitor_write_series(e->self->monitor, &text, q->service, q->interval, e->query.since_ms, &first);
		doc_raw_take(root, "data", &text);
	}
	ws_end_stamped(&d, out);
}

static void write_history(struct buf *out, const struct ws_query *e, struct slice events)
{
	uint64_t more = service_history_more(e->history);
	struct document head;
	struct document tail;
	struct doc root = document_begin(&head);
	doc_string(root, "type", "historical_data");
	doc_raw(root, "connection_type", slice_of(e->question.service_text));
	doc_raw(root, "hours", slice_of(e->question.hours_text));
	write_events(&head, out, "data", events);
	root = document_begin(&tail);
	doc_bool(root, "complete",
		 more == 0 && service_history_missing(e->history) == NULL && service_history_gap(e->history) == NULL);
	if (more == 0)
		doc_null(root, "next_before");
	else
		doc_u64(root, "next_before", more);
	put_missing(root, e->history);
	stamp(root);
	document_end_tail(&tail, out);
}

static void write_exported(struct buf *out, struct slice name)
{
	struct document d;
	struct doc root = document_begin(&d);
	doc_string(root, "type", "export_complete");
	doc_text(root, "filepath", name);
	ws_end_stamped(&d, out);
}

static void write_reply(struct ws_query *e, struct slice found)
{
	switch (e->kind) {
	case WS_QUERY_INITIAL: write_initial(&e->reply, e, found); break;
	case WS_QUERY_RECENT: write_recent(&e->reply, e, found); break;
	case WS_QUERY_HISTORY: write_history(&e->reply, e, found); break;
	case WS_QUERY_SERIES: write_series(&e->reply, e); break;
	case WS_QUERY_EXPORT: write_exported(&e->reply, found); break;
	}
}

/* Reads one page of the log. False: there is more to read, in a later run. */
static bool read_history(struct ws_query *e, struct reader *reader, struct buf *found, enum err *err, struct fault *fault)
{
	bool done = false;
	*err = ERR_NONE;
	if (e->history == NULL)
		*err = service_history_create(e->self->monitor, e->self->api->store, reader, &e->query, &e->history, fault);
	if (*err == ERR_NONE)
		*err = service_history_read(e->history, reader, &done, fault);
	if (*err == ERR_NONE && !done)
		return false;
	if (*err == ERR_NONE)
		service_history_write(e->history, found);
	return true;
}

/* The same for the minute in which a series begins. */
static bool read_boundary(struct ws_query *e, struct reader *reader, enum err *err, struct fault *fault)
{
	bool done = false;
	*err = ERR_NONE;
	if (e->question.service == SERVICE_NONE)
		return true;
	if (e->boundary == NULL)
		*err = boundary_create(monitor_boundaries(e->self->monitor), e->self->api->store, reader, e->query.since_ms,
				       &e->boundary, fault);
	if (*err == ERR_NONE)
		*err = boundary_read(e->boundary, reader, &done, fault);
	return *err != ERR_NONE || done;
}

/* False: there is more to read. */
static bool read_log(struct ws_query *e, struct reader *reader, struct buf *found, enum err *err, struct fault *fault)
{
	if (e->kind == WS_QUERY_SERIES)
		return read_boundary(e, reader, err, fault);
	return read_history(e, reader, found, err, fault);
}

/* On a pool thread. */
static void run_query(struct pool_job *job, struct reader *reader)
{
	struct ws_query *e = LIST_ITEM(job, struct ws_query, job);
	struct buf found;
	struct fault fault;
	enum err err;
	buf_init(&found);
	if (e->kind == WS_QUERY_EXPORT) {
		err = service_history_export(e->self->monitor, e->self->api->store, reader, slice_of(e->name), &found,
					     &fault);
	} else if (!read_log(e, reader, &found, &err, &fault)) {
		pool_submit_again(e->self->api->pool, job);
		return;
	}
	if (!err && buf_failed(&found))
		err = fault_nomem(&fault);
	if (err) {
		log_error("cannot answer a query of a dashboard", "error=%s", log_text(fault.text));
		ws_write_error(&e->reply, 500, fault.text);
	} else {
		write_reply(e, buf_slice(&found));
	}
	buf_finish(&found);
	ws_task_done(&e->task);
}

static void destroy(struct ws_query *e)
{
	service_history_destroy(e->history);
	boundary_destroy(e->boundary);
	buf_finish(&e->reply);
	free(e->name);
	free(e);
}

static struct dashboard *dashboard_of(const struct ws_conn *c)
{
	return ws_state(c);
}

static void pause_reading(struct ws_conn *c)
{
	ws_pause(c, ws_is_held(c) || reply_budget_holds(c) || dashboard_of(c)->query_count >= WAITING_MAX);
}

static void on_query_done(struct ws_task *task)
{
	struct ws_query *e = LIST_ITEM(task, struct ws_query, task);
	struct ws_conn *c = task->conn;
	ws_task_end(task);
	if (c == NULL) {
		reply_budget_drop(&e->claim);
	} else {
		ws_hold(c, false);
		ws_send_text(c, &e->reply);
		reply_budget_keep(c, &e->claim, e->reply.len);
		if (e->kind == WS_QUERY_INITIAL)
			ws_pump(c);
		pause_reading(c);
	}
	destroy(e);
}

static void on_granted(struct reply_claim *claim)
{
	struct ws_query *e = LIST_ITEM(claim, struct ws_query, claim);
	e->task.away = true;
	e->job.client = claim->client;
	pool_submit(e->self->api->pool, &e->job);
}

/* The queue for memory: large if more events are asked for than a page shows. */
static enum reply_queue queue_of(const struct ws_query *e)
{
	bool more = e->query.limit == 0 || e->query.limit > SMALL_EVENTS;
	return e->kind != WS_QUERY_EXPORT && e->kind != WS_QUERY_SERIES && more ? REPLY_LARGE : REPLY_SMALL;
}

static void begin_next(struct ws_conn *c)
{
	if (dashboard_of(c)->query_running || list_empty(&dashboard_of(c)->queries))
		return;
	struct ws_query *e = LIST_ITEM(dashboard_of(c)->queries.next, struct ws_query, in_conn);
	list_remove(&e->in_conn);
	dashboard_of(c)->query_count--;
	dashboard_of(c)->query_running = true;
	ws_task_begin(c, &e->task, on_query_done);
	e->task.away = false;
	reply_budget_ask(c, queue_of(e), &e->claim);
}

void ws_send_query(struct ws_conn *c, enum ws_query_kind kind, const struct question *q, struct service_history_query query,
		   char *name)
{
	struct ws_query *e = calloc(1, sizeof *e);
	if (e == NULL || (kind == WS_QUERY_EXPORT && name == NULL)) {
		free(e);
		free(name);
		ws_give_up(c);
		return;
	}
	e->self = ws_profile_of(c)->arg;
	e->kind = kind;
	e->query = query;
	e->name = name;
	if (q != NULL)
		e->question = *q;
	e->job.run = run_query;
	e->claim.grant = on_granted;
	list_init(&e->in_conn);
	list_append(&dashboard_of(c)->queries, &e->in_conn);
	dashboard_of(c)->query_count++;
	begin_next(c);
	pause_reading(c);
}

void ws_queries_check(struct ws_conn *c)
{
	if (!reply_budget_check(c))
		return;
	dashboard_of(c)->query_running = false;
	begin_next(c);
	pause_reading(c);
}

void ws_queries_drop(struct ws_conn *c)
{
	LIST_EACH (link, &dashboard_of(c)->queries) {
		list_remove(link);
		destroy(LIST_ITEM(link, struct ws_query, in_conn));
	}
}
