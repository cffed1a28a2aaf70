#include "net/pace.h"

#include "base/clock.h"

/* Brings it up to this moment. */
static void advance(struct pace *p)
{
	int64_t now = clock_mono_ms();
	if (p->started && !p->held)
		p->moment_ms += (double)(now - p->mono_ms) * p->speed;
	p->mono_ms = now;
}

int64_t pace_wait(struct pace *p, int64_t event_time_ms)
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

void pace_change(struct pace *p, double speed)
{
	advance(p);
	p->started = p->started && speed > 0;
	p->speed = speed;
}

void pace_hold(struct pace *p, bool held)
{
	advance(p);
	p->held = held;
}

void pace_jump(struct pace *p, int64_t event_time_ms)
{
	p->started = p->speed > 0;
	p->moment_ms = (double)event_time_ms;
}
