/* Whether the peer of a connection responds: pings, and the last sign of it. */
#include <string.h>

#include "base/system/clock.h"
#include "server/ws/ws_conn.h"

static void note_alive(struct ws_conn *c)
{
	c->alive.seen_ms = clock_wall_ms();
	c->alive.heard_ms = clock_mono_ms();
	c->alive.pinged_ms = 0;
}

int64_t ws_note_message(struct ws_conn *c)
{
	note_alive(c);
	c->alive.spoke_ms = c->alive.heard_ms;
	return c->alive.heard_ms;
}

void ws_alive_init(struct ws_conn *c)
{
	pulse_start(&c->alive.pulse, clock_mono_ms());
	ws_note_message(c);
}

void ws_note_reconnect(struct ws_conn *c)
{
	c->alive.pulse.reconnections++;
	c->ws->pulse.reconnections++;
	ws_metrics_count(c->ws->metrics, ws_session(c), WSM_RECONNECT, 1);
}

bool ws_is_silent(const struct ws_conn *c, int64_t now)
{
	return c->profile->publishes && now - c->alive.spoke_ms >= c->ws->options.silence_ms;
}

bool ws_is_overdue(const struct ws_conn *c, int64_t now_ms)
{
	int64_t ping_ms = c->ws->options.ping_ms;
	return c->alive.pinged_ms != 0 && now_ms - c->alive.pinged_ms >= ping_ms &&
	       now_ms - c->alive.heard_ms >= 2 * ping_ms;
}

/* The payload is not empty: libwebsockets does not report an empty pong. */
static void ping(struct ws_conn *c, int64_t now)
{
	unsigned char frame[LWS_PRE + sizeof now];
	memcpy(frame + LWS_PRE, &now, sizeof now);
	c->alive.pinged_ms = c->alive.trip_ms = now;
	c->alive.ping_us = clock_mono_us();
	lws_write(c->wsi, frame + LWS_PRE, sizeof now, LWS_WRITE_PING);
}

void ws_ping_if_due(struct ws_conn *c, int64_t now_ms)
{
	int64_t ping_ms = c->ws->options.ping_ms;
	bool measure = c->profile->measures && c->alive.ping_us == 0 &&
		       (c->alive.trip_ms == 0 || now_ms - c->alive.trip_ms >= ping_ms);
	if (c->alive.pinged_ms == 0 && (now_ms - c->alive.heard_ms >= ping_ms || measure))
		ping(c, now_ms);
}

void ws_pong(struct ws_conn *c)
{
	if (c->alive.ping_us != 0) {
		int64_t us = clock_mono_us();
		pulse_trip(&c->alive.pulse, us / 1000, us - c->alive.ping_us);
		pulse_trip(&c->ws->pulse, us / 1000, us - c->alive.ping_us);
	}
	c->alive.ping_us = 0;
	note_alive(c);
}

int64_t ws_silent_ms(const struct ws_conn *c, int64_t now_ms)
{
	return now_ms - c->alive.heard_ms;
}

int64_t ws_seen_ms(const struct ws_conn *c)
{
	return c->alive.seen_ms;
}

const struct pulse *ws_pulse(const struct ws_conn *c)
{
	return &c->alive.pulse;
}

void ws_excuse_silence(struct ws_conn *c, int64_t now_ms)
{
	c->alive.spoke_ms = now_ms;
}

void ws_excuse_pong(struct ws_conn *c, int64_t now_ms)
{
	c->alive.heard_ms = now_ms;
	c->alive.pinged_ms = 0;
}
