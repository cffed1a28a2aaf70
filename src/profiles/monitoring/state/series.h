/* The figures of one service over a day, minute by minute. */
#ifndef PROFILES_MONITORING_STATE_SERIES_H
#define PROFILES_MONITORING_STATE_SERIES_H

#include "profiles/monitoring/event/flat.h"

enum { SERIES_MINUTES = 24 * 60, MINUTE_MS = 60 * 1000 };

struct minute {
	int64_t minute; /* Unix; overwritten after a day */
	uint64_t events;
	uint64_t errors; /* see flat_is_error */
	uint64_t bytes;
	uint64_t timed;
	uint64_t timed_us;
};

struct series {
	int64_t newest; /* minute */
	struct minute minutes[SERIES_MINUTES];
};

void minute_add(struct minute *m, const struct flat *f);
/* Adds the figures of another minute. */
void minute_join(struct minute *m, const struct minute *more);
void series_add(struct series *s, const struct flat *f);
/* Adds the figures of another service. */
void series_join(struct series *s, const struct series *other);

/* Appends {"<Unix second>":{"count","errors","total_bytes","avg_response_time"},…}: buckets of `interval` minutes with
 * the events since `since_ms`; empty ones are left out. `first`: the part of the first minute that counts; NULL: all of
 * it. */
void series_write(struct buf *out, const struct series *s, int64_t interval, int64_t since_ms, const struct minute *first);

void minute_save(struct buf *out, const struct minute *m);
/* Restores a saved minute. */
bool series_load(struct series *s, int64_t minute, struct slice text);

#endif
