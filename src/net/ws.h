/* WebSockets over libwebsockets: sockets come in from the door, readers are cursors on the feed. One thread serves them
 * all and waits for nothing but sockets. */
#ifndef NET_WS_H
#define NET_WS_H

#include "hub/cursor.h"
#include "hub/session.h"
#include "hub/writer.h"
#include "net/head.h"
#include "net/query.h"

enum { WS_QUERY = Q_AFTER | Q_FILTER | Q_SPEED | Q_SESSION };

/* What a connection asked for in its URL. */
struct ws_request;

/* ERR_NOT_FOUND where the path is no WebSocket's; ERR_INVALID names the parameter. */
enum err ws_request_create(const struct head *head, const char *epoch, struct ws_request **out, struct fault *fault);
void ws_request_destroy(struct ws_request *r);

struct ws;

struct ws_options {
	struct feed *feed;
	struct writer *writer;
	struct sessions *sessions;
	struct batch_limits limits;
	size_t message_max;          /* bytes */
	size_t messages_max;         /* bytes of all unfinished messages in memory */
	int64_t ping_ms;             /* idle connections are pinged after so long, and closed after twice that */
	uint64_t lag_max;            /* events; a reader further behind is closed; 0: never */
	void (*on_close)(void *arg); /* a connection from ws_add_take has ended */
	void *on_close_arg;
};

enum err ws_create(struct ws_options options, struct ws **out, struct fault *fault);
/* Closes everybody with 1001 and ends the thread. */
void ws_close(struct ws *w);
/* The writer has ended. */
void ws_destroy(struct ws *w);

/* Takes a socket whose upgrade request is still in its buffer, and the request. Any thread. */
void ws_add_take(struct ws *w, int fd, struct ws_request *request);

struct ws_figures {
	uint64_t connections;
	uint64_t delivered; /* events */
	uint64_t lag_max;   /* events, of any reader; up to a second old */
};
void ws_read(struct ws *w, struct ws_figures *out);

#endif
