#include "server/ws/ws_replay.h"

/* Where it goes on. */
static uint64_t place(const struct ws_conn *c)
{
	struct feed *feed = c->ws->options.feed;
	struct gap gap;
	uint64_t after = cursor_after(c->cursor);
	if (c->seeking)
		position_find(feed_store(feed), feed_head(feed), &c->seek, &after, &gap);
	return after;
}

static void say_replaying(struct ws_conn *c, struct slice ref)
{
	struct buf text;
	buf_init(&text);
	buf_printf(&text, "{\"op\":\"replaying\",\"after\":%llu,\"speed\":", (unsigned long long)place(c));
	if (c->speed.speed > 0)
		buf_printf(&text, "%.15g", c->speed.speed);
	else
		buf_adds(&text, "null");
	buf_printf(&text, ",\"paused\":%s", c->paused ? "true" : "false");
	ws_add_ref(&text, ref);
	buf_addc(&text, '}');
	ws_say(c, &text);
	buf_finish(&text);
}

static void set_paused(struct ws_conn *c, bool paused)
{
	replay_speed_hold(&c->speed, paused);
	c->paused = paused;
	c->steps = 0;
}

static void obey(struct ws_conn *c, const struct op *op)
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
	if (c->cursor == NULL) /* it has been told why, and goes */
		return;
	obey(c, op);
	say_replaying(c, op->ref);
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
