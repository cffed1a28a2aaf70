/* The minute in which a series begins. The monitor keeps whole minutes, so the events of that minute are counted from the
 * log, second by second. The most recent minutes are cached, so that dashboards that ask every few seconds cause one read
 * per minute. On threads that may block on the disk. */
#ifndef PROFILES_MONITORING_STATE_BOUNDARY_H
#define PROFILES_MONITORING_STATE_BOUNDARY_H

#include "profiles/monitoring/state/series.h"
#include "store/read/history.h"

struct boundaries; /* the cache; any thread */
struct boundary;   /* a minute that is being read */

struct boundaries *boundaries_create(void);
void boundaries_destroy(struct boundaries *all);

enum err boundary_create(struct boundaries *all, struct store *store, struct reader *reader, int64_t since_ms,
			 struct boundary **out, struct fault *fault);
void boundary_destroy(struct boundary *b); /* NULL is fine */
/* Reads one page of the log. *done: that was the last page, or it has failed. Evicted events that are lost are not
 * counted. */
enum err boundary_read(struct boundary *b, struct reader *reader, bool *done, struct fault *fault);
/* The events of a service, or of all (SERVICES), from the first full second of the series to the end of its first minute. */
struct minute boundary_minute(const struct boundary *b, enum service service);

#endif
