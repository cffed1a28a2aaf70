/* What a dashboard asks of the past: answered by a pool thread, for the store has to be read. One query of a connection
 * runs at a time, in the order of the questions; what is answered from memory comes in between. Nothing is read from the
 * client while an answer is on its way to it, or many questions wait. On the ws thread. */
#ifndef PROFILES_MONITORING_WS_WS_QUERY_H
#define PROFILES_MONITORING_WS_WS_QUERY_H

#include "profiles/monitoring/services/monitoring.h"
#include "profiles/monitoring/services/service_history.h"
#include "server/ws/ws_profile.h"
#include "json/document.h"

enum { ECHO_MAX = 256 }; /* bytes of a parameter that is repeated in the answer */

enum ws_query_kind { WS_QUERY_INITIAL, WS_QUERY_RECENT, WS_QUERY_HISTORY, WS_QUERY_SERIES, WS_QUERY_EXPORT };

/* What a client asked for, as far as it has to be repeated. */
struct question {
	enum service service;            /* SERVICES: all; SERVICE_NONE: one that does not exist */
	char service_text[ECHO_MAX + 1]; /* JSON */
	char hours_text[ECHO_MAX + 1];   /* JSON */
	double hours;
	int64_t interval; /* minutes, of a series */
};

/* What a connection of a dashboard has besides: its ws_conn.state. */
struct dashboard {
	struct list queries; /* that wait for the one before them */
	int query_count;
	bool query_out;        /* one is in line, being made, or on its way to the peer */
	unsigned services;     /* the bits of those it reads; 0: all */
	uint64_t session_told; /* the seq whose session metrics it has */
};

/* The answer is said when it is there; after the initial one the connection's events begin. Takes `name`, of an export. `q`
 * may be NULL. */
void ws_send_query(struct ws_conn *c, enum ws_query_kind kind, const struct question *q, struct service_history_query past,
		   char *name);

/* The answer that was on its way may be through: then the next query begins. */
void ws_queries_check(struct ws_conn *c);
/* The connection goes. */
void ws_queries_drop(struct ws_conn *c);

/* A question that cannot be answered, as a frame of the profile. */
void ws_write_error(struct buf *out, int status, const char *message);
/* Ends a frame with a last member, "timestamp": now. */
void ws_end_stamped(struct document *d, struct buf *out);

#endif
