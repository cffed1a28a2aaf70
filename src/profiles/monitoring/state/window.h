/* The last minutes of each service, second by second, with all response times, for the rules of the auditor and the
 * current figures. Kept in memory only; on opening it is filled from the log, as far as the log has the events. */
#ifndef PROFILES_MONITORING_STATE_WINDOW_H
#define PROFILES_MONITORING_STATE_WINDOW_H

#include "profiles/monitoring/event/flat.h"
#include "profiles/monitoring/state/histogram.h"

enum { WINDOW_SECONDS = 600, WINDOW_ERRORS = 8 };

struct window;

struct window *window_create(void);
void window_destroy(struct window *w);

void window_add(struct window *w, const struct flat *f);

/* Events may be missing before the next one that is added, so the second of that event is incomplete. */
void window_miss(struct window *w);
/* No event is missing from now on (Unix). */
void window_settle(struct window *w, int64_t now_ms);
/* The first full second at or after `since_ms` from which on no event is missing. */
int64_t window_since(const struct window *w, int64_t since_ms);

struct window_figures {
	uint64_t events;
	uint64_t errors; /* see flat_is_error */
	uint64_t timed;  /* number of response times for the quantile */
	double p95_ms;
};
/* Adds the events of a service since a time (at most WINDOW_SECONDS ago, in full seconds) to the figures, and their
 * response times to `times`, from which window_rank computes the quantile without the window. */
void window_read(const struct window *w, enum service service, int64_t since_ms, struct window_figures *out,
		 struct histogram_sum *times);
/* Sets the quantile. */
void window_rank(struct window_figures *f, const struct histogram_sum *times);
/* The seqs of the newest failed events, newest first; returns their number. */
int window_errors(const struct window *w, enum service service, uint64_t seqs[WINDOW_ERRORS]);

#endif
