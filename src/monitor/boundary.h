/* The minute in which a series begins is counted from the log, for what is kept of it is the whole minute: events before the
 * series begins are not of it. On a thread that may wait for the disk. */
#ifndef MONITOR_BOUNDARY_H
#define MONITOR_BOUNDARY_H

#include "monitor/monitor.h"
#include "monitor/series.h"
#include "tidemark/history.h"

struct boundary;

/* Of a service, or of all together (SERVICES), from `since_ms` to the end of its minute. */
enum err boundary_create(struct store *store, struct reader *reader, enum service service, int64_t since_ms,
			 struct boundary **out, struct fault *fault);
void boundary_destroy(struct boundary *b); /* NULL is fine */
/* Reads a page of the log. *done: that was the last, or it has failed. What has left the log for good is not counted. */
enum err boundary_read(struct boundary *b, struct reader *reader, bool *done, struct fault *fault);
/* What was found. */
const struct minute *boundary_minute(const struct boundary *b);

#endif
