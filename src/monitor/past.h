/* Events of the services as they were, read back from the store: on a thread that may wait for the disk. Always bounded. */
#ifndef MONITOR_PAST_H
#define MONITOR_PAST_H

#include "monitor/monitor.h"
#include "tidemark/history.h"

enum { PAST_EVENTS_MAX = 10000, PAST_BYTES_MAX = 15 * 1024 * 1024, PAST_EXPORTS_MAX = 100 };

struct past_query {
	enum service service; /* SERVICES: all; SERVICE_NONE: nothing is found */
	uint64_t before;      /* exclusive seq; 0: up to the head */
	int64_t since_ms;     /* 0: from the first event on */
	uint32_t limit;       /* events, the newest; 0: PAST_EVENTS_MAX */
	bool with_stats;      /* each with its service's figures as they were then; goes without `before` */
	bool by_service;      /* oldest first, one service after another; otherwise newest first */
	bool oldest_first;    /* of all together */
	unsigned services;    /* of SERVICES, only those of these bits; 0: all */
};

/* Appends an array of events in the stored shape. */
enum err past_write(struct monitor *m, struct store *store, struct reader *reader, const struct past_query *q,
		    struct buf *out, struct fault *fault);

/* Writes the document that `export` asks for into a file under DIR/exports, in place of one of that name. `name` is what the
 * client said: only its last part counts. Appends the name that the file got. */
enum err past_export(struct monitor *m, struct store *store, struct reader *reader, struct slice name, struct buf *resolved,
		     struct fault *fault);

#endif
