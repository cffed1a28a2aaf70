/* Counters of WebSocket connections and their events: in total, and for each named session. They are counted and read on
 * any thread. They survive restarts: every few seconds, and at the end, they are saved as notes beside the log. */
#ifndef SERVER_WS_METRICS_WS_METRICS_H
#define SERVER_WS_METRICS_WS_METRICS_H

#include <stdint.h>

#include "base/buf.h"
#include "engine/write/writer.h"
#include "json/document.h"

struct ws_metrics;

enum ws_metric {
	WSM_TOTAL,      /* connections opened */
	WSM_UNOPENED,   /* connections that failed before they were open, including refused handshakes */
	WSM_RECONNECT,  /* connections of a named session that existed before */
	WSM_TIMEOUT,    /* closed because the peer was silent, or took nothing */
	WSM_SENT,       /* events */
	WSM_FAILED,     /* connections that ended with unsent frames */
	WSM_EXPIRED,    /* events that were evicted before they were read */
	WSM_OVERFLOW,   /* readers closed for being too far behind */
	WSM_RETRY,      /* the socket was full, and the rest had to be sent later */
	WSM_RETRY_FINE, /* the rest was sent */
	WSM_RETRY_LOST, /* the connection ended before */
	WSM_DUPLICATE,  /* events of a session that were stored already */
	WSM_PROFILE,    /* dashboards and publishers of the monitoring profile that connected */
	WSM_DIRECT,     /* events sent to dashboards; also counted as WSM_SENT */
	WSM_COUNT,
};

/* Counters of a session are dropped after `idle_ms` without a change. NULL: no memory. */
struct ws_metrics *ws_metrics_create(int64_t idle_ms);
void ws_metrics_destroy(struct ws_metrics *m);

/* Loads the saved counters. Before the writer starts. */
enum err ws_metrics_load(struct ws_metrics *m, struct store *store, struct fault *fault);
/* `persists` tells whether the counters are saved; by default they are. Before the writer starts; `persists` is called on
 * any thread. */
void ws_metrics_set_persists(struct ws_metrics *m, bool (*persists)(const void *arg), const void *arg);
/* The observer for the writer; lives as long as the metrics. */
const struct writer_observer *ws_metrics_observer(const struct ws_metrics *m);
/* The writer has started, and its counters are reported with these; NULL: it is about to end. */
void ws_metrics_watch(struct ws_metrics *m, struct writer *writer);
/* Saves the counters if they have changed and were not saved for a while. Call it once a second. */
void ws_metrics_save(struct ws_metrics *m);

/* `session` may be empty. */
void ws_metrics_count(struct ws_metrics *m, struct slice session, enum ws_metric metric, uint64_t n);
/* A connection of the session has opened, or closed. A session without a connection has no lag. */
void ws_metrics_opened(struct ws_metrics *m, struct slice session);
void ws_metrics_closed(struct ws_metrics *m, struct slice session);
/* Adds the time from the commit of an event to its write to the socket. */
void ws_metrics_latency(struct ws_metrics *m, int64_t ms);
/* Sets the current lag in events: of one named session, or (`session` empty) of the reader furthest behind. */
void ws_metrics_lag(struct ws_metrics *m, struct slice session, uint64_t lag);
/* Drops the counters of idle sessions. `now_ms` is monotonic. Call it once a second. */
void ws_metrics_forget(struct ws_metrics *m, int64_t now_ms);
/* JSON texts made on the ws thread that other threads read: connections, the pings of each, and the health of all. */
enum ws_text { WS_TEXT_CONNECTIONS, WS_TEXT_PULSES, WS_TEXT_HEALTH, WS_TEXTS };
/* Exchanges `texts` for the ones published before. */
void ws_metrics_publish(struct ws_metrics *m, struct buf texts[WS_TEXTS]);
/* Appends each text, all of the same moment. */
void ws_metrics_texts(struct ws_metrics *m, struct buf out[WS_TEXTS]);
/* Appends one text. */
void ws_metrics_text(struct ws_metrics *m, enum ws_text which, struct buf *out);

/* Named sessions without a connection. */
uint64_t ws_metrics_away(struct ws_metrics *m);
uint64_t ws_metrics_read(struct ws_metrics *m, enum ws_metric metric);
/* Counted since this process started. */
uint64_t ws_metrics_since_start(struct ws_metrics *m, enum ws_metric metric);

/* Fills in the metrics object of the monitoring profile. */
void ws_metrics_write(struct ws_metrics *m, struct doc to, uint64_t active, struct writer *writer);

#endif
