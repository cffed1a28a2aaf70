/* The internals of a WebSocket connection, for the files of this folder; profiles see ws_profile.h. Unless stated
 * otherwise, everything runs on the ws thread.
 *
 *     ws_request.c    before the handshake          ws_send.c        frames to the client
 *     ws_open.c       opening and destroying        ws_reader.c      events to the client
 *                                                   ws_message.c     ops of /v1/ws (schema/asyncapi.json)
 *     ws_receive.c    messages                      ws_publisher.c   messages that are events
 *     ws_close.c      closing by the peer           ws_tick.c        once a second: pings, timeouts
 *     ws_liveness.c   whether the peer responds     ws_replay.c      pause, step, speed, seek
 *     ws.c            the thread                    reply_budget.c   replies with stored events
 *                                                   catchup_scheduler.c   readers that are behind */
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
 *  (request) ▶ ACCEPTED ─────────▶ OPEN ──────────────▶ destroyed
 *
 *                                                     ╰──────▶ CLOSING ─────────────────▶ destroyed
 *                                                  Close of      (ws_conn.closing: a commit, save_ms at most)
 *                                                  the peer
 *
 *  While OPEN, the cursor waits for one of these:
 *      WAIT_LIVE      a commit that matches it   (ws.subscriptions)
 *      WAIT_LOAD      a page from the store      (ws.ready, by on_loaded)
 *      WAIT_SOCKET    space in the socket        (libwebsockets)
 *      WAIT_TIME      the replay speed           (conn.reading.timer)
 *      WAIT_CATCHUP   other readers behind       (catchup_scheduler.c)
 *      WAIT_CLIENT    the client                 (ws_replay.c)                                                       */
enum ws_wait { WAIT_NOTHING, WAIT_LIVE, WAIT_LOAD, WAIT_SOCKET, WAIT_TIME, WAIT_CATCHUP, WAIT_CLIENT };

/* Quotas that a connection holds: requests, long requests, and conditions on payloads. */
struct ws_holds {
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
	size_t request_peek_len; /* bytes of the request head that are still in the socket */
	char key[KEY_LEN + 1];
	bool subprotocol; /* agreed */
	struct url url;
	struct reader_query query;
	struct grant grant;
	uint64_t peer;
	struct ws_holds holds; /* see ws_reserve */
	struct ws_conn *conn;  /* allocated early, so that nothing can fail once the socket is taken */
};

/* The message that is being received: ws_receive.c. */
struct ws_incoming {
	struct buf text;          /* received so far */
	struct quota_hold upload; /* quota of `text` */
	int64_t begun_ms;         /* monotonic: when it began, made progress, or reading was resumed; 0: none */
	size_t begun_len;         /* bytes received since then, kept or not */
	bool refused;             /* refused and answered; the rest is discarded */
	size_t discarded;         /* bytes discarded */
};

/* Whether the peer responds: ws_liveness.c. */
struct ws_liveness {
	int64_t seen_ms;   /* Unix: the last message or pong */
	int64_t heard_ms;  /* monotonic: the same, or when the peer last could not send any */
	int64_t spoke_ms;  /* monotonic: the last message, or when reading was last paused */
	int64_t pinged_ms; /* monotonic: the ping that keeps the connection alive; 0: none is open */
	int64_t ping_us;   /* monotonic: when the ping whose pong is awaited was sent; 0: none */
	int64_t trip_ms;   /* monotonic: when the last ping was sent */
	struct pulse pulse;
};

/* A reply with stored events that the socket has not taken yet: reply_budget.c. */
struct ws_unread_reply {
	size_t bytes;        /* 0: there is none */
	uint64_t progress;   /* acknowledged bytes of the connection at the last sufficient progress */
	int64_t progress_ms; /* monotonic: when that was */
	uint64_t acked;      /* acknowledged bytes at the last progress of any size */
	int64_t acked_ms;    /* monotonic: when that was */
};

/* What the connection reads, and how far it has got: ws_reader.c, ws_replay.c, catchup_scheduler.c. */
struct ws_reading {
	struct cursor *cursor; /* NULL: the connection reads nothing, or has not begun */
	struct subscription subscription;
	enum ws_wait wait;
	struct list in_catchup; /* ws.catchup.waiting */
	uint64_t reported;      /* the last position sent; lower than `reader.sent` after a seek or a move back */
	int64_t reported_ms;    /* monotonic: when it was sent */
	bool live_sent;         /* the live message was sent, once per connection */
	bool live;              /* has been at the head since it began or was moved */
	bool held;              /* no events yet: another message has to come first */
	bool muted;             /* the profile wants no events for now */
	bool moving;            /* the session was moved, the cursor not yet */
	struct replay_speed speed;
	struct ev_timer timer; /* an ev timer: libwebsockets checks its own timers too late here */
	bool paused;           /* by the client */
	uint64_t steps;        /* events to send although it is paused */
	bool seeking;          /* a seek to `seek` waits for a page */
	struct position seek;
};

/* How the replies to a publisher are sent. */
struct ws_replier {
	/* Moves pending replies to `out` while the socket has space. */
	void (*drain)(struct ws_conn *c);
	/* Are more of them pending than the client may have? */
	bool (*is_over)(const struct ws_conn *c);
	/* The socket has failed: they are dropped from now on. */
	void (*broken)(struct ws_conn *c);
};

/* Replies to a publisher: ws_publisher.c. */
struct ws_publishing {
	struct acks acks;  /* that the socket has not taken */
	bool write_failed; /* the socket has failed: what the client sent is read to the end */
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
	uint64_t client; /* the client that limits count */
	struct ws_holds holds;
	uint64_t counted_peer;        /* the peer that the listener counts; may be a proxy */
	char *session;                /* NULL: none */
	bool resumed;                 /* the session existed before */
	struct session_reader reader; /* `sent` is the highest position sent to the peer */
	struct list in_all;           /* ws.all */
	struct list in_inbox;         /* ws.accepted or ws.ready; guarded by ws.lock */

	uint64_t retries; /* how often the socket was full */
	bool failed;      /* an unsent frame is already counted */
	bool retrying;    /* the socket was full, and has taken nothing since */
	lws_sorted_usec_list_t timer;
	struct buf out; /* whole frames that are sent before the next event */

	bool throttled;                   /* reading is paused */
	bool busy;                        /* the profile wants reading paused */
	const struct ws_replier *replier; /* of a publisher; NULL: it is none */
	struct list tasks;                /* ws_task, under way */
	int task_count;
	void *state; /* owned by the profile */

	bool peer_closed;        /* its Close frame has arrived: everything after it is ignored */
	struct closing *closing; /* the Close is answered after a commit, and nothing else is sent; NULL: it does not wait */
	unsigned news;           /* enum session_news of the session; guarded by ws.lock */
	bool loaded;             /* a page that the cursor asked for is there; guarded by ws.lock */
	int close_code;
	const char *close_why;

	/* Each is used by its files only (tests/floors.py). */
	struct ws_incoming incoming;
	struct ws_reading reading;
	struct ws_publishing publishing;
	struct ws_unread_reply unread_reply;
	struct ws_liveness alive;
};

/* Readers that are behind: catchup_scheduler.c. */
struct catchup {
	void (*serve)(struct ws_conn *c);
	struct list waiting; /* ws_conn, next one first */
	struct ev_idle idle;
	struct ev_timer pause;
	int64_t committed_ms; /* monotonic: the last commit */
	int64_t credit_us;    /* time that may be spent while publishing continues */
	int64_t credited_us;  /* monotonic: up to when credit_us is computed */
};

struct ws {
	struct ws_options options;
	struct ev_loop *loop; /* not libwebsockets' own loop, which polls every socket at every iteration */
	struct lws_context *context;
	struct lws_vhost *vhost;
	struct thread thread;
	lws_sorted_usec_list_t tick;

	pthread_mutex_t lock; /* guards `accepted`, `ready`, `done` and `closing` */
	struct list accepted; /* ws_conn before the handshake */
	struct list ready;    /* ws_conn that can continue */
	struct list done;     /* ws_task */
	bool closing;

	struct ws_conn *attaching; /* being handed to libwebsockets */
	atomic_bool committed;     /* a commit happened since the thread last looked */
	atomic_bool reloaded;      /* tokens were reloaded since then */
	struct list all;
	struct subscriptions *subscriptions;
	struct catchup catchup;
	bool closed; /* all connections were reported to close */
	bool wakes;  /* the thread can be woken, see can_be_woken */
	int64_t closed_ms;
	size_t held; /* bytes of all replies with stored events, and of claims for some */
	struct list reply_queues[REPLY_QUEUES];
	atomic_ullong connections;
	atomic_ullong delivered;
	atomic_ullong lag_max;
	atomic_ullong lag_sum;
	atomic_ullong left; /* see ws_figures */
	atomic_ullong left_behind;
	atomic_llong tick_due_ms; /* monotonic */
	struct ws_metrics *metrics;
	struct pulse pulse;        /* of all connections */
	atomic_ullong loop_lag_ms; /* delay of the last tick */
	atomic_ullong incoming;
};

/* ws_profile.c */

/* Puts a link into an inbox and wakes the thread. Any thread. */
void ws_wake(struct ws *w, struct list *inbox, struct list *link);
/* Is nothing more sent but a Close? */
bool ws_is_closing(const struct ws_conn *c);

/* ws_send.c */

enum { CLOSE_WITHOUT_FRAME = 1 }; /* no close frame: the peer is gone, or the socket has failed */

/* With more unsent bytes than this, reading from the peer is paused. */
enum { WS_OUT_MAX = 64 * 1024 };

/* Ends the document and queues it as a text frame. `ref` is the client's correlation value, as JSON text; empty: none. */
void ws_send_document(struct ws_conn *c, struct document *d, struct slice ref);
/* Queues {"op":"error",…}; `ref` may be empty. */
void ws_error(struct ws_conn *c, int status, const struct fault *fault, struct slice ref);
/* Appends `ref` as a further member of a JSON object. */
void ws_add_ref(struct buf *out, struct slice ref);
/* Counts that a frame will never be sent, once per connection. */
void ws_failed(struct ws_conn *c);
/* Sends `out`. False: the socket is full. */
bool ws_send_out(struct ws_conn *c);
/* Leaves the rest of a frame that the socket did not take to libwebsockets: nothing may come between the two parts, and
 * its own control frames would. */
void ws_buffer_rest(struct ws_conn *c, const char *bytes, size_t len);
/* Writing has failed. The messages of a publisher are still read to the end; other connections are closed. */
void ws_broken_socket(struct ws_conn *c);
/* Closes the connection as soon as its socket takes the close frame. */
void ws_hang_up(struct ws_conn *c, int code, const char *why);
/* Pauses reading from the client while too many of its tasks or replies are pending. */
void ws_throttle(struct ws_conn *c);

/* ws_reader.c */

void ws_reader_init(struct ws_conn *c);
/* Attaches the session, and makes the cursor. ERR_BUSY, ERR_RATE: a limit on sessions; ERR_NOMEM. */
enum err ws_reader_start(struct ws_conn *c, struct fault *fault);
/* A commit concerns a reader: for subscriptions_dispatch. */
void ws_reader_on_commit(void *arg, struct subscription *s);
/* Sends no more events. */
void ws_reader_stop(struct ws_conn *c);
void ws_reader_finish(struct ws_conn *c);
/* Does it wait for space in the socket? */
bool ws_reader_is_blocked(const struct ws_conn *c);
/* Has the live message been sent? */
bool ws_reader_was_live(const struct ws_conn *c);
/* Continues the reader after `start`, which may be earlier. Not while a page is being loaded. */
void ws_go_to(struct ws_conn *c, struct position start);
/* The peer has been sent its position `seq`. */
void ws_note_reported(struct ws_conn *c, uint64_t seq);
/* Sends a filtered reader its position, if that is due. */
void ws_checkpoint(struct ws_conn *c, int64_t now_ms);
/* Sends events to a reader; called by the catch-up scheduler. */
void ws_serve(struct ws_conn *c);
/* Committed events that the reader has not been sent. */
uint64_t ws_lag(const struct ws_conn *c, uint64_t head);
/* The same of a reader that is to be sent them. */
uint64_t ws_unsent_lag(const struct ws_conn *c, uint64_t head);
/* Closes a reader that was live and has fallen further behind than lag_max. A replay does not count as lag. */
bool ws_lags_too_far(struct ws_conn *c, uint64_t head);

/* ws_publisher.c */

void ws_publisher_init(struct ws_conn *c);
void ws_publisher_finish(struct ws_conn *c);
/* Are there replies that the socket has not taken? */
bool ws_publisher_has_unsent(const struct ws_conn *c);
bool ws_publisher_is_broken(const struct ws_conn *c);
/* A whole message of a publisher has arrived. */
void ws_publisher_message(struct ws_conn *c, struct buf *text);
void ws_publisher_refuse(struct ws_conn *c, const struct fault *fault);
extern const struct ws_replier ws_publisher;

/* ws_replay.c: a replay that its reader controls: pause, resume, step, speed, seek */

/* Runs a control op and answers it; a seek waits for a page that is being loaded. */
void ws_steer(struct ws_conn *c, const struct op *op);
/* A page was loaded, or the session was moved. */
void ws_reader_wake(struct ws_conn *c, bool loaded, bool moved);

/* ws_tick.c */

/* Starts the tick, which repeats until the thread ends. */
void ws_begin_ticks(struct ws *w);

/* ws_liveness.c */

/* Is it a publisher that has sent nothing for too long? `now_ms` is monotonic. */
bool ws_is_silent(const struct ws_conn *c, int64_t now_ms);
/* The connection begins. */
void ws_alive_init(struct ws_conn *c);
/* Its session existed before. */
void ws_note_reconnect(struct ws_conn *c);
/* The peer has sent part of a message; returns when (monotonic). */
int64_t ws_note_message(struct ws_conn *c);
void ws_pong(struct ws_conn *c);
/* Has the peer sent nothing for two intervals, not even a pong? */
bool ws_is_overdue(const struct ws_conn *c, int64_t now_ms);
/* Pings an idle peer, and now and then one whose round trip is measured. */
void ws_ping_if_due(struct ws_conn *c, int64_t now_ms);
/* For how long the peer has sent nothing; when it was last seen (Unix); its pings. */
int64_t ws_silent_ms(const struct ws_conn *c, int64_t now_ms);
int64_t ws_seen_ms(const struct ws_conn *c);
const struct pulse *ws_pulse(const struct ws_conn *c);
/* The peer could not send messages until now; no pong of it could be read. */
void ws_excuse_silence(struct ws_conn *c, int64_t now_ms);
void ws_excuse_pong(struct ws_conn *c, int64_t now_ms);

/* ws_message.c */

extern const struct ws_profile ws_v1;

/* ws_profile.c */

/* The profile of a path; NULL: there is none. */
const struct ws_profile *ws_profile_find(struct slice path);
/* The profile with that index; NULL after the last. */
const struct ws_profile *ws_profile_at(int index);
/* The socket has taken bytes; see ws_profile. */
void ws_progressed(struct ws_conn *c);

/* ws_request.c */

void ws_release_holds(struct ws_holds *p);

/* ws_open.c */

/* The handshake is done. */
int ws_open(struct ws_conn *c);
void ws_conn_destroy(struct ws_conn *c);
/* Closes the connection if its token is no longer valid. */
void ws_check_grant(struct ws_conn *c);

/* ws_receive.c */

void ws_receive_init(struct ws_conn *c);
void ws_receive(struct ws_conn *c, const void *bytes, size_t len);
/* Has the message that is being received been on its way for longer than `max_ms`? */
bool ws_receive_is_slow(const struct ws_conn *c, int64_t now_ms, int64_t max_ms);
/* Reading was paused: the time until now does not count. */
void ws_receive_paused(struct ws_conn *c, int64_t now_ms);
void ws_drop_message(struct ws_conn *c);

/* ws_close.c */

/* The peer's Close has arrived. Not 0: the connection ends at once. */
int ws_peer_closed(struct ws_conn *c, struct slice payload);
/* libwebsockets ends an open connection. */
void ws_ending(struct ws_conn *c);

/* catchup_scheduler.c: readers that are behind send in turn, a bounded number of bytes each, within a bounded time per
 * iteration of the loop, so that live readers, publishers and new connections do not wait for all of them
 * (docs/decisions/0014-herd.md) */

/* `serve` is called for each reader in turn. */
void catchup_init(struct ws *w, void (*serve)(struct ws_conn *c));
/* Appends the reader to those that wait for the scheduler. */
void catchup_wait(struct ws_conn *c);
/* A commit has happened. While commits arrive, readers that are behind get at most half of the thread's time. */
void catchup_committed(struct ws *w);

#endif
