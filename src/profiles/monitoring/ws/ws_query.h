/* Queries of a dashboard that need the store, answered by a pool thread. One query of a connection runs at a time, in
 * order; queries that are answered from memory come in between. Reading from the client is paused while a reply is being
 * sent, or many queries wait. Runs on the ws thread. */
#ifndef PROFILES_MONITORING_WS_WS_QUERY_H
#define PROFILES_MONITORING_WS_WS_QUERY_H

#include "profiles/monitoring/services/monitoring.h"
#include "profiles/monitoring/services/service_history.h"
#include "server/ws/ws_profile.h"
#include "json/document.h"

enum { ECHO_MAX = 256 }; /* maximum bytes of a parameter that is repeated in the reply */

enum ws_query_kind { WS_QUERY_INITIAL, WS_QUERY_RECENT, WS_QUERY_HISTORY, WS_QUERY_SERIES, WS_QUERY_EXPORT };

/* The parameters of a query that are repeated in the reply. */
struct question {
	enum service service;            /* SERVICES: all; SERVICE_NONE: an unknown one */
	char service_text[ECHO_MAX + 1]; /* JSON */
	char hours_text[ECHO_MAX + 1];   /* JSON */
	double hours;
	int64_t interval; /* minutes, of a series */
};

/* The profile's state of a dashboard connection (ws_conn.state). */
struct dashboard {
	struct list queries; /* ws_query that wait for the one before */
	int query_count;
	bool query_running;    /* a query waits for memory, runs, or has its reply being sent */
	unsigned services;     /* bits of the services it reads; 0: all */
	uint64_t session_sent; /* seq of the last session metrics sent */
};

/* Starts a query; its reply is sent when it is ready. After the reply to the initial query the connection's events begin.
 * Takes `name` (export only). `q` may be NULL. */
void ws_send_query(struct ws_conn *c, enum ws_query_kind kind, const struct question *q, struct service_history_query query,
		   char *name);

/* Begins the next query if the reply before has been sent. */
void ws_queries_check(struct ws_conn *c);
/* The connection ends. */
void ws_queries_drop(struct ws_conn *c);

/* Appends an error frame of the profile. */
void ws_write_error(struct buf *out, int status, const char *message);
/* Ends a frame with a last member, "timestamp": now. */
void ws_end_stamped(struct document *d, struct buf *out);

#endif
