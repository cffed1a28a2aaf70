#include "server/ws/ws_profile.h"

#include <assert.h>

#include "server/ws/ws_conn.h"

const struct ws_profile *ws_profile_of(const struct ws_conn *c)
{
	return c->profile;
}

void *ws_state(const struct ws_conn *c)
{
	return c->state;
}

void ws_set_state(struct ws_conn *c, void *state)
{
	c->state = state;
}

const struct url *ws_url(const struct ws_conn *c)
{
	assert(c->request != NULL);
	return &c->request->url;
}

uint64_t ws_number(const struct ws_conn *c)
{
	return c->number;
}

const struct grant *ws_grant(const struct ws_conn *c)
{
	return &c->grant;
}

uint64_t ws_peer(const struct ws_conn *c)
{
	return c->peer;
}

struct buf *ws_message(struct ws_conn *c)
{
	return &c->incoming.text;
}

uint64_t ws_after(const struct ws_conn *c)
{
	return cursor_after(c->cursor);
}

void ws_ack(struct ws_conn *c, uint64_t seq)
{
	uint64_t sent;
	const struct ws_options *o = &c->ws->options;
	if (c->session != NULL && sessions_ack(o->sessions, ws_session(c), &c->reader, seq, &sent) == ERR_NONE)
		writer_poke(o->writer);
}

void ws_hold(struct ws_conn *c, bool held)
{
	c->held = held;
}

bool ws_is_held(const struct ws_conn *c)
{
	return c->held;
}

void ws_mute(struct ws_conn *c, bool muted)
{
	if (muted == c->muted)
		return;
	c->muted = muted;
	ws_pump(c);
}

void ws_pause(struct ws_conn *c, bool paused)
{
	c->busy = paused;
	ws_throttle(c);
}

bool ws_keeps_up(const struct ws_conn *c)
{
	return c->close_code == 0 && c->wait != WAIT_SOCKET && c->out.len == 0 && !lws_partial_buffered(c->wsi);
}

void ws_give_up(struct ws_conn *c)
{
	ws_hang_up(c, LWS_CLOSE_STATUS_UNEXPECTED_CONDITION, "out of memory");
}

void ws_each(struct ws *w, const struct ws_profile *profile, void (*each)(struct ws_conn *c, void *arg), void *arg)
{
	LIST_EACH (link, &w->all) {
		struct ws_conn *c = LIST_ITEM(link, struct ws_conn, in_all);
		if (c->profile == profile)
			each(c, arg);
	}
}
