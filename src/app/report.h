/* What stopping the server has come to: a line of the log, and where the monitoring profile was in use, an event of it. */
#ifndef APP_REPORT_H
#define APP_REPORT_H

#include "engine/write/writer.h"
#include "server/stream/waiters.h"
#include "server/ws/ws.h"

struct report {
	const char *signal; /* a static text; NULL: the server did not come up */
	int64_t begun_ms;   /* monotonic */
	int64_t started_ms; /* the same, of the server */
	uint64_t events;    /* committed before */
	uint64_t flushed;   /* committed since */
	uint64_t left;      /* events that readers had not been sent when they were closed: they stay in the log */
	uint64_t behind;    /* such readers */
	uint64_t closed;    /* connections of readers and publishers */
};

void report_begin(struct report *r, const char *signal, int64_t started_ms, struct writer *w, struct ws *ws,
		  struct waiters *p);
/* Everything that was accepted is committed, and everybody is seen off. */
void report_end(struct report *r, struct writer *w, struct ws *ws, struct waiters *p);
/* The event; NULL where there is no memory. */
struct batch *report_batch(const struct report *r);
void report_log(const struct report *r);

#endif
