/* Closing by the peer. At a clean close the acknowledgements of the session are durable before the Close is answered
 * (docs/decisions/0006-clean-close.md). */
#include "server/ws/ws_conn.h"

#include <assert.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/message/close_frame.h"

enum { FIN_CLOSE = 0x88 /* the first byte of a Close frame */, CLOSE_PAYLOAD_MAX = 125 };

/* Marks the connection as not writable, so that libwebsockets neither answers the peer's Close nor shuts the socket down;
 * reading continues, and the peer's end is noticed. libwebsockets has no interface for a late answer: a write to a
 * descriptor that is not a socket makes it believe that, and the socket is put back at once. The descriptor's number is
 * never free and the socket is never closed, so that epoll notices nothing. */
static bool block_library_writes(struct ws_conn *c)
{
	unsigned char byte[LWS_PRE + 1] = {0};
	int no_socket = eventfd(0, EFD_CLOEXEC);
	int socket = fcntl(c->fd, F_DUPFD_CLOEXEC, 0);
	bool fine = no_socket >= 0 && socket >= 0 && dup3(no_socket, c->fd, O_CLOEXEC) == c->fd;
	if (fine) {
		fine = lws_write(c->wsi, byte + LWS_PRE, 1, LWS_WRITE_HTTP) < 0;
		/* Onto an open descriptor: the only possible error is EINTR. */
		while (dup3(socket, c->fd, O_CLOEXEC) < 0)
			assert(errno == EINTR || errno == EBUSY);
	}
	if (socket >= 0)
		close(socket);
	if (no_socket >= 0)
		close(no_socket);
	return fine;
}

/* Answers a Close, bypassing libwebsockets. The peer may be gone. */
static void send_close(const struct ws_conn *c, struct slice payload)
{
	unsigned char frame[2 + CLOSE_PAYLOAD_MAX] = {FIN_CLOSE, (unsigned char)payload.len};
	assert(payload.len <= CLOSE_PAYLOAD_MAX);
	slice_copy((char *)frame + 2, payload);
	(void)!send(c->fd, frame, 2 + payload.len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* A Close that waits until the acknowledgements of the session are durable. An operation of the writer's reports that. */
struct closing {
	struct write_op op; /* first member: the writer hands it back */
	struct ws_task task;
	char payload[CLOSE_PAYLOAD_MAX];
	size_t len;
};

static void on_saved(struct write_op *op)
{
	ws_task_done(&((struct closing *)op)->task);
}

static void answer_close(struct ws_conn *c)
{
	struct closing *k = c->closing;
	c->closing = NULL;
	send_close(c, (struct slice){k->payload, k->len});
	c->close_code = CLOSE_WITHOUT_FRAME;
	lws_set_timeout(c->wsi, PENDING_TIMEOUT_CLOSE_SEND, LWS_TO_KILL_ASYNC);
}

/* The commit is done, or has failed. The connection may be gone, or have been answered after save_ms. */
static void on_save_ended(struct ws_task *task)
{
	struct closing *k = LIST_ITEM(task, struct closing, task);
	struct ws_conn *c = task->conn;
	ws_task_end(task);
	if (c != NULL && c->closing == k)
		answer_close(c);
	free(k);
}

static void on_save_late(lws_sorted_usec_list_t *timer)
{
	struct ws_conn *c = lws_container_of(timer, struct ws_conn, timer);
	if (c->closing != NULL)
		answer_close(c);
}

/* Has the acknowledgements of the session written. False: the Close is answered at once, because nothing has to be
 * written, or waiting is impossible. */
static bool wait_for_save(struct ws_conn *c, struct slice payload)
{
	const struct ws_options *o = &c->ws->options;
	if (c->session == NULL || c->close_code != 0 || lws_partial_buffered(c->wsi) ||
	    sessions_saved(o->sessions, ws_session(c)))
		return false;
	struct closing *k = calloc(1, sizeof *k);
	if (k == NULL)
		return false;
	k->op.done = on_saved;
	slice_copy(k->payload, payload);
	k->len = payload.len;
	ws_task_begin(c, &k->task, on_save_ended);
	if (writer_submit(o->writer, &k->op, NULL) != ERR_NONE) {
		ws_task_end(&k->task);
		free(k);
		return false;
	}
	if (!block_library_writes(c)) /* no descriptor left */
		return false;
	c->closing = k;
	ws_reader_stop(c);
	lws_sul_schedule(c->ws->context, 0, &c->timer, on_save_late, o->save_ms * 1000);
	return true;
}

/* libwebsockets answers a Close with the peer's payload. If that payload is invalid, this function answers with the
 * error, and the connection ends without another answer. */
int ws_peer_closed(struct ws_conn *c, struct slice payload)
{
	int fault = close_frame_fault(payload);
	bool first = !c->peer_closed;
	c->peer_closed = true;
	if (fault == 0) {
		if (first)
			wait_for_save(c, payload);
		return 0;
	}
	const char code[] = {(char)(fault >> 8), (char)fault};
	if (!lws_partial_buffered(c->wsi))
		send_close(c, (struct slice){code, sizeof code});
	return -1;
}

/* libwebsockets ends an open connection. If neither side has closed it and the peer is still there, the peer has broken
 * the protocol: it gets a Close frame with 1002; libwebsockets sends one in most cases only. */
void ws_ending(struct ws_conn *c)
{
	char byte;
	ssize_t n = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	bool connected = n > 0 || (n < 0 && errno == EAGAIN);
	if (list_empty(&c->in_all) || c->close_code != 0 || c->peer_closed || !connected)
		return;
	c->close_code = CLOSE_PROTOCOL_ERROR;
	lws_close_reason(c->wsi, LWS_CLOSE_STATUS_PROTOCOL_ERR, NULL, 0);
}
