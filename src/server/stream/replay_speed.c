#include "server/stream/replay_speed.h"

#include "base/system/clock.h"

/* Advances the moment to the current time. */
static void advance(struct replay_speed *p)
{
	int64_t now = clock_mono_ms();
	if (p->started && !p->held)
		p->moment_ms += (double)(now - p->mono_ms) * p->speed;
	p->mono_ms = now;
}

int64_t replay_speed_wait(struct replay_speed *p, int64_t event_time_ms)
{
	if (p->speed <= 0)
		return 0;
	int64_t now = clock_mono_ms();
	if (!p->started) {
		p->started = true;
		p->mono_ms = now;
		p->moment_ms = (double)event_time_ms;
	}
	int64_t due = p->mono_ms + (int64_t)(((double)event_time_ms - p->moment_ms) / p->speed);
	return due > now ? due - now : 0;
}

void replay_speed_change(struct replay_speed *p, double speed)
{
	advance(p);
	p->started = p->started && speed > 0;
	p->speed = speed;
}

void replay_speed_hold(struct replay_speed *p, bool held)
{
	advance(p);
	p->held = held;
}

void replay_speed_jump(struct replay_speed *p, int64_t event_time_ms)
{
	p->started = p->speed > 0;
	p->moment_ms = (double)event_time_ms;
}
