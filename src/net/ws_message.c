/* What clients say on a WebSocket: one JSON document a message, with an op. */
#include <stdlib.h>

#include "event/json.h"
#include "net/problem.h"
#include "net/ws_conn.h"

enum { REF_MAX = 1024 };

static void refuse(struct ws_conn *c, const struct fault *fault, struct slice ref)
{
	ws_error(c, problem_status(fault->code), fault, ref);
}

/* --- publish --- */

static void on_committed(struct write_op *op)
{
	struct ws_publish *p = (struct ws_publish *)op;
	ws_wake(p->ws, &p->ws->answered, &p->in_inbox);
}

static void destroy(struct ws_publish *p)
{
	receipt_finish(&p->op.receipt);
	batch_destroy(p->op.batch);
	free(p->ref_text);
	free(p);
}

static void say_published(struct ws_conn *c, struct ws_publish *p)
{
	const struct receipt *r = &p->op.receipt;
	struct buf text;
	buf_init(&text);
	buf_adds(&text, "{\"op\":\"published\"");
	ws_add_ref(&text, p->ref);
	buf_printf(&text, ",\"first\":%llu,\"last\":%llu,\"count\":%llu,\"duplicates\":%llu", (unsigned long long)r->first,
		   (unsigned long long)r->last, (unsigned long long)r->count, (unsigned long long)r->duplicates);
	for (size_t i = 0; r->seqs != NULL && i < batch_count(p->op.batch); i++)
		buf_printf(&text, "%s%llu", i == 0 ? ",\"seqs\":[" : ",", (unsigned long long)r->seqs[i]);
	buf_adds(&text, r->seqs != NULL ? "]}" : "}");
	ws_say(c, &text);
	buf_finish(&text);
}

void ws_answer(struct ws_publish *p)
{
	struct ws_conn *c = p->conn;
	if (c != NULL) {
		list_remove(&p->in_conn);
		c->publish_count--;
		if (p->op.err)
			refuse(c, &p->op.fault, p->ref);
		else
			say_published(c, p);
		ws_throttle(c);
	}
	destroy(p);
}

void ws_forget_publishes(struct ws_conn *c)
{
	LIST_EACH (link, &c->publishes) {
		struct ws_publish *p = LIST_ITEM(link, struct ws_publish, in_conn);
		list_remove(link);
		p->conn = NULL;
	}
}

/* The message belongs to the batch from here on: its events are slices of it. */
static void publish(struct ws_conn *c, struct slice events, struct slice ref)
{
	struct fault fault;
	struct ws_publish *p = calloc(1, sizeof *p);
	char *ref_text = malloc(ref.len + 1);
	enum err err = p != NULL && ref_text != NULL ? ERR_NONE : fault_set(&fault, ERR_NOMEM, "out of memory");
	if (!err) {
		memcpy(ref_text, ref.p, ref.len);
		p->ref_text = ref_text;
		p->ref = ref = (struct slice){ref_text, ref.len};
		p->op.done = on_committed;
		p->ws = c->ws;
		p->conn = c;
		list_init(&p->in_conn);
		list_init(&p->in_inbox);
		char *text = c->in.data;
		c->in = (struct buf){0};
		err = batch_from_value_take(events, text, c->ws->options.limits, &p->op.batch, &fault);
	}
	if (!err)
		err = writer_submit(c->ws->options.writer, &p->op, &fault);
	if (err) {
		refuse(c, &fault, ref);
		if (p != NULL)
			destroy(p);
		else
			free(ref_text);
		return;
	}
	list_append(&c->publishes, &p->in_conn);
	c->publish_count++;
}

/* --- the other ops --- */

static void acknowledge(struct ws_conn *c, struct slice message, struct slice ref)
{
	struct fault fault;
	struct slice value;
	uint64_t seq;
	uint64_t head = feed_head(c->ws->options.feed);
	enum err err = ERR_NONE;
	if (!json_member(message, "seq", &value) || !json_sequence(value, &seq))
		err = fault_set(&fault, ERR_INVALID, "ack wants \"seq\": a number from 0 to 9007199254740991");
	else if (c->session == NULL)
		err = fault_set(&fault, ERR_INVALID, "ack goes with a session: connect with ?session=NAME");
	else if (seq > head)
		err = fault_set(&fault, ERR_INVALID, "ack: %llu is past the head, which is %llu", (unsigned long long)seq,
				(unsigned long long)head);
	else if (sessions_ack(c->ws->options.sessions, ws_session(c), c, seq) == ERR_NONE)
		writer_poke(c->ws->options.writer);
	if (err)
		refuse(c, &fault, ref);
}

static void pong(struct ws_conn *c)
{
	struct buf text;
	buf_init(&text);
	buf_printf(&text, "{\"op\":\"pong\",\"head\":%llu}", (unsigned long long)feed_head(c->ws->options.feed));
	ws_say(c, &text);
	buf_finish(&text);
}

static bool is_op(struct slice op, const char *name)
{
	return op.len >= 2 && json_kind(op) == JSON_STRING && json_key_is((struct slice){op.p + 1, op.len - 2}, name);
}

static void obey(struct ws_conn *c, struct slice message)
{
	struct slice op = {"", 0};
	struct slice ref = {"", 0};
	struct slice events;
	struct fault fault;
	json_member(message, "op", &op);
	json_member(message, "ref", &ref);
	if (ref.len > REF_MAX) {
		fault_set(&fault, ERR_INVALID, "\"ref\" is longer than %d bytes", REF_MAX);
		refuse(c, &fault, (struct slice){"", 0});
	} else if (is_op(op, "publish")) {
		bool fine = json_member(message, "events", &events) && json_kind(events) == JSON_ARRAY;
		if (fine)
			publish(c, events, ref);
		else
			refuse(c, (fault_set(&fault, ERR_INVALID, "publish wants \"events\": an array of events"), &fault),
			       ref);
	} else if (is_op(op, "ack")) {
		acknowledge(c, message, ref);
	} else if (is_op(op, "ping")) {
		pong(c);
	} else {
		fault_set(&fault, ERR_INVALID, "a message wants an \"op\": publish, ack or ping");
		refuse(c, &fault, ref);
	}
}

void ws_message(struct ws_conn *c)
{
	struct slice none = {"", 0};
	struct slice message = {c->in.data, 0};
	struct json_error error;
	struct fault fault;
	if (c->in.len == 0)
		refuse(c, (fault_set(&fault, ERR_INVALID, "the message is empty"), &fault), none);
	else if (!json_minify(c->in.data, c->in.len, c->in.data, &message.len, &error))
		refuse(c, (fault_set(&fault, ERR_INVALID, "not JSON at byte %zu: %s", error.offset, error.what), &fault),
		       none);
	else if (json_kind(message) != JSON_OBJECT)
		refuse(c, (fault_set(&fault, ERR_INVALID, "a message is a JSON object"), &fault), none);
	else
		obey(c, message);
}
