/* Reads back events of the services from the store, on a thread that may block on the disk. The number of events is
 * always bounded. */
#ifndef PROFILES_MONITORING_SERVICES_SERVICE_HISTORY_H
#define PROFILES_MONITORING_SERVICES_SERVICE_HISTORY_H

#include "engine/read/cursor.h"
#include "profiles/monitoring/state/monitor.h"
#include "store/read/history.h"

enum { SERVICE_HISTORY_EVENTS_MAX = 10000, SERVICE_HISTORY_BYTES_MAX = 15 * 1024 * 1024, SERVICE_HISTORY_EXPORTS_MAX = 100 };

struct service_history_query {
	enum service service; /* SERVICES: all; SERVICE_NONE: no event matches */
	uint64_t before;      /* exclusive; 0: up to the head */
	int64_t since_ms;     /* 0: from the first event on */
	uint32_t limit;       /* newest events; 0: SERVICE_HISTORY_EVENTS_MAX */
	bool with_stats;      /* add to each event its service's figures at that time; {} if events after it are missing */
	bool oldest_first;    /* default: newest first */
	bool wants_more;      /* service_history_more will be called: reads one event more */
	unsigned services;    /* bits of the services to include; 0: all */
};

struct service_history;

enum err service_history_create(struct monitor *m, struct store *store, struct reader *reader,
				const struct service_history_query *q, struct service_history **out, struct fault *fault);
void service_history_destroy(struct service_history *p); /* NULL is fine */
/* Reads one page of the log, skipping missing events. *done: that was the last page, or it has failed. */
enum err service_history_read(struct service_history *p, struct reader *reader, bool *done, struct fault *fault);
/* The `before` to continue with, if there are older events; 0: there are none. */
uint64_t service_history_more(const struct service_history *p);
/* Why requested events cannot be read: their archive is missing or damaged. NULL: all were read. */
const struct fault *service_history_missing(const struct service_history *p);
/* Requested events that retention has removed; NULL: none. */
const struct gap *service_history_gap(const struct service_history *p);
/* Appends an array of the events, in the stored shape. */
void service_history_write(const struct service_history *p, struct buf *out);

/* Writes the document for the command `export` to a file under DIR/exports, replacing a file of the same name. Only the
 * last segment of `name`, which the client chose, is used. Appends the actual file name. */
enum err service_history_export(struct monitor *m, struct store *store, struct reader *reader, struct slice name,
				struct buf *resolved, struct fault *fault);

#endif
