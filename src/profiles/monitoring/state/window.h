/* The last minutes of each service, second by second, with all its response times: what the rules of the auditor and the
 * current figures look at. In memory only; on opening it is made again from the log, as far as that has the events. */
#ifndef PROFILES_MONITORING_STATE_WINDOW_H
#define PROFILES_MONITORING_STATE_WINDOW_H

#include "profiles/monitoring/event/flat.h"
#include "profiles/monitoring/state/histogram.h"

enum { WINDOW_SECONDS = 600, WINDOW_ERRORS = 8 };

struct window;

struct window *window_create(void);
void window_destroy(struct window *w);

void window_add(struct window *w, const struct flat *f);

/* Events may be missing before the next one that is added: the second that it is in is not whole. */
void window_miss(struct window *w);
/* None is missing from now on (Unix). */
void window_settle(struct window *w, int64_t now_ms);
/* The beginning of the first second at or after a time from which on no event is missing. */
int64_t window_since(const struct window *w, int64_t since_ms);

struct window_figures {
	uint64_t events;
	uint64_t errors; /* flat_is_error */
	uint64_t timed;  /* response times that the quantile is taken of */
	double p95_ms;
};
/* Adds the events of a service since a time (at most WINDOW_SECONDS ago), in whole seconds, to the figures, and their
 * response times to those that the quantile is taken of: that is left to window_rank, which needs the window no longer. */
void window_read(const struct window *w, enum service service, int64_t since_ms, struct window_figures *out,
		 struct histogram_sum *times);
/* Adds the quantile. */
void window_rank(struct window_figures *f, const struct histogram_sum *times);
/* The seqs of the newest events that failed, newest first; returns how many. */
int window_errors(const struct window *w, enum service service, uint64_t seqs[WINDOW_ERRORS]);

#endif
