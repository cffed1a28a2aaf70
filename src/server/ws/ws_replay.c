/* A replay that its reader controls (docs/decisions/0030-steered-replays.md). Runs on the ws thread. */
#include "server/ws/ws_conn.h"

#include <stdio.h>

/* The position where the replay continues. */
static uint64_t position_of(const struct ws_conn *c)
{
	struct feed *feed = c->ws->options.feed;
	struct gap gap;
	uint64_t after = cursor_after(c->cursor);
	if (c->seeking)
		position_find(feed_store(feed), feed_head(feed), &c->seek, &after, &gap);
	return after;
}

static void send_replaying(struct ws_conn *c, struct slice ref)
{
	struct document d;
	struct doc root = document_begin(&d);
	doc_string(root, "op", "replaying");
	doc_u64(root, "after", position_of(c));
	if (c->speed.speed > 0) {
		char speed[32];
		snprintf(speed, sizeof speed, "%.15g", c->speed.speed);
		doc_raw(root, "speed", slice_of(speed));
	} else {
		doc_null(root, "speed");
	}
	doc_bool(root, "paused", c->paused);
	ws_send_document(c, &d, ref);
}

static void set_paused(struct ws_conn *c, bool paused)
{
	replay_speed_hold(&c->speed, paused);
	c->paused = paused;
	c->steps = 0;
}

static void run_control(struct ws_conn *c, const struct op *op)
{
	switch (op->kind) {
	case OP_PAUSE: set_paused(c, true); break;
	case OP_RESUME: set_paused(c, false); break;
	case OP_STEP:
		if (!c->paused)
			set_paused(c, true);
		c->steps = op->seq <= UINT64_MAX - c->steps ? c->steps + op->seq : UINT64_MAX;
		break;
	case OP_SPEED: replay_speed_change(&c->speed, op->speed); break;
	case OP_SEEK: c->seeking = reader_query_position(op->after, &c->seek); break;
	default: break;
	}
}

void ws_steer(struct ws_conn *c, const struct op *op)
{
	if (c->cursor == NULL) /* the client was sent the error, and the connection is being closed */
		return;
	run_control(c, op);
	send_replaying(c, op->ref);
	if (c->seeking)
		ws_seek(c);
	else
		ws_pump(c);
}

void ws_seek(struct ws_conn *c)
{
	if (c->wait == WAIT_LOAD)
		return;
	c->seeking = false;
	ws_go_to(c, c->seek);
	ws_pump(c);
}
