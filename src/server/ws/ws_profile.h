/* The interface between WebSockets and their profiles: a table of what the paths of a profile do, and what they may do
 * with a connection. Everything runs on the ws thread unless stated otherwise. */
#ifndef SERVER_WS_WS_PROFILE_H
#define SERVER_WS_WS_PROFILE_H

#include "base/list.h"
#include "base/url.h"
#include "engine/read/cursor.h"
#include "engine/work/ack_list.h"
#include "engine/write/write_op.h"
#include "server/access/access.h"
#include "server/stream/reader_query.h"
#include "server/ws/metrics/ws_metrics.h"

struct ws;
struct ws_conn;

/* A profile. A function may be NULL only where the comment says so. */
struct ws_profile {
	const char *path;
	void *arg; /* owned by the profile */
	enum permission permission;
	unsigned query; /* flags of the query parameters that the path accepts */
	bool reads;     /* has a cursor */
	/* Has no cursor, and its messages are events (ws_publisher.c); it is closed after silence_ms without a message. */
	bool publishes;
	bool measures; /* is pinged regularly to measure the round trip, not only when idle */
	enum encoding encoding;
	enum ws_metric counts; /* counted for each event sent, in addition to WSM_SENT; WSM_SENT: none */
	/* May change or refuse what the query parameters ask for. NULL: no change. */
	enum err (*narrow)(const struct url *u, struct reader_query *q, struct fault *fault);
	/* The connection is open: makes the profile's state. False: no memory. `closed` follows in either case. Both may
	 * be NULL. */
	bool (*opened)(struct ws_conn *c);
	void (*closed)(struct ws_conn *c);
	/* The reader, if there is one, has its position. */
	void (*open)(struct ws_conn *c);
	/* A whole message has arrived: ws_message. NULL for a publisher. */
	void (*message)(struct ws_conn *c);
	/* A message was refused, or the server has failed: tells the client. NULL for a publisher. */
	void (*error)(struct ws_conn *c, int status, const struct fault *fault);
	void (*gap)(struct ws_conn *c, const struct gap *gap);
	/* The reader has reached the head. */
	void (*live)(struct ws_conn *c);
	/* checkpoint: a filtered reader has advanced to `seq`. moved: its session was moved there. Both may be NULL. */
	void (*checkpoint)(struct ws_conn *c, uint64_t seq);
	void (*moved)(struct ws_conn *c, uint64_t seq);
	/* For publishers: makes op.batch of a message, whose buffer it may take over, and *echo (from malloc; p NULL:
	 * none), which the answer repeats. */
	enum err (*read)(struct ws_conn *c, struct buf *message, struct write_op *op, struct slice *echo,
			 struct fault *fault);
	void (*answer)(struct buf *out, const struct ack *ack);
	/* How many messages of a publisher may be pending at a time. */
	int64_t (*most)(const struct ws_conn *c);
	/* The socket has taken bytes. May be NULL. */
	void (*progressed)(struct ws_conn *c);
	/* Called once a second, for each connection, and for all of them together. Both may be NULL. */
	void (*tick)(struct ws_conn *c);
	void (*tick_all)(struct ws *w, const struct ws_profile *profile);
	/* The connection is being closed because its peer has been silent for `silent_ms`. May be NULL. */
	void (*silent)(const struct ws_conn *c, int64_t silent_ms);
};

enum { WS_PROFILES_MAX = 16 };

/* Adds a profile, which must outlive the server. Before the first connection. */
void ws_add_profile(const struct ws_profile *profile);

/* --- a connection --- */

const struct ws_profile *ws_profile_of(const struct ws_conn *c);
void *ws_state(const struct ws_conn *c);
void ws_set_state(struct ws_conn *c, void *state);
/* The URL of its request. Valid until the profile's `open` is called. */
const struct url *ws_url(const struct ws_conn *c);
/* The name of the session; empty: none. */
struct slice ws_session(const struct ws_conn *c);
/* Counted from 1. */
uint64_t ws_number(const struct ws_conn *c);
const struct grant *ws_grant(const struct ws_conn *c);
/* The peer (server/message/peer.h). */
uint64_t ws_peer(const struct ws_conn *c);
/* The whole message, which may be changed in place or taken over. */
struct buf *ws_message(struct ws_conn *c);
/* The reader's position: every event up to it is sent or does not match. */
uint64_t ws_after(const struct ws_conn *c);
/* Acknowledges every event up to `seq` for the session, if there is one. */
void ws_ack(struct ws_conn *c, uint64_t seq);

/* Queues a text frame, which is sent before any further event. */
void ws_send_text(struct ws_conn *c, const struct buf *text);
/* Sends the queued frames, and continues when the socket has space; does not touch events. */
void ws_pump_out(struct ws_conn *c);
/* Sends queued frames and events until the reader has to wait for something. */
void ws_pump(struct ws_conn *c);
/* Holds events back until another message is sent. */
void ws_hold(struct ws_conn *c, bool held);
bool ws_is_held(const struct ws_conn *c);
/* Stops events, or continues them where they stopped. */
void ws_mute(struct ws_conn *c, bool muted);
/* Pauses or resumes reading from the client. */
void ws_pause(struct ws_conn *c, bool paused);
/* Does the peer take what it is sent, and is it not being closed? */
bool ws_keeps_up(const struct ws_conn *c);
/* Closes the connection because there is no memory for it. */
void ws_give_up(struct ws_conn *c);
/* Calls `each` for every open connection of a profile. */
void ws_each(struct ws *w, const struct ws_profile *profile, void (*each)(struct ws_conn *c, void *arg), void *arg);

/* --- tasks on other threads --- */

/* A task that another thread does for a connection. */
struct ws_task {
	struct list in_conn;  /* in the order in which they were begun */
	struct list in_inbox; /* ws.done */
	struct ws *ws;
	struct ws_conn *conn; /* NULL: the connection has ended */
	/* Another thread has it: `finish` is called after ws_task_done. Otherwise it is called when the connection ends. */
	bool away;
	/* Answers the connection, if it still exists, and frees the task. */
	void (*finish)(struct ws_task *task);
};

/* Begins a task of the connection; another thread calls ws_task_done, and `finish` follows on the ws thread. */
void ws_task_begin(struct ws_conn *c, struct ws_task *task, void (*finish)(struct ws_task *task));
void ws_task_done(struct ws_task *task);
/* From within `finish`: removes the task from its connection. */
void ws_task_end(struct ws_task *task);

#endif
