/* The last minutes of each service, second by second, and its newest response times: what the rules of the auditor and the
 * current figures look at. In memory only; on opening it is made again from the log. */
#ifndef MONITOR_WINDOW_H
#define MONITOR_WINDOW_H

#include "event/flat.h"

enum { WINDOW_SECONDS = 600, WINDOW_TIMES = 512, WINDOW_ERRORS = 8 };

struct window;

struct window *window_create(void);
void window_destroy(struct window *w);

void window_add(struct window *w, const struct flat *f);

struct window_figures {
	uint64_t events;
	uint64_t errors; /* direction error, or with an error text */
	uint64_t timed;  /* response times that the quantile is taken of */
	double p95_ms;
};
/* Response times that a quantile is taken of. */
struct window_times {
	uint64_t us[SERVICES * WINDOW_TIMES];
};
/* The events since a time (at most WINDOW_SECONDS ago) of one service, or of all (SERVICES), but for the quantile: that is
 * left to window_rank, which needs the window no longer. */
void window_read(const struct window *w, enum service service, int64_t since_ms, struct window_figures *out,
		 struct window_times *times);
/* Sorts the times, and adds the quantile. */
void window_rank(struct window_figures *f, struct window_times *times);
/* The seqs of the newest events that failed, newest first; returns how many. */
int window_errors(const struct window *w, enum service service, uint64_t seqs[WINDOW_ERRORS]);

#endif
