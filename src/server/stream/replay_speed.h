/* Replays with the original timing, `speed` times as fast. The replay is at a moment of the log, which advances with the
 * clock unless the replay is held. */
#ifndef SERVER_STREAM_REPLAY_SPEED_H
#define SERVER_STREAM_REPLAY_SPEED_H

#include <stdbool.h>
#include <stdint.h>

struct replay_speed {
	double speed; /* 0: as fast as the reader reads */
	bool started;
	bool held;
	int64_t mono_ms;  /* monotonic: when the replay was at `moment_ms` */
	double moment_ms; /* Unix */
};

/* Milliseconds until an event of that time is due; 0: now. The first call sets the moment where the replay begins. Not
 * while it is held. */
int64_t replay_speed_wait(struct replay_speed *p, int64_t event_time_ms);
/* Changes the speed from now on. */
void replay_speed_change(struct replay_speed *p, double speed);
/* Stops the moment, or lets it advance again. */
void replay_speed_hold(struct replay_speed *p, bool held);
/* An event of that time was sent while the replay was held: continues from there. */
void replay_speed_jump(struct replay_speed *p, int64_t event_time_ms);

#endif
