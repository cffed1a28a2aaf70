/* Replaying with the original timing, `speed` times as fast. The replay is at a moment of the log, which moves on with the
 * time that passes here, unless it is held. */
#ifndef NET_PACE_H
#define NET_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct pace {
	double speed; /* 0: as fast as the reader reads */
	bool started;
	bool held;
	int64_t mono_ms;  /* when the replay was at `moment_ms` */
	double moment_ms; /* Unix */
};

/* Milliseconds until an event of that time is due; 0: now. The first event asked about is where the replay begins. Not while
 * it is held. */
int64_t pace_wait(struct pace *p, int64_t event_time_ms);
/* From this moment on so many times as fast. */
void pace_change(struct pace *p, double speed);
/* The moment stands still, or moves on. */
void pace_hold(struct pace *p, bool held);
/* An event of that time was sent while it stood still: there the replay goes on. */
void pace_jump(struct pace *p, int64_t event_time_ms);

#endif
