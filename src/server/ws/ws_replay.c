/* A reader that goes elsewhere: its client controls it (docs/decisions/0030-steered-replays.md), or its session was moved.
 */
#include "server/ws/ws_conn.h"

#include <stdio.h>

/* The position where the replay continues. */
static uint64_t position_of(const struct ws_conn *c)
{
	struct feed *feed = c->ws->options.feed;
	struct gap gap;
	uint64_t after = cursor_after(c->reading.cursor);
	if (c->reading.seeking)
		position_find(feed_store(feed), feed_head(feed), &c->reading.seek, &after, &gap);
	return after;
}

static void send_replaying(struct ws_conn *c, struct slice ref)
{
	struct document d;
	struct doc root = document_begin(&d);
	doc_string(root, "op", "replaying");
	doc_u64(root, "after", position_of(c));
	if (c->reading.speed.speed > 0) {
		char speed[32];
		snprintf(speed, sizeof speed, "%.15g", c->reading.speed.speed);
		doc_raw(root, "speed", slice_of(speed));
	} else {
		doc_null(root, "speed");
	}
	doc_bool(root, "paused", c->reading.paused);
	ws_send_document(c, &d, ref);
}

static void set_paused(struct ws_conn *c, bool paused)
{
	replay_speed_hold(&c->reading.speed, paused);
	c->reading.paused = paused;
	c->reading.steps = 0;
}

static void run_control(struct ws_conn *c, const struct op *op)
{
	switch (op->kind) {
	case OP_PAUSE: set_paused(c, true); break;
	case OP_RESUME: set_paused(c, false); break;
	case OP_STEP:
		if (!c->reading.paused)
			set_paused(c, true);
		c->reading.steps = op->seq <= UINT64_MAX - c->reading.steps ? c->reading.steps + op->seq : UINT64_MAX;
		break;
	case OP_SPEED: replay_speed_change(&c->reading.speed, op->speed); break;
	case OP_SEEK: c->reading.seeking = reader_query_position(op->after, &c->reading.seek); break;
	default: break;
	}
}

static void seek(struct ws_conn *c)
{
	if (c->reading.wait == WAIT_LOAD)
		return;
	c->reading.seeking = false;
	ws_go_to(c, c->reading.seek);
	ws_pump(c);
}

void ws_steer(struct ws_conn *c, const struct op *op)
{
	if (c->reading.cursor == NULL) /* the client was sent the error, and the connection is being closed */
		return;
	run_control(c, op);
	send_replaying(c, op->ref);
	if (c->reading.seeking)
		seek(c);
	else
		ws_pump(c);
}

static void move(struct ws_conn *c)
{
	uint64_t after;
	c->reading.moving = false;
	if (!sessions_take_move(c->ws->options.sessions, ws_session(c), &c->reader, &after))
		return;
	ws_go_to(c, (struct position){.after = after});
	if (c->profile->moved != NULL)
		c->profile->moved(c, after);
	ws_pump(c);
}

void ws_reader_wake(struct ws_conn *c, bool loaded, bool moved)
{
	bool was_loading = c->reading.wait == WAIT_LOAD;
	if (was_loading && loaded)
		c->reading.wait = WAIT_NOTHING;
	c->reading.moving = c->reading.moving || moved;
	if (c->reading.wait == WAIT_LOAD || c->reading.cursor == NULL)
		return;
	if (c->reading.moving)
		move(c);
	if (c->reading.seeking)
		seek(c);
	else if (was_loading && loaded)
		ws_pump(c);
}
