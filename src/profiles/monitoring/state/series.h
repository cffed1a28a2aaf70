/* A day of one service, minute by minute. */
#ifndef PROFILES_MONITORING_STATE_SERIES_H
#define PROFILES_MONITORING_STATE_SERIES_H

#include "profiles/monitoring/event/flat.h"

enum { SERIES_MINUTES = 24 * 60, MINUTE_MS = 60 * 1000 };

struct minute {
	int64_t minute; /* Unix; what is older than a day is overwritten */
	uint64_t events;
	uint64_t errors; /* flat_is_error */
	uint64_t bytes;
	uint64_t timed;
	uint64_t timed_us;
};

struct series {
	int64_t newest; /* minute */
	struct minute minutes[SERIES_MINUTES];
};

void minute_add(struct minute *m, const struct flat *f);
/* Adds what another one has. */
void minute_join(struct minute *m, const struct minute *more);
void series_add(struct series *s, const struct flat *f);
/* Adds what another service had in these minutes. */
void series_join(struct series *s, const struct series *other);

/* {"<Unix second>":{"count","errors","total_bytes","avg_response_time"},…}: buckets of `interval` minutes, of the events
 * since a time; empty ones are left out. `first`: what counts of the minute of that time; NULL: all of it does. */
void series_write(struct buf *out, const struct series *s, int64_t interval, int64_t since_ms, const struct minute *first);

void minute_save(struct buf *out, const struct minute *m);
/* Puts a saved minute back. */
bool series_load(struct series *s, int64_t minute, struct slice text);

#endif
