/* What a profile sees of WebSockets: a table of what its paths do, and what they may do with a connection. All on the ws
 * thread, but where it says otherwise. */
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

/* What differs between the paths. A function may be NULL where it says so. */
struct ws_profile {
	const char *path;
	void *arg; /* the profile's own */
	enum permission permission;
	unsigned query; /* the parameters it takes */
	bool reads;     /* has a cursor */
	bool publishes; /* and nothing else (ws_publisher.c): is closed when it says nothing for long */
	bool measures;  /* is pinged for the time that takes, and not only when idle */
	enum encoding form;
	enum ws_metric counts; /* counted with each event that is sent, besides WSM_SENT; WSM_SENT: nothing is */
	/* Has the last word on what the query parameters ask for. NULL: they stand. */
	enum err (*narrow)(const struct url *u, struct reader_query *q, struct fault *fault);
	/* The connection is there: makes its state. False: no memory. `closed` follows, whatever becomes of it. NULL both.
	 */
	bool (*opened)(struct ws_conn *c);
	void (*closed)(struct ws_conn *c);
	/* Its reader, if it has one, has its position. */
	void (*open)(struct ws_conn *c);
	/* A whole message has come: ws_message. NULL of a publisher. */
	void (*message)(struct ws_conn *c);
	/* A message was thrown away; or something is wrong on our side. NULL of a publisher. */
	void (*error)(struct ws_conn *c, int status, const struct fault *fault);
	void (*gap)(struct ws_conn *c, const struct gap *gap);
	/* The reader is at the head. */
	void (*live)(struct ws_conn *c);
	/* A filtered reader has come as far as `seq`; its session was moved there. NULL: it is not told. */
	void (*checkpoint)(struct ws_conn *c, uint64_t seq);
	void (*moved)(struct ws_conn *c, uint64_t seq);
	/* Of a publisher, whose messages are events. Makes op.batch of a message, which it may take over, and *echo (from
	 * malloc, or no p) of what the answer repeats. */
	enum err (*read)(struct ws_conn *c, struct buf *message, struct write_op *op, struct slice *echo,
			 struct fault *fault);
	void (*answer)(struct buf *out, const struct ack *ack);
	/* How many of its messages may be on their way to the disk. */
	int64_t (*most)(const struct ws_conn *c);
	/* The socket has taken something. NULL: it is not told. */
	void (*progressed)(struct ws_conn *c);
	/* Once a second, for each connection; and for all of them. NULL: not. */
	void (*tick)(struct ws_conn *c);
	void (*tick_all)(struct ws *w, const struct ws_profile *profile);
	/* The connection is closed, for its peer was silent for so long. NULL: it is not told. */
	void (*silent)(const struct ws_conn *c, int64_t silent_ms);
};

enum { WS_PROFILES_MAX = 16 };

/* Adds one, which stays, before the first connection. */
void ws_add_profile(const struct ws_profile *profile);

/* --- a connection --- */

const struct ws_profile *ws_profile_of(const struct ws_conn *c);
void *ws_state(const struct ws_conn *c);
void ws_set_state(struct ws_conn *c, void *state);
/* The URL of its request, until the profile's `open` is called. */
const struct url *ws_url(const struct ws_conn *c);
/* The session's name; empty where there is none. */
struct slice ws_session(const struct ws_conn *c);
/* Counted from 1. */
uint64_t ws_number(const struct ws_conn *c);
const struct grant *ws_grant(const struct ws_conn *c);
/* Who is at the other end (server/message/peer.h). */
uint64_t ws_peer(const struct ws_conn *c);
/* The whole message, which may be changed in place, or taken over. */
struct buf *ws_message(struct ws_conn *c);
/* The reader's position: everything up to there is sent, or does not match. */
uint64_t ws_after(const struct ws_conn *c);
/* All up to `seq` is handled by the session, where there is one. */
void ws_ack(struct ws_conn *c, uint64_t seq);

/* Queues a text frame; sent before any further event. */
void ws_say(struct ws_conn *c, const struct buf *text);
/* Sends what is queued, and comes back when the socket has room, without touching what the reader waits for. */
void ws_pump_out(struct ws_conn *c);
/* Sends all that can be sent, events too, and sees to being woken for the rest. */
void ws_pump(struct ws_conn *c);
/* No events yet, for something comes first. */
void ws_hold(struct ws_conn *c, bool held);
bool ws_is_held(const struct ws_conn *c);
/* No events for now, or events again from where it was. */
void ws_mute(struct ws_conn *c, bool muted);
/* Whether the client is read from. */
void ws_pause(struct ws_conn *c, bool paused);
/* Does its peer take what it is sent, and is it going to stay? */
bool ws_keeps_up(const struct ws_conn *c);
/* Closes the connection: the server has no memory for it. */
void ws_give_up(struct ws_conn *c);
/* Calls back for each open connection of a profile. */
void ws_each(struct ws *w, const struct ws_profile *profile, void (*each)(struct ws_conn *c, void *arg), void *arg);

/* --- work elsewhere --- */

/* Something that another thread does for a connection. */
struct ws_task {
	struct list in_conn;  /* in the order in which they were begun */
	struct list in_inbox; /* ws.done */
	struct ws *ws;
	struct ws_conn *conn; /* NULL once it has gone */
	bool away;            /* another thread has it: `finish` comes; otherwise it comes when the connection goes */
	/* It is done: answers the connection if that is still there, and frees the task. */
	void (*finish)(struct ws_task *task);
};

/* A task of the connection begins; `finish` follows a ws_task_done from any thread. */
void ws_task_begin(struct ws_conn *c, struct ws_task *task, void (*finish)(struct ws_task *task));
void ws_task_done(struct ws_task *task);
/* From within finish: the task is no longer the connection's. */
void ws_task_end(struct ws_task *task);

#endif
