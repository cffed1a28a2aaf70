/* Events of the services as they were, read back from the store: on a thread that may wait for the disk. Always bounded. */
#ifndef PROFILES_MONITORING_SERVICES_SERVICE_HISTORY_H
#define PROFILES_MONITORING_SERVICES_SERVICE_HISTORY_H

#include "engine/read/cursor.h"
#include "profiles/monitoring/state/monitor.h"
#include "store/read/history.h"

enum { SERVICE_HISTORY_EVENTS_MAX = 10000, SERVICE_HISTORY_BYTES_MAX = 15 * 1024 * 1024, SERVICE_HISTORY_EXPORTS_MAX = 100 };

struct service_history_query {
	enum service service; /* SERVICES: all; SERVICE_NONE: nothing is found */
	uint64_t before;      /* exclusive seq; 0: up to the head */
	int64_t since_ms;     /* 0: from the first event on */
	uint32_t limit;       /* events, the newest; 0: SERVICE_HISTORY_EVENTS_MAX */
	bool with_stats;      /* each with its service's figures as they were then; {}: something is missing above it */
	bool oldest_first;    /* otherwise newest first */
	bool tells_more;      /* service_history_more is wanted: costs looking for one event more */
	unsigned services;    /* of SERVICES, only those of these bits; 0: all */
};

struct past;

enum err service_history_create(struct monitor *m, struct store *store, struct reader *reader,
				const struct service_history_query *q, struct past **out, struct fault *fault);
void service_history_destroy(struct past *p); /* NULL is fine */
/* Reads a page of the log. What is missing is gone past. *done: that was the last, or it has failed. */
enum err service_history_read(struct past *p, struct reader *reader, bool *done, struct fault *fault);
/* Where there is more before what was found: the `before` to go on with; 0: that was all of it. */
uint64_t service_history_more(const struct past *p);
/* Why something that was asked for cannot be read, for its archive is missing or damaged; NULL: nothing is. */
const struct fault *service_history_missing(const struct past *p);
/* What was removed of it; NULL: nothing was. */
const struct gap *service_history_gap(const struct past *p);
/* Appends an array of the events that were found, in the stored shape. */
void service_history_write(const struct past *p, struct buf *out);

/* Writes the document that `export` asks for into a file under DIR/exports, in place of one of that name. `name` is what the
 * client said: only its last part counts. Appends the name that the file got. */
enum err service_history_export(struct monitor *m, struct store *store, struct reader *reader, struct slice name,
				struct buf *resolved, struct fault *fault);

#endif
