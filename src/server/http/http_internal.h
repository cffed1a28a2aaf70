/* The inside of the HTTP server, from the bottom up:
 *
 *     request.c       what a handler is told of its request
 *     reply_room.c    memory for replies, and requests that wait for it
 *     reply.c         what a handler answers, and how that is sent
 *     routing.c       from a head to a route: host, path, rights, parameters, CORS
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
	DISCARD_MAX = 64 * 1024 * 1024, /* of a body that is refused, before the connection is cut */
	ROOM_WAIT_MS = 20000,           /* a request that has waited so long for room is refused */
};

struct http {
	struct MHD_Daemon *daemon;
	struct http_loop *loop;
	int stub; /* a socket whose other end is closed: what libmicrohttpd has in place of one that was taken */
	struct pool *pool;
	struct http_options options;
	atomic_bool refusing;
	atomic_int handing_over;   /* threads that are about to hand something to the pool */
	pthread_mutex_t lock;      /* guards what follows */
	struct fair_queue waiting; /* exchanges that wait for room among the replies, of each client the oldest first */
	unsigned turn;             /* whose it is */
	int served;                /* that have waited, and whose reply is being made */
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
	uint64_t client;              /* whom limits count it for; 0: not known yet */
	struct quota_hold place;      /* among the requests that are under way */
	struct quota_hold long_place; /* and among those of them that stay */
	struct quota_hold search;     /* and among those that have had many turns */
	struct pool_job job;
	http_handler *deferred;   /* what the job runs */
	struct list in_waiting;   /* http.waiting */
	int64_t waiting_since_ms; /* monotonic; 0: has never waited */
	bool served;              /* has waited, and its reply is being made */
	bool slow;                /* runs on the pool's slow thread */
	bool had_turn;            /* has run on the pool */
	int turns;                /* how often, since it has last waited for something to answer */
	bool resumes;             /* has waited since, for something to answer */
	const struct http_route *route;
	void *route_arg;

	struct request_peek head;
	struct url url;
	enum url_result url_result;
	struct slice access_token; /* of the URL, where it is not left: nothing repeats it */
	size_t access_tokens;      /* how many there were */
	const char *method;
	char *segment; /* NULL: none */
	size_t segment_len;
	bool starved; /* there was no memory to look at the path */
	struct buf body;
	struct quota_hold upload; /* what it counts for */
	bool discard;             /* the reply is an error already: the rest of the body is thrown away */
	size_t discarded;
	bool closes; /* the connection, with the reply */

	bool open;   /* see ROUTE_OPEN */
	bool shared; /* pages of the Origin that was sent may read the reply */
	int status;
	const char *content_type;
	struct reply_header headers[REPLY_HEADERS_MAX];
	int header_count;
	struct buf out;
	bool small;     /* is made in the room for small ones, */
	bool not_small; /* or has turned out not to be one */
	size_t held;
	enum quota held_kind; /* QUOTA_REPLIES or QUOTA_SMALL_REPLIES */
	struct slice fixed;
	http_read *read;
	uint64_t length; /* of the stream; 0: unknown */
	void *state;
	void (*state_destroy)(void *state);
};

/* request.c */

const struct sockaddr *connection_address(struct MHD_Connection *connection);
/* It is being answered, or has been. */
void request_set_answering(struct http_request *x, bool answering);

/* reply_room.c */

/* The pool may end once http_refuse has returned: what the daemon's threads hand to it comes between these two. False: the
 * server shuts down. */
bool room_begin_handing_over(struct http *h);
void room_end_handing_over(struct http *h);
/* Lets requests go on that find room, or have waited since `late_ms` (monotonic) or longer. */
void room_serve_waiting(struct http *h, int64_t late_ms);
/* Waits where there is no room for the request's client. */
bool room_wait(struct http_request *x);

/* reply.c */

void reply_drop_headers(struct http_request *x);
void reply_put_problem(struct http_request *x, int status, const struct fault *fault);
/* The server cannot serve the request. */
void reply_refuse_unready(struct http_request *x);
enum MHD_Result reply_send(struct http_request *x);
/* Sends the reply to a request whose body is still to come, and says that nothing follows; what comes is thrown away. When
 * libmicrohttpd answers before the body, it reads no more, and a client that is sending is cut off, often before it has read
 * why. The socket has room: all replies before this one are through. */
enum MHD_Result reply_send_ahead(struct http_request *x);
/* There is not even a request. */
enum MHD_Result reply_refuse_without_memory(struct MHD_Connection *connection);
/* Compresses the reply where the client takes that and it pays. */
void reply_pack(struct http_request *x);

/* routing.c */

void routing_read_head(struct http_request *x, const char *method, const char *version);
/* Looks at the headers. False when the reply is ready: an error. */
bool routing_accept(struct http_request *x);
void routing_too_large(struct http_request *x);
/* Is the body of a refused request announced as too large? It may never come, but a client that sends it must get to read
 * why it is refused. */
bool routing_answers_ahead(const struct http_request *x);
/* Will the rest of a refused request not come, be too much to wait for, or have no certain end? Then the answer goes out at
 * once, and the connection ends with it. */
bool routing_answers_at_once(const struct http_request *x);

/* request_run.c */

void request_run(struct http_request *x);

#endif
