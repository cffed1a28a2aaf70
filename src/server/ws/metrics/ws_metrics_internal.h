/* The internals of the WebSocket metrics, shared by ws_metrics.c (counting, reporting) and ws_metrics_save.c (restarts). */
#ifndef SERVER_WS_METRICS_WS_METRICS_INTERNAL_H
#define SERVER_WS_METRICS_WS_METRICS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/data/map.h"
#include "base/list.h"
#include "server/ws/metrics/ws_metrics.h"

struct counters {
	uint64_t n[WSM_COUNT];
	uint64_t lag;
	uint64_t lag_max;
};

struct ws_client {
	struct list link;
	struct map_link by_name;
	int64_t seen_ms; /* monotonic */
	struct counters counters;
	uint64_t open; /* connections */
	bool saved;    /* equal to the saved counters */
	size_t name_len;
	char name[];
};

/* Counters of the writer that are reported with these. */
struct writers {
	uint64_t duplicates;
	uint64_t opens;
	uint64_t half_opens;
	uint64_t closes;
};

struct ws_metrics {
	struct writer_observer observer;
	bool (*persists)(const void *arg); /* NULL: the counters are saved */
	const void *persists_arg;
	_Atomic(struct writer *) writer; /* NULL: it has not started, or has ended */
	atomic_bool save_asked;
	pthread_mutex_t lock; /* guards everything below */
	int64_t started_ms;
	int64_t idle_ms;
	struct counters all;
	struct list clients;
	struct map by_name;
	int64_t latency_ms; /* sum */
	uint64_t latencies;
	struct buf texts[WS_TEXTS];
	struct counters loaded;       /* counted before this process */
	struct writers writer_loaded; /* the writer's, counted before this process */
	struct writers writer_saved;  /* the writer's, as last saved */
	bool changed;                 /* since the last save */
	bool last;                    /* the next commit is the last one */
	int64_t saved_ms;             /* monotonic */
};

/* With the lock held. NULL: no memory, or there are too many. */
struct ws_client *ws_metrics_client(struct ws_metrics *m, struct slice session);

#endif
