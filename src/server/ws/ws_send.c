/* Sending on a WebSocket connection: frames of text, and the end. */
#include <errno.h>
#include <sys/socket.h>

#include "base/system/clock.h"
#include "server/message/problem.h"
#include "server/ws/ws_conn.h"

enum {
	TASKS_MAX = 64,    /* pending tasks of one connection, before reading is paused */
	CLOSE_SECONDS = 3, /* time for a peer to take its close frame */
};

void ws_broken_socket(struct ws_conn *c)
{
	ws_failed(c);
	if (!c->profile->publishes) {
		ws_hang_up(c, CLOSE_WITHOUT_FRAME, NULL);
		return;
	}
	c->out.len = 0;
	c->replier->broken(c);
	ws_throttle(c);
}

/* LWS_WRITE_HTTP sends the bytes unchanged. */
void ws_buffer_rest(struct ws_conn *c, const char *bytes, size_t len)
{
	if (lws_write(c->wsi, (unsigned char *)bytes, len, LWS_WRITE_HTTP) < 0)
		ws_broken_socket(c);
}

void ws_failed(struct ws_conn *c)
{
	if (!c->failed)
		ws_metrics_count(c->ws->metrics, ws_session(c), WSM_FAILED, 1);
	c->failed = true;
}

bool ws_send_out(struct ws_conn *c)
{
	if (c->out.len == 0)
		return true;
	ssize_t n = send(c->fd, c->out.data, c->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	size_t sent = n > 0 ? (size_t)n : 0;
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		ws_broken_socket(c);
		return false;
	}
	if (sent < c->out.len)
		ws_buffer_rest(c, c->out.data + sent, c->out.len - sent);
	bool all = sent == c->out.len;
	c->out.len = 0;
	if (c->out.cap > WS_OUT_MAX)
		buf_finish(&c->out);
	ws_throttle(c);
	return all;
}

void ws_send_text(struct ws_conn *c, const struct buf *text)
{
	if (buf_failed(text))
		c->out.failed = true;
	else
		encoding_ws_frame(&c->out, buf_slice(text));
	if (buf_failed(&c->out))
		ws_hang_up(c, LWS_CLOSE_STATUS_UNEXPECTED_CONDITION, "out of memory");
}

void ws_add_ref(struct buf *out, struct slice ref)
{
	if (ref.len == 0)
		return;
	buf_adds(out, ",\"ref\":");
	buf_add(out, ref.p, ref.len);
}

void ws_send_document(struct ws_conn *c, struct document *d, struct slice ref)
{
	struct buf text;
	if (ref.len > 0)
		doc_raw(document_root(d), "ref", ref);
	buf_init(&text);
	document_end(d, &text);
	ws_send_text(c, &text);
	buf_finish(&text);
}

void ws_error(struct ws_conn *c, int status, const struct fault *fault, struct slice ref)
{
	struct buf text;
	buf_init(&text);
	problem_write_op(&text, status, fault, c->ws->options.base, ref);
	ws_send_text(c, &text);
	buf_finish(&text);
}

void ws_pump_out(struct ws_conn *c)
{
	if (ws_is_closing(c))
		return;
	if (c->replier != NULL)
		c->replier->drain(c);
	if (c->close_code != 0 || c->out.len == 0)
		return;
	if (lws_partial_buffered(c->wsi) || !ws_send_out(c))
		lws_callback_on_writable(c->wsi);
}

void ws_throttle(struct ws_conn *c)
{
	bool much = c->busy || (!c->profile->publishes && c->task_count >= TASKS_MAX) || c->out.len > WS_OUT_MAX ||
		    (c->replier != NULL && c->replier->is_over(c));
	if (much == c->throttled)
		return;
	c->throttled = much;
	lws_rx_flow_control(c->wsi, much ? 0 : 1);
}

void ws_hang_up(struct ws_conn *c, int code, const char *why)
{
	if (c->close_code != 0)
		return;
	c->close_code = code;
	c->close_why = why;
	lws_callback_on_writable(c->wsi);
	lws_set_timeout(c->wsi, PENDING_TIMEOUT_CLOSE_SEND, code == CLOSE_WITHOUT_FRAME ? LWS_TO_KILL_ASYNC : CLOSE_SECONDS);
}

void ws_pause(struct ws_conn *c, bool paused)
{
	c->busy = paused;
	ws_throttle(c);
}

void ws_give_up(struct ws_conn *c)
{
	ws_hang_up(c, LWS_CLOSE_STATUS_UNEXPECTED_CONDITION, "out of memory");
}
