/* Replaying with the original timing, `speed` times as fast. The replay is at a moment of the log, which moves on with the
 * time that passes here, unless it is held. */
#ifndef SERVER_STREAM_REPLAY_SPEED_H
#define SERVER_STREAM_REPLAY_SPEED_H

#include <stdbool.h>
#include <stdint.h>

struct replay_speed {
	double speed; /* 0: as fast as the reader reads */
	bool started;
	bool held;
	int64_t mono_ms;  /* when the replay was at `moment_ms` */
	double moment_ms; /* Unix */
};

/* Milliseconds until an event of that time is due; 0: now. The first event asked about is where the replay begins. Not while
 * it is held. */
int64_t replay_speed_wait(struct replay_speed *p, int64_t event_time_ms);
/* From this moment on so many times as fast. */
void replay_speed_change(struct replay_speed *p, double speed);
/* The moment stands still, or moves on. */
void replay_speed_hold(struct replay_speed *p, bool held);
/* An event of that time was sent while it stood still: there the replay goes on. */
void replay_speed_jump(struct replay_speed *p, int64_t event_time_ms);

#endif
