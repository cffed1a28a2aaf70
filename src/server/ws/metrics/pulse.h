/* The state of a connection: its latest ping round trips, and what went wrong with it. Owned by its connection; not
 * thread-safe. */
#ifndef SERVER_WS_METRICS_PULSE_H
#define SERVER_WS_METRICS_PULSE_H

#include <stdint.h>

#include "json/document.h"

enum { PULSE_TRIPS = 10, PULSE_STALE_MS = 60 * 1000 };

struct pulse {
	int64_t started_ms;             /* monotonic */
	int64_t pinged_ms;              /* monotonic, of the last round trip; 0: none */
	uint32_t trips_us[PULSE_TRIPS]; /* ring buffer */
	uint32_t trips;                 /* total number so far */
	uint64_t reconnections;
	uint64_t timeouts;
};

void pulse_start(struct pulse *p, int64_t now_ms);
void pulse_trip(struct pulse *p, int64_t now_ms, int64_t us);

/* {"uptime_seconds",…,"status"}: connected while the last round trip is younger than a minute. */
void pulse_write(struct doc to, const struct pulse *p, int64_t now_ms);

#endif
