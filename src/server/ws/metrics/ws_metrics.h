/* What happens to WebSocket connections and their events: over all, and for each named session. Counted where it happens, on
 * any thread, and read from any. The counters go on over restarts: every few seconds, and at the end, they go into notes
 * beside the log. */
#ifndef SERVER_WS_METRICS_WS_METRICS_H
#define SERVER_WS_METRICS_WS_METRICS_H

#include <stdint.h>

#include "base/buf.h"
#include "engine/write/writer.h"
#include "json/document.h"

struct ws_metrics;

enum ws_metric {
	WSM_TOTAL,      /* connections opened */
	WSM_UNOPENED,   /* connections that failed before they were open, handshakes that were refused among them */
	WSM_RECONNECT,  /* a named session that came back */
	WSM_TIMEOUT,    /* closed because the peer was silent, or took nothing */
	WSM_SENT,       /* events */
	WSM_FAILED,     /* connections that ended with something of ours unsent */
	WSM_EXPIRED,    /* events that retention took before they were read */
	WSM_OVERFLOW,   /* readers closed for being too far behind */
	WSM_RETRY,      /* the socket was full: what is left goes later */
	WSM_RETRY_FINE, /* and it went */
	WSM_RETRY_LOST, /* the connection ended before */
	WSM_DUPLICATE,  /* events that a session published and that were stored already */
	WSM_PROFILE,    /* dashboards and publishers of the monitoring profile that connected */
	WSM_DIRECT,     /* events sent to dashboards; they are among those of WSM_SENT */
	WSM_COUNT,
};

/* Sessions that nothing is counted for within `idle_ms` are forgotten. */
struct ws_metrics *ws_metrics_create(int64_t idle_ms);
void ws_metrics_destroy(struct ws_metrics *m);

/* Goes on with what was counted before. The writer has not started yet. */
enum err ws_metrics_load(struct ws_metrics *m, struct store *store, struct fault *fault);
/* `persists` says whether the counters are saved; without it they are. The writer has not started yet. Any thread calls it.
 */
void ws_metrics_set_persists(struct ws_metrics *m, bool (*persists)(const void *arg), const void *arg);
/* To be given to the writer; lives as long as the metrics. */
const struct writer_observer *ws_metrics_observer(const struct ws_metrics *m);
/* The writer has started, and its counters belong to these; NULL: it goes. */
void ws_metrics_watch(struct ws_metrics *m, struct writer *writer);
/* Has the counters saved if they have changed and were not for a while; to be called every second or so. */
void ws_metrics_save(struct ws_metrics *m);

/* `session` may be empty. */
void ws_metrics_count(struct ws_metrics *m, struct slice session, enum ws_metric metric, uint64_t n);
/* A connection of the session is open, or is no longer. The lag of a session without one is none. */
void ws_metrics_enter(struct ws_metrics *m, struct slice session);
void ws_metrics_leave(struct ws_metrics *m, struct slice session);
/* From an event's commit to the socket. */
void ws_metrics_latency(struct ws_metrics *m, int64_t ms);
/* How far readers are behind: the furthest now. The lag of one named session: `session` not empty. */
void ws_metrics_lag(struct ws_metrics *m, struct slice session, uint64_t lag);
/* Now and then: forgets idle sessions. `now_ms` is monotonic. */
void ws_metrics_forget(struct ws_metrics *m, int64_t now_ms);
/* Objects made on the ws thread that others read: the connections, the pings of each, and the health of all. */
enum ws_text { WS_TEXT_CONNECTIONS, WS_TEXT_PULSES, WS_TEXT_HEALTH, WS_TEXTS };
/* Takes what was made in exchange for what was made before. */
void ws_metrics_publish(struct ws_metrics *m, struct buf texts[WS_TEXTS]);
/* Appends each to its own, all of one moment. */
void ws_metrics_texts(struct ws_metrics *m, struct buf out[WS_TEXTS]);
/* Appends one. */
void ws_metrics_text(struct ws_metrics *m, enum ws_text which, struct buf *out);

/* Named sessions that are known and have no connection. */
uint64_t ws_metrics_away(struct ws_metrics *m);
uint64_t ws_metrics_read(struct ws_metrics *m, enum ws_metric metric);
/* What was counted since this process started. */
uint64_t ws_metrics_since_start(struct ws_metrics *m, enum ws_metric metric);

/* Fills in the metrics object of the monitoring profile. */
void ws_metrics_write(struct ws_metrics *m, struct doc to, uint64_t active, struct writer *writer);

#endif
