/* The internals of the HTTP server, from the bottom up:
 *
 *     request.c       a request as handlers read it
 *     reply_memory.c  memory for replies, and requests that wait for it
 *     reply.c         a reply as handlers write it, and sending it
 *     routing.c       from a head to a route: host, path, permissions, parameters, CORS
 *     request_run.c   running a handler, on the network thread or the pool, and its end
 *     http.c          the daemon: connections, bodies */
#ifndef SERVER_HTTP_HTTP_INTERNAL_H
#define SERVER_HTTP_HTTP_INTERNAL_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "engine/work/fair_queue.h"
#include "server/http/http.h"
#include "server/http/http_conn.h"

enum {
	REPLY_HEADERS_MAX = 10,
	DISCARD_MAX = 64 * 1024 * 1024, /* bytes of a refused body that are discarded before the connection is cut */
	MEMORY_WAIT_MS = 20000,         /* a request that has waited this long for reply memory is refused */
};

struct http {
	struct MHD_Daemon *daemon;
	struct http_loop *loop;
	int stub; /* a socket whose other end is closed: replaces one that was taken from libmicrohttpd */
	struct pool *pool;
	struct http_options options;
	atomic_bool refusing;
	atomic_int handing_over;   /* threads that are about to submit a job to the pool */
	pthread_mutex_t lock;      /* guards `waiting`, `next_client` and `served` */
	struct fair_queue waiting; /* requests that wait for reply memory, oldest first per client */
	unsigned next_client;      /* position in `waiting` of the client whose next_client it is */
	int served;                /* requests that have waited and whose reply is being made */
	struct http_conns conns;
};

/*   READING ─▶ RUNNING ─▶ DONE ─▶ SENT
 *      │          └─▶ TAKEN ▲   (the socket: there is no reply)
 *      └────────────────────┘   (errors seen before the handler) */
enum stage { READING, RUNNING, TAKEN, DONE, SENT };

struct reply_header {
	const char *name;
	char *value;
};

struct http_request {
	struct http *http;
	struct MHD_Connection *connection;
	enum stage stage;
	struct http_conn *conn; /* NULL: there was no memory for it */
	struct grant grant;
	uint64_t client;             /* the client that limits count; 0: not known yet */
	struct quota_hold slot;      /* QUOTA_REQUESTS */
	struct quota_hold long_slot; /* QUOTA_LONG_REQUESTS, after request_stay */
	struct quota_hold search;    /* QUOTA_SEARCHES, after SEARCH_RUNS_MIN runs */
	struct pool_job job;
	http_handler *deferred;   /* what `job` runs */
	struct list in_waiting;   /* http.waiting */
	int64_t waiting_since_ms; /* monotonic; 0: has never waited */
	bool served;              /* has waited, and its reply is being made */
	bool slow;                /* runs on the pool's slow thread */
	bool has_run;             /* has run on the pool */
	int runs;                 /* how often, since it last waited for data */
	bool resumes;             /* has waited for data since its last run */
	const struct http_route *route;
	void *route_arg;

	struct request_peek head;
	struct url url;
	enum url_result url_result;
	struct slice access_token; /* taken out of `url`, so that nothing repeats it */
	size_t access_tokens;      /* how many the URL has */
	const char *method;
	char *segment; /* decoded {} or {+} of the route; NULL: none */
	size_t segment_len;
	bool no_memory; /* there was no memory to parse the URL */
	struct buf body;
	struct quota_hold upload; /* QUOTA of `body` */
	bool discard;             /* the reply is already an error: the rest of the body is discarded */
	size_t discarded;
	bool closes; /* the connection ends with the reply */

	bool open;         /* see ROUTE_OPEN */
	bool cors_allowed; /* pages of the request's Origin may read the reply */
	int status;
	const char *content_type;
	struct reply_header headers[REPLY_HEADERS_MAX];
	int header_count;
	struct buf out;
	bool small;     /* runs with the budget of a small reply */
	bool not_small; /* its reply has exceeded that budget */
	size_t held;
	enum quota held_kind; /* QUOTA_REPLIES or QUOTA_SMALL_REPLIES */
	struct slice fixed;
	http_read *read;
	uint64_t length; /* of the stream, in bytes; 0: unknown */
	void *state;
	void (*state_destroy)(void *state);
};

/* request.c */

const struct sockaddr *connection_address(struct MHD_Connection *connection);
/* A handler runs, or the reply is being sent (false: it is sent). */
void request_set_answering(struct http_request *x, bool answering);

/* reply_memory.c */

/* Every submission to the pool from the daemon's threads is between these two, so that the pool may end once http_refuse
 * has returned. False: the server is shutting down, do not submit. */
bool reply_memory_begin_handover(struct http *h);
void reply_memory_end_handover(struct http *h);
/* Resumes waiting requests that now find memory, or that have waited since `late_ms` (monotonic) or longer. */
void reply_memory_serve_waiting(struct http *h, int64_t late_ms);
/* True: no reply memory is free for the request's client, and the request waits. */
bool reply_memory_wait(struct http_request *x);

/* reply.c */

void reply_drop_headers(struct http_request *x);
void reply_put_problem(struct http_request *x, int status, const struct fault *fault);
/* 503: the server is shutting down. */
void reply_refuse_unready(struct http_request *x);
enum MHD_Result reply_send(struct http_request *x);
/* Sends the reply before the body has arrived, announces the end of the connection, and discards the rest of the body. If
 * libmicrohttpd answers before the body, it stops reading, and a client that is still sending is cut, often before it has
 * read the error. The socket's buffer has space: all earlier replies are sent. */
enum MHD_Result reply_send_ahead(struct http_request *x);
/* Sends 503 when there is no memory for a request. */
enum MHD_Result reply_refuse_without_memory(struct MHD_Connection *connection);
/* Compresses the reply if the client accepts that and the reply gets smaller. */
void reply_pack(struct http_request *x);

/* routing.c */

void routing_read_head(struct http_request *x, const char *method, const char *version);
/* Checks the headers. False: the request is refused, and the reply is ready. */
bool routing_accept(struct http_request *x);
void routing_too_large(struct http_request *x);
/* Does a refused request announce a body that is too large? The body may never come, but a client that sends it must be
 * able to read the error. */
bool routing_answers_ahead(const struct http_request *x);
/* Is the rest of a refused request too large to wait for, of unknown length, or not coming at all? Then the reply is sent
 * at once and ends the connection. */
bool routing_answers_at_once(const struct http_request *x);

/* request_run.c */

void request_run(struct http_request *x);

#endif
