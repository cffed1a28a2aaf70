/* A WebSocket connection, shared by ws.c (its life), ws_send.c (what it is sent) and ws_message.c (what clients say). All on
 * the ws thread. */
#ifndef NET_WS_CONN_H
#define NET_WS_CONN_H

#include <libwebsockets.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/list.h"
#include "net/pace.h"
#include "net/ws.h"

/*            ws_add_take         handshake             close, error, peer gone
 *  (door) ──▶ ARRIVING ─────────▶ OPEN ──────────────▶ destroyed
 *
 *  While OPEN, what the cursor waits for decides what wakes it:
 *      WAIT_LIVE      the next commit            (ws.live)
 *      WAIT_LOAD      a page from the store      (ws.ready, by on_loaded)
 *      WAIT_SOCKET    room in the socket         (libwebsockets)
 *      WAIT_TIME      the pace                   (conn.timer)                                                        */
enum ws_wait { WAIT_NOTHING, WAIT_LIVE, WAIT_LOAD, WAIT_SOCKET, WAIT_TIME };

struct ws_conn {
	struct ws *ws;
	struct lws *wsi;
	int fd;
	struct ws_request *request; /* until the connection is open */
	char *session;              /* NULL: none */
	struct list in_all;         /* ws.all */
	struct list in_live;        /* ws.live */
	struct list in_inbox;       /* ws.arrived or ws.ready; with ws.lock */

	struct cursor *cursor;
	enum ws_wait wait;
	bool live_told;
	struct pace pace;
	lws_sorted_usec_list_t timer;
	struct buf out; /* frames of ours, whole, that go out before the next event */

	struct buf in;         /* the message so far */
	int refusal;           /* the status why the message is thrown away; 0: it is not */
	bool throttled;        /* reading is paused */
	struct list publishes; /* on their way */
	int publish_count;

	bool lost; /* the session was taken; with ws.lock */
	const char *lost_why;
	int close_code;
	const char *close_why;
	int64_t heard_ms;  /* monotonic: the last sign of life */
	int64_t pinged_ms; /* 0: no ping is open */
};

/* A publish that the writer has. */
struct ws_publish {
	struct write_op op; /* first: the writer gives it back */
	struct list in_conn;
	struct list in_inbox;
	struct ws *ws;
	struct ws_conn *conn; /* NULL once it has gone */
	struct slice ref;     /* JSON text in the batch's memory, empty where there was none */
	char *ref_text;
};

struct ws {
	struct ws_options options;
	struct lws_context *context;
	struct lws_vhost *vhost;
	pthread_t thread;
	bool running;
	lws_sorted_usec_list_t tick;

	pthread_mutex_t lock; /* guards the inbox */
	struct list arrived;  /* ws_conn, before the handshake */
	struct list ready;    /* ws_conn that can go on */
	struct list answered; /* ws_publish that are done */
	bool closing;

	struct ws_conn *arriving; /* in the middle of being handed to libwebsockets */
	atomic_bool committed;    /* since the thread last looked */
	struct list all;
	struct list live;
	bool closed; /* everybody was told to go */
	int64_t closed_ms;
	size_t messages; /* bytes of all unfinished messages */
	atomic_ullong connections;
	atomic_ullong delivered;
	atomic_ullong lag_max;
};

/* ws_conn.c */

/* The session's name; empty where there is none. */
struct slice ws_session(const struct ws_conn *c);
/* Leaves something in an inbox, and wakes the thread. Any thread. */
void ws_wake(struct ws *w, struct list *inbox, struct list *link);

/* ws_send.c */

enum { CLOSE_WITHOUT_WORD = 1 }; /* no close frame: the peer is gone, or the socket is broken */

/* Queues a text frame; sent before any further event. */
void ws_say(struct ws_conn *c, const struct buf *text);
/* {"op":"error",…}; `ref` may be empty. */
void ws_error(struct ws_conn *c, int status, const struct fault *fault, struct slice ref);
/* The client's own mark, where it gave one, as a further member. */
void ws_add_ref(struct buf *out, struct slice ref);
/* Sends what is queued. False when the socket is full. */
bool ws_send_out(struct ws_conn *c);
/* The same, and comes back when the socket has room, without touching what the reader waits for. */
void ws_pump_out(struct ws_conn *c);
/* Sends all that can be sent, events too, and sees to being woken for the rest. */
void ws_pump(struct ws_conn *c);
/* Closes the connection as soon as its socket takes the close frame. */
void ws_hang_up(struct ws_conn *c, int code, const char *why);
/* Pauses reading from the client while it has too much on its way. */
void ws_throttle(struct ws_conn *c);
/* Events that are committed and that the reader has not been sent. */
uint64_t ws_lag(const struct ws_conn *c, uint64_t head);
/* Closes a reader that was live once and has fallen too far behind, where that is wanted. Replaying is not lagging. */
bool ws_lags_too_far(struct ws_conn *c, uint64_t head);

/* ws_message.c */

/* A whole message is in conn.in. */
void ws_message(struct ws_conn *c);
/* The writer is done with a publish: answers, and frees it. */
void ws_answer(struct ws_publish *p);
/* The connection goes: what is on its way is answered to nobody. */
void ws_forget_publishes(struct ws_conn *c);

#endif
