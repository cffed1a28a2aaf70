/* Replaying with the original timing, `speed` times as fast. */
#ifndef NET_PACE_H
#define NET_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct pace {
	double speed; /* 0: as fast as the reader reads */
	bool started;
	int64_t start_mono_ms;
	int64_t first_time_ms; /* of the first event */
};

/* Milliseconds until an event of that time is due; 0: now. The first event asked about sets the start. */
int64_t pace_wait(struct pace *p, int64_t event_time_ms);

#endif
