#include "net/pace.h"

#include "base/clock.h"

int64_t pace_wait(struct pace *p, int64_t event_time_ms)
{
	if (p->speed <= 0)
		return 0;
	int64_t now = clock_mono_ms();
	if (!p->started) {
		p->started = true;
		p->start_mono_ms = now;
		p->first_time_ms = event_time_ms;
	}
	int64_t due = p->start_mono_ms + (int64_t)((double)(event_time_ms - p->first_time_ms) / p->speed);
	return due > now ? due - now : 0;
}
