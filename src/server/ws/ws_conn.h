/* The inside of a WebSocket connection, for the files of this room; profiles see ws_profile.h. All on the ws thread.
 *
 *     ws_request.c    before the handshake          ws_send.c        what it is sent, events too
 *     ws_open.c       its life                      ws_message.c     /v1/ws (schema/asyncapi.json)
 *     ws_receive.c    messages                      ws_publisher.c   messages that are events
 *     ws_close.c      the peer closes               ws_tick.c        once a second: pings, silence
 *     ws.c            the thread                                                                  */
#ifndef SERVER_WS_WS_CONN_H
#define SERVER_WS_WS_CONN_H

#include <ev.h>
#include <libwebsockets.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/system/thread.h"
#include "engine/read/subscription.h"
#include "engine/work/ack_list.h"
#include "event/op.h"
#include "server/stream/reader_start.h"
#include "server/stream/replay_speed.h"
#include "server/ws/metrics/pulse.h"
#include "server/ws/metrics/ws_metrics.h"
#include "server/ws/reply_budget.h"
#include "server/ws/ws.h"
#include "server/ws/ws_profile.h"

/*            ws_add_take         handshake             close, error, peer gone
 *  (request) ▶ ARRIVING ─────────▶ OPEN ──────────────▶ destroyed
 *
 *                                                     ╰──────▶ CLOSING ─────────────────▶ destroyed
 *                                                  Close of      (ws_conn.closing: a commit, save_ms at most)
 *                                                  the peer
 *
 *  While OPEN, what the cursor waits for decides what wakes it:
 *      WAIT_LIVE      a commit that concerns it  (ws.subscriptions)
 *      WAIT_LOAD      a page from the store      (ws.ready, by on_loaded)
 *      WAIT_SOCKET    room in the socket         (libwebsockets)
 *      WAIT_TIME      the pace                   (conn.timer)
 *      WAIT_TURN      others that are behind     (catchup_scheduler.h)
 *      WAIT_CLIENT    the client                 (ws_replay.c)                                                       */
enum ws_wait { WAIT_NOTHING, WAIT_LIVE, WAIT_LOAD, WAIT_SOCKET, WAIT_TIME, WAIT_TURN, WAIT_CLIENT };

/* What a connection holds among the requests that are under way, among those that stay, and of conditions on payloads. */
struct ws_places {
	struct quota_hold request;
	struct quota_hold stay;
	struct quota_hold conditions;
};

enum {
	KEY_LEN = 24,
	CLOSE_REVOKED = 4401,
	CLOSE_TRY_AGAIN = 1013,
	CLOSE_DELETED = 4404,
	CLOSE_TAKEN_OVER = 4409,
};

struct ws_request {
	const struct ws_profile *profile;
	size_t request_peek_len; /* bytes of the request in the socket */
	char key[KEY_LEN + 1];
	bool subprotocol; /* is agreed */
	struct url url;
	struct reader_query query;
	struct grant grant;
	uint64_t peer;
	struct ws_places places; /* see ws_reserve */
	struct ws_conn *conn;    /* made beforehand, so that nothing can fail once the socket is taken */
};

/* The message that comes in: ws_receive.c. */
struct ws_incoming {
	struct buf text;          /* so far */
	struct quota_hold upload; /* what it counts for */
	int64_t begun_ms;         /* monotonic: when it began, could go on, or had last come on; 0: there is none */
	size_t begun_len;         /* bytes that came since then, kept or not */
	bool refused;             /* it is thrown away, which has been told */
	size_t thrown;            /* bytes of it */
};

/* Whether the peer is there: ws_tick.c. */
struct ws_liveness {
	int64_t seen_ms;   /* Unix: the last sign of life */
	int64_t heard_ms;  /* monotonic: the same, or when it was last impossible to give one */
	int64_t spoke_ms;  /* monotonic: the last message, or when reading was last paused */
	int64_t pinged_ms; /* 0: no ping is open */
	int64_t ping_us;   /* monotonic: when the ping left whose pong is awaited; 0: none */
	int64_t trip_ms;   /* monotonic: when the last ping left */
	struct pulse pulse;
};

/* An answer from the past that the socket has not taken yet: reply_budget.c. */
struct ws_share {
	size_t bytes;     /* 0: there is none */
	uint64_t taken;   /* what the peer has taken of everything when that was last enough */
	int64_t taken_ms; /* monotonic: and when */
	uint64_t moved;   /* what it had taken when that was last more than before */
	int64_t moved_ms; /* monotonic: and when */
};

struct ws_conn {
	struct ws *ws;
	const struct ws_profile *profile;
	struct lws *wsi;
	int fd;
	uint64_t number;            /* counted from 1 */
	struct ws_request *request; /* until the connection is open */
	struct grant grant;
	uint64_t peer;
	uint64_t client; /* whom limits count it for */
	struct ws_places places;
	uint64_t entered;             /* the peer that the door has let in, which may be a proxy */
	char *session;                /* NULL: none */
	bool resumed;                 /* the session was known */
	struct session_reader reader; /* `sent` is the highest position that the peer was told */
	uint64_t told;                /* the last one: a replay goes back, too */
	int64_t told_ms;              /* monotonic: when it was */
	struct list in_all;           /* ws.all */
	struct subscription subscription;
	struct list in_inbox; /* ws.arrived or ws.ready; with ws.lock */

	struct cursor *cursor;
	enum ws_wait wait;
	struct list in_line; /* ws.catchup.line */
	bool live_told;      /* once a connection */
	bool live;           /* has been at the head since it began, or was moved */
	uint64_t retries;    /* how often the socket was full */
	bool failed;         /* that something could not be sent is counted */
	bool retrying;       /* the socket took less than was offered, and has taken nothing since */
	struct replay_speed speed;
	struct ev_timer replay_speed_timer; /* libwebsockets' timers are not looked at where another watcher sets them */
	bool paused;                        /* by the client */
	uint64_t steps;                     /* events that it wants all the same */
	bool seeking;                       /* it wants the reader at `seek`, which waits for a page */
	struct position seek;
	lws_sorted_usec_list_t timer;
	struct buf out;   /* frames of ours, whole, that go out before the next event */
	struct acks acks; /* of a publisher: answers that the socket has no room for */
	bool gone;        /* a publisher that takes nothing more: what it sent is read to the end */

	struct ws_incoming incoming;
	bool throttled;                   /* reading is paused */
	bool busy;                        /* the profile wants it paused */
	bool held;                        /* no events yet: something comes first */
	bool muted;                       /* no events for now: the profile wants none */
	void (*drain)(struct ws_conn *c); /* makes frames in `out` of what waits elsewhere; NULL: nothing does */
	struct list tasks;                /* on their way */
	int task_count;
	void *state; /* the profile's own */
	struct ws_share share;

	bool peer_closed;        /* its Close frame has come: nothing behind it counts */
	struct closing *closing; /* and is answered once a commit is there; nothing else is sent. NULL: it does not wait */
	unsigned news;           /* of the session: enum session_news; with ws.lock */
	bool loaded;             /* a page that the cursor has asked for is there; with ws.lock */
	bool moving;             /* the session was moved, and the cursor is not there yet */
	int close_code;
	const char *close_why;
	struct ws_liveness alive;
};

/* Readers that are behind (catchup_scheduler.h). */
struct catchup {
	void (*serve)(struct ws_conn *c);
	struct list line; /* ws_conn, the next one first */
	struct ev_idle go_on;
	struct ev_timer rest;
	int64_t committed_ms; /* monotonic: the last commit that was seen */
	int64_t credit_us;    /* of time, while something is being published */
	int64_t credited_us;  /* monotonic: up to when that was reckoned */
};

struct ws {
	struct ws_options options;
	struct ev_loop *loop; /* libwebsockets' own loop polls every socket at every turn */
	struct lws_context *context;
	struct lws_vhost *vhost;
	struct thread thread;
	lws_sorted_usec_list_t tick;

	pthread_mutex_t lock; /* guards the inbox */
	struct list arrived;  /* ws_conn, before the handshake */
	struct list ready;    /* ws_conn that can go on */
	struct list done;     /* ws_task */
	bool closing;

	struct ws_conn *arriving; /* in the middle of being handed to libwebsockets */
	atomic_bool committed;    /* since the thread last looked */
	atomic_bool reloaded;     /* the tokens, since then */
	struct list all;
	struct subscriptions *subscriptions;
	struct catchup catchup;
	bool closed; /* everybody was told to go */
	bool wakes;  /* somebody else has woken the thread, or could */
	int64_t closed_ms;
	size_t held; /* bytes of all answers from the past, and of claims to some */
	struct list lines[WS_LINES];
	atomic_ullong connections;
	atomic_ullong delivered;
	atomic_ullong lag_max;
	atomic_ullong lag_sum;
	atomic_ullong left; /* ws_figures has these two */
	atomic_ullong left_behind;
	atomic_llong tick_due_ms; /* monotonic */
	struct ws_metrics *metrics;
	struct pulse pulse;        /* of all connections */
	atomic_ullong loop_lag_ms; /* how late the last tick came */
	atomic_ullong incoming;
};

/* ws_conn.c */

/* Leaves something in an inbox, and wakes the thread. Any thread. */
void ws_wake(struct ws *w, struct list *inbox, struct list *link);

/* Is it a publisher that has said nothing for too long? `now_ms` is monotonic. */
bool ws_is_silent(const struct ws_conn *c, int64_t now_ms);

/* ws_send.c */

enum { CLOSE_WITHOUT_WORD = 1 }; /* no close frame: the peer is gone, or the socket is broken */

/* How many bytes of replies may wait for the peer before it is not read from. */
enum { WS_OUT_MAX = 64 * 1024 };

void ws_init_pace(struct ws_conn *c);
/* The same for a document, which is ended. `ref` is the client's own mark, JSON text; empty: it gave none. */
void ws_say_document(struct ws_conn *c, struct document *d, struct slice ref);
/* {"op":"error",…}; `ref` may be empty. */
void ws_error(struct ws_conn *c, int status, const struct fault *fault, struct slice ref);
/* That mark as a further member of a text. */
void ws_add_ref(struct buf *out, struct slice ref);
/* Something of ours will never be sent: counts, once a connection. */
void ws_failed(struct ws_conn *c);
/* Sends what is queued. False when the socket is full. */
bool ws_send_out(struct ws_conn *c);
/* The peer knows its position: `seq` is the last of it. */
void ws_note_told(struct ws_conn *c, uint64_t seq);
/* Tells a filtered reader how far it has come, where that is due. */
void ws_checkpoint(struct ws_conn *c, int64_t now_ms);
/* The reader goes on behind `start`, back as well. Not while a page is on its way. */
void ws_go_to(struct ws_conn *c, struct position start);
/* Its session was moved: the same. */
void ws_move(struct ws_conn *c);
/* The same for a reader whose turn it is (catchup_scheduler.h). */
void ws_serve(struct ws_conn *c);
/* Closes the connection as soon as its socket takes the close frame. */
void ws_hang_up(struct ws_conn *c, int code, const char *why);
/* Pauses reading from the client while it has too much on its way. */
void ws_throttle(struct ws_conn *c);
/* Events that are committed and that the reader has not been sent. */
uint64_t ws_lag(const struct ws_conn *c, uint64_t head);
/* Closes a reader that was live once and has fallen too far behind, where that is wanted. Replaying is not lagging. */
bool ws_lags_too_far(struct ws_conn *c, uint64_t head);

/* ws_publisher.c */

/* A whole message of a publisher has come, or was refused. */
void ws_publisher_message(struct ws_conn *c);
void ws_publisher_refuse(struct ws_conn *c, const struct fault *fault);
/* Makes frames of the answers that wait, while the socket has room. */
void ws_publisher_drain(struct ws_conn *c);

/* ws_replay.c: a replay that its reader steers: pause, resume, step, speed, seek */

/* Does what was said, and answers; a seek waits for the page that is on its way. */
void ws_steer(struct ws_conn *c, const struct op *op);
/* The seek that waited. */
void ws_seek(struct ws_conn *c);

/* ws_tick.c */

/* From here on until the end. */
void ws_begin_ticks(struct ws *w);
/* A sign of life. */
void ws_hear(struct ws_conn *c);
void ws_pong(struct ws_conn *c);

/* ws_message.c */

extern const struct ws_profile ws_v1;

/* ws_request.c, ws_conn.c */

/* The profile of a path; NULL. */
const struct ws_profile *ws_profile_find(struct slice path);
/* The index-th; NULL past the last. */
const struct ws_profile *ws_profile_at(int index);
/* See ws_profile. */
void ws_progressed(struct ws_conn *c);

/* ws_request.c */

void ws_give_places(struct ws_places *p);

/* ws_open.c */

/* The handshake is done. */
int ws_open(struct ws_conn *c);
void ws_conn_destroy(struct ws_conn *c);
/* Closes the connection when its token does not hold any longer. */
void ws_check_grant(struct ws_conn *c);

/* ws_receive.c */

void ws_receive(struct ws_conn *c, const void *bytes, size_t len);
void ws_drop_message(struct ws_conn *c);

/* ws_close.c */

/* The peer's Close has come. Not 0: the connection ends at once. */
int ws_peer_closed(struct ws_conn *c, struct slice payload);
/* libwebsockets ends an open connection. */
void ws_ending(struct ws_conn *c);

#endif
