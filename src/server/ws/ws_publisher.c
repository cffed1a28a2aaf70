/* Publishers: each message is an event, and is answered once, in order, when it is durable. A client need
 * not read the answers: those that the socket does not take wait in a few bytes each (ack_list.h), and reading is paused
 * only when there are very many of them.
 *
 *     message ─▶ frame, at the end of conn.tasks ─▶ writer ─▶ done ─▶ conn.acks when all before it are ─▶ text ─▶ socket
 *                  (what cannot be stored is done at once)                                                       */
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "server/ws/ws_conn.h"

enum {
	RETRY_US = 20000,                 /* after the writer's queue was full, or a rate limit was reached */
	SEND_BYTES = 16 * 1024,           /* at most this many bytes of answers in one write */
	ANSWER_MAX = ACKS_TEXT_MAX + 512, /* bytes */
	PACKET_COST = 8,                  /* kernel memory of a packet, relative to its bytes, at worst */
};

struct frame {
	struct write_op op; /* first member: the writer hands it back */
	struct ws_task task;
	bool submitted;
	bool charged; /* counted against the publish rate */
	bool done;
	struct slice echo; /* repeated in the answer; owned; p NULL: none */
};

static void destroy(struct frame *f)
{
	receipt_finish(&f->op.receipt);
	batch_destroy(f->op.batch);
	free((char *)f->echo.p);
	free(f);
}

void ws_publisher_init(struct ws_conn *c)
{
	acks_init(&c->publishing.acks, c->ws->options.quotas, c->client);
}

void ws_publisher_finish(struct ws_conn *c)
{
	acks_finish(&c->publishing.acks);
}

/* --- answering --- */

bool ws_publisher_has_unsent(const struct ws_conn *c)
{
	return !acks_empty(&c->publishing.acks);
}

static bool is_over(const struct ws_conn *c)
{
	return c->publishing.acks.bytes > 0 && quota_room(c->ws->options.quotas, QUOTA_ACKS, c->client) == 0;
}

static void on_broken(struct ws_conn *c)
{
	c->publishing.write_failed = true;
	acks_clear(&c->publishing.acks);
}

bool ws_publisher_is_broken(const struct ws_conn *c)
{
	return c->publishing.write_failed;
}

/* Bytes that the socket takes for certain: the kernel counts a few hundred bytes of overhead per packet. */
static size_t socket_space(const struct ws_conn *c)
{
	uint32_t memory[SK_MEMINFO_VARS] = {0};
	socklen_t len = sizeof memory;
	if (getsockopt(c->fd, SOL_SOCKET, SO_MEMINFO, memory, &len) != 0 || memory[SK_MEMINFO_WMEM_QUEUED] == 0)
		return SEND_BYTES;
	uint32_t size = memory[SK_MEMINFO_SNDBUF];
	size_t free = size > memory[SK_MEMINFO_WMEM_QUEUED] ? (size - memory[SK_MEMINFO_WMEM_QUEUED]) / PACKET_COST : 0;
	return free < SEND_BYTES ? free : SEND_BYTES;
}

static void fill_out(struct ws_conn *c)
{
	struct buf text;
	struct buf own;
	buf_init(&text);
	buf_init(&own);
	for (size_t space = socket_space(c);
	     !acks_empty(&c->publishing.acks) && c->out.len + ANSWER_MAX < space && c->close_code == 0;) {
		struct ack ack;
		acks_take(&c->publishing.acks, &ack, &own);
		text.len = 0;
		text.failed = text.failed || buf_failed(&own);
		c->profile->answer(&text, &ack);
		ws_send_text(c, &text);
	}
	buf_finish(&text);
	buf_finish(&own);
}

/* Frames are sent whole, and no rest is left to libwebsockets: it would close the connection of a peer that has gone
 * before the peer's messages were read. */
static void drain(struct ws_conn *c)
{
	while (!acks_empty(&c->publishing.acks) && c->close_code == 0 && !lws_partial_buffered(c->wsi)) {
		fill_out(c);
		if (c->out.len == 0 || !ws_send_out(c))
			break;
	}
	if (!acks_empty(&c->publishing.acks))
		lws_callback_on_writable(c->wsi);
	ws_throttle(c);
}

static void keep_answer(struct ws_conn *c, const struct frame *f)
{
	const struct receipt *r = &f->op.receipt;
	struct ack ack = {r->duplicates > 0 ? ACK_DUPLICATE : ACK_STORED, r->first, f->echo};
	if (f->op.err)
		ack = (struct ack){ACK_REFUSED, 0, slice_of(f->op.fault.text)};
	if (!c->publishing.write_failed && !acks_add(&c->publishing.acks, &ack))
		ws_hang_up(c, LWS_CLOSE_STATUS_UNEXPECTED_CONDITION, "out of memory");
}

/* Is the limit of pending frames reached, or is there one that could not be submitted yet? Then reading is paused. */
static bool is_full(const struct ws_conn *c)
{
	if (list_empty(&c->tasks))
		return false;
	const struct frame *last = LIST_ITEM(LIST_ITEM(c->tasks.prev, struct ws_task, in_conn), struct frame, task);
	return !last->submitted || c->task_count >= c->profile->most(c);
}

/* Answers finished frames in order. */
static void answer(struct ws_conn *c)
{
	while (!list_empty(&c->tasks)) {
		struct frame *f = LIST_ITEM(LIST_ITEM(c->tasks.next, struct ws_task, in_conn), struct frame, task);
		if (!f->done)
			break;
		keep_answer(c, f);
		ws_task_end(&f->task);
		destroy(f);
	}
	c->busy = is_full(c);
	ws_throttle(c);
}

/* --- storing --- */

static void on_committed(struct write_op *op)
{
	ws_task_done(&((struct frame *)op)->task);
}

static void on_retry(lws_sorted_usec_list_t *timer);

static enum err submit(struct ws_conn *c, struct frame *f, struct fault *fault)
{
	int retry_s; /* unused: it is retried after RETRY_US */
	enum err err = f->charged ? ERR_NONE : rates_take(c->ws->options.rates, c->client, 1, &retry_s, fault);
	f->charged = f->charged || !err;
	return err ? err : writer_submit(c->ws->options.writer, &f->op, fault);
}

/* Submits, in order, the frames that wait for space in the writer's queue or for the rate limit. */
static void submit_waiting(struct ws_conn *c)
{
	LIST_EACH (link, &c->tasks) {
		struct frame *f = LIST_ITEM(LIST_ITEM(link, struct ws_task, in_conn), struct frame, task);
		if (f->submitted)
			continue;
		struct fault fault;
		enum err err = submit(c, f, &fault);
		if (err == ERR_BUSY || err == ERR_RATE) {
			lws_sul_schedule(c->ws->context, 0, &c->timer, on_retry, RETRY_US);
			break;
		}
		f->submitted = true;
		f->task.away = err == ERR_NONE; /* then the writer owns the op */
		if (!err)
			continue;
		f->done = true;
		f->op.err = err;
		f->op.fault = fault;
	}
}

static void on_retry(lws_sorted_usec_list_t *timer)
{
	struct ws_conn *c = lws_container_of(timer, struct ws_conn, timer);
	submit_waiting(c);
	answer(c);
	ws_pump_out(c);
}

static void on_done(struct ws_task *task)
{
	struct frame *f = LIST_ITEM(task, struct frame, task);
	struct ws_conn *c = task->conn;
	f->done = true;
	f->task.away = false;
	if (c == NULL)
		destroy(f);
	else
		answer(c);
}

/* Appends a frame; `why`: it is refused already, NULL: it is not. */
static void add_frame(struct ws_conn *c, struct buf *text, const struct fault *why)
{
	struct frame *f = calloc(1, sizeof *f);
	if (f == NULL) {
		ws_hang_up(c, LWS_CLOSE_STATUS_UNEXPECTED_CONDITION, "out of memory");
		return;
	}
	f->op.done = on_committed;
	f->op.client = c->number;
	f->op.account = c->client;
	ws_task_begin(c, &f->task, on_done);
	f->task.away = false;
	if (why != NULL) {
		f->op.fault = *why;
		f->op.err = why->code;
	} else {
		f->op.err = c->profile->read(c, text, &f->op, &f->echo, &f->op.fault);
	}
	f->submitted = f->done = f->op.err != ERR_NONE;
	submit_waiting(c);
	answer(c);
}

void ws_publisher_message(struct ws_conn *c, struct buf *text)
{
	add_frame(c, text, NULL);
}

void ws_publisher_refuse(struct ws_conn *c, const struct fault *fault)
{
	add_frame(c, NULL, fault);
}

const struct ws_replier ws_publisher = {drain, is_over, on_broken};
