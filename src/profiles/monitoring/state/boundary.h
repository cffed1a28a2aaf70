/* The minute in which a series begins, second by second, is counted from the log, for what is kept of it is the whole
 * minute: events before the series begins are not of it. The newest minutes that were asked for are kept, so that dashboards
 * which ask every few seconds cost the log one look a minute. On threads that may wait for the disk. */
#ifndef PROFILES_MONITORING_STATE_BOUNDARY_H
#define PROFILES_MONITORING_STATE_BOUNDARY_H

#include "profiles/monitoring/state/series.h"
#include "store/read/history.h"

struct boundaries; /* those that are kept; any thread */
struct boundary;   /* one that is looked for */

struct boundaries *boundaries_create(void);
void boundaries_destroy(struct boundaries *all);

enum err boundary_create(struct boundaries *all, struct store *store, struct reader *reader, int64_t since_ms,
			 struct boundary **out, struct fault *fault);
void boundary_destroy(struct boundary *b); /* NULL is fine */
/* Reads a page of the log. *done: that was the last, or it has failed. What has left the log for good is not counted. */
enum err boundary_read(struct boundary *b, struct reader *reader, bool *done, struct fault *fault);
/* Of a service, or of all together (SERVICES): from the first whole second of the series to the end of its first minute. */
struct minute boundary_minute(const struct boundary *b, enum service service);

#endif
