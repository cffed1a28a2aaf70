/* What clients say on a WebSocket: one JSON document a message, with an op. */
#include <stdlib.h>

#include "event/op.h"
#include "net/problem.h"
#include "net/ws_conn.h"

/* A publish that the writer has. */
struct publish {
	struct write_op op; /* first: the writer gives it back */
	struct ws_task task;
	struct slice ref; /* JSON text in the batch's memory, empty where there was none */
	char *ref_text;
};

static void refuse(struct ws_conn *c, const struct fault *fault, struct slice ref)
{
	ws_error(c, problem_status(fault->code), fault, ref);
}

/* --- publish --- */

static void on_committed(struct write_op *op)
{
	ws_task_done(&((struct publish *)op)->task);
}

static void destroy(struct publish *p)
{
	receipt_finish(&p->op.receipt);
	batch_destroy(p->op.batch);
	free(p->ref_text);
	free(p);
}

static void say_published(struct ws_conn *c, struct publish *p)
{
	const struct receipt *r = &p->op.receipt;
	struct buf text;
	buf_init(&text);
	buf_adds(&text, "{\"op\":\"published\"");
	ws_add_ref(&text, p->ref);
	buf_printf(&text, ",\"first\":%llu,\"last\":%llu,\"count\":%llu,\"duplicates\":%llu", (unsigned long long)r->first,
		   (unsigned long long)r->last, (unsigned long long)r->count, (unsigned long long)r->duplicates);
	if (r->duplicates > 0)
		ws_metrics_count(c->ws->metrics, ws_session(c), WSM_DUPLICATE, r->duplicates);
	for (size_t i = 0; r->seqs != NULL && i < batch_count(p->op.batch); i++)
		buf_printf(&text, "%s%llu", i == 0 ? ",\"seqs\":[" : ",", (unsigned long long)r->seqs[i]);
	buf_adds(&text, r->seqs != NULL ? "]}" : "}");
	ws_say(c, &text);
	buf_finish(&text);
}

static void answer(struct ws_task *task)
{
	struct publish *p = LIST_ITEM(task, struct publish, task);
	struct ws_conn *c = task->conn;
	ws_task_end(task);
	if (c != NULL && p->op.err)
		refuse(c, &p->op.fault, p->ref);
	else if (c != NULL)
		say_published(c, p);
	destroy(p);
}

/* The message belongs to the batch from here on: its events are slices of it. */
static void publish(struct ws_conn *c, struct slice events, struct slice ref)
{
	struct fault fault;
	int retry_s; /* the text says it, too */
	struct publish *p = calloc(1, sizeof *p);
	char *ref_text = malloc(ref.len + 1);
	enum err err = p != NULL && ref_text != NULL ? ERR_NONE : fault_set(&fault, ERR_NOMEM, "out of memory");
	if (!err) {
		memcpy(ref_text, ref.p, ref.len);
		p->ref_text = ref_text;
		p->ref = ref = (struct slice){ref_text, ref.len};
		p->op.done = on_committed;
		p->op.client = c->number;
		ws_task_begin(c, &p->task, answer);
		char *text = c->in.data;
		c->in = (struct buf){0};
		err = batch_from_value_take(events, text, BATCH_JSON, c->ws->options.limits, &p->op.batch, &fault);
	}
	if (!err)
		err = grant_publish(&c->grant, p->op.batch, c->peer, &fault);
	if (!err)
		err = rates_take(c->ws->options.rates, grant_client(&c->grant, c->peer), batch_count(p->op.batch), &retry_s,
				 &fault);
	if (!err)
		err = writer_submit(c->ws->options.writer, &p->op, &fault);
	if (err) {
		refuse(c, &fault, ref);
		if (p == NULL || p->ref_text == NULL) {
			free(ref_text);
			free(p);
			return;
		}
		ws_task_end(&p->task);
		destroy(p);
	}
}

/* --- the other ops --- */

static void acknowledge(struct ws_conn *c, const struct op *op)
{
	struct fault fault;
	uint64_t head = store_head(feed_store(c->ws->options.feed));
	enum err err = ERR_NONE;
	if (c->session == NULL)
		err = fault_set(&fault, ERR_INVALID, "ack goes with a session: connect with ?session=NAME");
	else if (op->seq > head)
		err = fault_set(&fault, ERR_INVALID, "ack: %llu is past the head, which is %llu",
				(unsigned long long)op->seq, (unsigned long long)head);
	else if (sessions_ack(c->ws->options.sessions, ws_session(c), c, op->seq) == ERR_NONE)
		writer_poke(c->ws->options.writer);
	if (err)
		refuse(c, &fault, op->ref);
}

static void pong(struct ws_conn *c)
{
	struct buf text;
	buf_init(&text);
	buf_printf(&text, "{\"op\":\"pong\",\"head\":%llu}", (unsigned long long)feed_head(c->ws->options.feed));
	ws_say(c, &text);
	buf_finish(&text);
}

static void on_message(struct ws_conn *c)
{
	struct op op;
	struct fault fault;
	enum err err = op_read(c->in.data, c->in.len, &op, &fault);
	if (op.kind == OP_PUBLISH && !grant_may(&c->grant, NEED_PUBLISH)) {
		access_denied(c->grant.access, DENIAL_SCOPE, grant_name(&c->grant), c->peer, slice_of("publish"));
		err = fault_set(&fault, ERR_DENIED, "the token's scopes do not cover publish");
	}
	if (err) {
		refuse(c, &fault, op.ref);
		return;
	}
	switch (op.kind) {
	case OP_PUBLISH: publish(c, op.events, op.ref); break;
	case OP_ACK: acknowledge(c, &op); break;
	case OP_PING: pong(c); break;
	case OP_NONE: break; /* is a fault */
	}
}

/* --- what the server says of itself --- */

static void say_hello(struct ws_conn *c)
{
	struct feed *feed = c->ws->options.feed;
	struct buf text;
	buf_init(&text);
	buf_printf(&text, "{\"op\":\"hello\",\"epoch\":\"%s\",\"first\":%llu,\"head\":%llu,\"after\":%llu,\"session\":",
		   store_epoch(feed_store(feed)), (unsigned long long)feed_first(feed), (unsigned long long)feed_head(feed),
		   (unsigned long long)cursor_after(c->cursor));
	if (c->session != NULL)
		buf_json(&text, ws_session(c));
	else
		buf_adds(&text, "null");
	buf_addc(&text, '}');
	ws_say(c, &text);
	buf_finish(&text);
}

static void say_gap(struct ws_conn *c, const struct gap *gap)
{
	struct buf text;
	buf_init(&text);
	gap_write(&text, gap);
	ws_say(c, &text);
	buf_finish(&text);
}

/* Once: replay has caught up. */
static void say_live(struct ws_conn *c)
{
	struct buf text;
	if (c->live_told)
		return;
	buf_init(&text);
	buf_printf(&text, "{\"op\":\"live\",\"seq\":%llu}", (unsigned long long)cursor_after(c->cursor));
	ws_say(c, &text);
	buf_finish(&text);
}

static void say_error(struct ws_conn *c, int status, const struct fault *fault)
{
	ws_error(c, status, fault, (struct slice){"", 0});
}

const struct ws_profile ws_v1 = {
	.path = "/v1/ws",
	.need = NEED_READ,
	.query = WS_QUERY,
	.reads = true,
	.form = WIRE_WS,
	.open = say_hello,
	.message = on_message,
	.error = say_error,
	.gap = say_gap,
	.live = say_live,
};
