/* Messages of clients at /v1/ws: each is one JSON object with an op. */
#include <inttypes.h>
#include <stdlib.h>

#include "event/op.h"
#include "server/message/problem.h"
#include "server/ws/ws_conn.h"

/* A message larger than this takes so long to parse that other connections would wait. */
enum { LARGE_MESSAGE = 32 * 1024 };

/* A publish that the writer or a pool thread has. It outlives the connection if need be. */
struct publish {
	struct write_op op; /* first member: the writer hands it back */
	struct ws_task task;
	struct pool_job job;
	struct buf text;  /* the message, until the batch owns it */
	struct op parsed; /* slices of `text` */
	struct slice ref; /* JSON text */
	char *ref_text;
	struct grant grant;
	uint64_t peer;
	struct quota_hold upload; /* quota of the message while a pool thread parses it */
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
	buf_finish(&p->text);
	grant_drop(&p->grant);
	free(p->ref_text);
	free(p);
}

static void send_published(struct ws_conn *c, struct publish *p)
{
	const struct receipt *r = &p->op.receipt;
	struct buf text;
	buf_init(&text);
	buf_adds(&text, "{\"op\":\"published\"");
	ws_add_ref(&text, p->ref);
	buf_printf(&text, ",\"first\":%" PRIu64 ",\"last\":%" PRIu64 ",\"count\":%" PRIu64 ",\"duplicates\":%" PRIu64,
		   r->first, r->last, r->count, r->duplicates);
	if (r->duplicates > 0)
		ws_metrics_count(c->ws->metrics, ws_session(c), WSM_DUPLICATE, r->duplicates);
	for (size_t i = 0; r->seqs != NULL && i < batch_count(p->op.batch); i++)
		buf_printf(&text, "%s%" PRIu64, i == 0 ? ",\"seqs\":[" : ",", r->seqs[i]);
	buf_printf(&text, "%s,\"epoch\":\"%s\"}", r->seqs != NULL ? "]" : "", store_epoch(feed_store(c->ws->options.feed)));
	ws_send_text(c, &text);
	buf_finish(&text);
}

static void run_op(struct ws_conn *c, const struct op *op);

static void answer(struct ws_task *task)
{
	struct publish *p = LIST_ITEM(task, struct publish, task);
	struct ws_conn *c = task->conn;
	ws_task_end(task);
	if (c != NULL && p->upload.amount > 0)
		c->busy = false;
	quota_hold_upload(&p->upload, 0, NULL);
	if (c != NULL && p->op.err)
		refuse(c, &p->op.fault, p->ref);
	else if (c != NULL && p->parsed.kind == OP_PUBLISH)
		send_published(c, p);
	else if (c != NULL)
		run_op(c, &p->parsed);
	destroy(p);
}

/* Takes the message. NULL: no memory. */
static struct publish *create(struct ws_conn *c)
{
	struct publish *p = calloc(1, sizeof *p);
	if (p == NULL)
		return NULL;
	p->op.done = on_committed;
	p->op.client = c->number;
	p->op.account = c->client;
	p->grant = grant_share(&c->grant);
	p->peer = c->peer;
	p->text = *ws_message(c);
	*ws_message(c) = (struct buf){0};
	ws_task_begin(c, &p->task, answer);
	return p;
}

/* Copies the ref, which outlives the message. */
static enum err keep_ref(struct publish *p, struct fault *fault)
{
	if (p->parsed.ref.len == 0)
		return ERR_NONE;
	p->ref_text = malloc(p->parsed.ref.len);
	if (p->ref_text == NULL)
		return fault_nomem(fault);
	slice_copy(p->ref_text, p->parsed.ref);
	p->ref = (struct slice){p->ref_text, p->parsed.ref.len};
	return ERR_NONE;
}

/* Hands the publish to the writer, which then owns it. The batch owns the message from here on: its events are slices of
 * it. Any thread. */
static enum err submit(struct publish *p, struct fault *fault)
{
	const struct ws_options *o = &p->task.ws->options;
	int retry_s; /* unused: the error text states it, too */
	char *text = p->text.data;
	p->text = (struct buf){0};
	p->op.options.expect = p->parsed.expect;
	p->op.options.expect_last = p->parsed.seq;
	enum err err = batch_from_value_take(p->parsed.events, text, BATCH_JSON, o->limits, &p->op.batch, fault);
	if (!err)
		err = grant_publish(&p->grant, p->op.batch, p->peer, fault);
	if (!err)
		err = writer_admit(o->writer, p->op.batch, &p->op.options, fault);
	if (!err)
		err = rates_take(o->rates, p->op.account, batch_count(p->op.batch), &retry_s, fault);
	return err ? err : writer_submit(o->writer, &p->op, fault);
}

static void publish(struct ws_conn *c, const struct op *op)
{
	struct fault fault;
	struct publish *p = create(c);
	if (p == NULL) {
		fault_nomem(&fault);
		refuse(c, &fault, op->ref);
		return;
	}
	p->parsed = *op;
	if (keep_ref(p, &fault) == ERR_NONE && submit(p, &fault) == ERR_NONE)
		return;
	refuse(c, &fault, p->ref);
	ws_task_end(&p->task);
	destroy(p);
}

/* On a pool thread. */
static void run_parse(struct pool_job *job, struct reader *reader)
{
	(void)reader;
	struct publish *p = LIST_ITEM(job, struct publish, job);
	struct fault *fault = &p->op.fault;
	enum err err = op_read(p->text.data, p->text.len, &p->parsed, fault);
	enum err kept = keep_ref(p, err ? NULL : fault);
	err = err ? err : kept;
	if (!err && p->parsed.kind == OP_PUBLISH && (err = submit(p, fault)) == ERR_NONE)
		return;
	p->op.err = err;
	ws_task_done(&p->task);
}

/* A large message is parsed on a pool thread while small publishes are pending; later messages of the connection wait. */
static bool parse_on_pool(struct ws_conn *c)
{
	struct ws *w = c->ws;
	if (ws_message(c)->len <= LARGE_MESSAGE || !writer_has_small(w->options.writer) ||
	    !grant_may(&c->grant, PERMISSION_PUBLISH))
		return false;
	struct publish *p = create(c);
	if (p == NULL)
		return false;
	p->upload = (struct quota_hold){w->options.quotas, c->client, QUOTA_UPLOADS, p->text.cap};
	quota_charge(w->options.quotas, QUOTA_UPLOADS, c->client, p->text.cap); /* transfers what it counted for until now */
	c->busy = true;
	p->job.run = run_parse;
	p->job.client = c->client;
	pool_submit(w->options.pool, &p->job);
	return true;
}

/* --- other ops --- */

static void acknowledge(struct ws_conn *c, const struct op *op)
{
	struct fault fault;
	uint64_t sent;
	enum err err = c->session == NULL ? fault_set(&fault, ERR_INVALID, "ack needs a session: connect with ?session=NAME")
					  : sessions_ack(c->ws->options.sessions, ws_session(c), &c->reader, op->seq, &sent);
	if (!err)
		writer_poke(c->ws->options.writer);
	else if (c->session != NULL && err == ERR_INVALID)
		fault_set(&fault, err,
			  "ack: %" PRIu64 " is beyond the last event sent on this connection, which is %" PRIu64, op->seq,
			  sent);
	if (err == ERR_INVALID) /* other errors: the session is gone, and the connection is being closed */
		refuse(c, &fault, op->ref);
}

static void pong(struct ws_conn *c, const struct op *op)
{
	struct document d;
	struct doc root = document_begin(&d);
	doc_string(root, "op", "pong");
	doc_u64(root, "head", feed_head(c->ws->options.feed));
	ws_send_document(c, &d, op->ref);
}

static void run_op(struct ws_conn *c, const struct op *op)
{
	switch (op->kind) {
	case OP_PUBLISH: publish(c, op); break;
	case OP_ACK: acknowledge(c, op); break;
	case OP_PING: pong(c, op); break;
	case OP_PAUSE:
	case OP_RESUME:
	case OP_STEP:
	case OP_SPEED:
	case OP_SEEK: ws_steer(c, op); break;
	case OP_NONE: break; /* is reported as a fault */
	}
}

static void on_message(struct ws_conn *c)
{
	struct op op;
	struct fault fault;
	if (parse_on_pool(c))
		return;
	enum err err = op_read(ws_message(c)->data, ws_message(c)->len, &op, &fault);
	if (op.kind == OP_PUBLISH && !grant_may(&c->grant, PERMISSION_PUBLISH)) {
		access_denied(c->grant.access, DENIAL_SCOPE, grant_name(&c->grant), c->peer, slice_of("publish"));
		err = fault_set(&fault, ERR_DENIED, "the token's scopes do not cover publish");
	}
	if (err)
		refuse(c, &fault, op.ref);
	else
		run_op(c, &op);
}

/* --- messages from the server --- */

static void send_hello(struct ws_conn *c)
{
	struct document d;
	struct doc root = document_begin(&d);
	doc_string(root, "op", "hello");
	reader_start_hello(root, c->ws->options.feed, ws_after(c));
	doc_text_or_null(root, "session", c->session != NULL ? ws_session(c) : (struct slice){NULL, 0});
	if (c->session != NULL)
		doc_bool(root, "resumed", c->resumed);
	ws_send_document(c, &d, (struct slice){NULL, 0});
	ws_note_reported(c, ws_after(c));
}

static void send_checkpoint(struct ws_conn *c, uint64_t seq)
{
	struct buf text;
	buf_init(&text);
	reader_start_checkpoint(&text, seq);
	ws_send_text(c, &text);
	buf_finish(&text);
}

static void send_moved(struct ws_conn *c, uint64_t after)
{
	struct buf text;
	buf_init(&text);
	reader_start_moved(&text, after);
	ws_send_text(c, &text);
	buf_finish(&text);
}

static void send_gap(struct ws_conn *c, const struct gap *gap)
{
	struct buf text;
	buf_init(&text);
	gap_write(&text, gap);
	ws_send_text(c, &text);
	buf_finish(&text);
}

/* Sent once, when the replay has caught up. */
static void send_live(struct ws_conn *c)
{
	struct buf text;
	if (ws_reader_was_live(c))
		return;
	buf_init(&text);
	buf_printf(&text, "{\"op\":\"live\",\"seq\":%" PRIu64 "}", ws_after(c));
	ws_send_text(c, &text);
	buf_finish(&text);
	ws_note_reported(c, ws_after(c));
}

static void send_error(struct ws_conn *c, int status, const struct fault *fault)
{
	ws_error(c, status, fault, (struct slice){"", 0});
}

const struct ws_profile ws_v1 = {
	.path = "/v1/ws",
	.permission = PERMISSION_READ,
	.query = WS_QUERY,
	.reads = true,
	.encoding = ENCODING_WS,
	.counts = WSM_SENT,
	.open = send_hello,
	.message = on_message,
	.error = send_error,
	.gap = send_gap,
	.live = send_live,
	.checkpoint = send_checkpoint,
	.moved = send_moved,
};
