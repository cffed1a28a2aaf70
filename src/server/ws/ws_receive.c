/* Receiving messages. */
#include "server/ws/ws_conn.h"

#include <ev.h>
#include <stdlib.h>

#include "server/http/http_conn.h"
#include "server/message/problem.h"

enum { DISCARD_MAX = 64 * 1024 * 1024 /* bytes of a refused message that are discarded before the connection is closed */ };

void ws_receive_init(struct ws_conn *c)
{
	c->incoming.upload = (struct quota_hold){.quotas = c->ws->options.quotas, .client = c->client};
}

struct buf *ws_message(struct ws_conn *c)
{
	return &c->incoming.text;
}

bool ws_receive_is_slow(const struct ws_conn *c, int64_t now_ms, int64_t max_ms)
{
	return c->incoming.begun_ms != 0 && now_ms - c->incoming.begun_ms > max_ms;
}

void ws_receive_paused(struct ws_conn *c, int64_t now_ms)
{
	if (c->incoming.begun_ms != 0)
		c->incoming.begun_ms = now_ms;
}

void ws_drop_message(struct ws_conn *c)
{
	buf_finish(&c->incoming.text);
	quota_hold_upload(&c->incoming.upload, 0, NULL);
}

/* Clients without permission to publish send small messages only. */
static size_t message_max(const struct ws_conn *c)
{
	size_t max = c->ws->options.message_max;
	return max > QUOTA_SMALL_UPLOAD && !grant_may(&c->grant, PERMISSION_PUBLISH) ? QUOTA_SMALL_UPLOAD : max;
}

/* `left`: bytes of the frame that have not arrived. */
static enum err take_fragment(struct ws_conn *c, const void *bytes, size_t len, size_t left, struct fault *fault)
{
	size_t max = message_max(c);
	if (lws_frame_is_binary(c->wsi))
		return fault_set(fault, ERR_INVALID, "messages must be text frames, not binary");
	if (left > max || c->incoming.text.len + len > max - left)
		return fault_set(fault, ERR_TOO_LARGE, "the message is larger than the limit of %zu bytes (--max-request)",
				 max);
	buf_add(&c->incoming.text, bytes, len);
	if (buf_failed(&c->incoming.text))
		return fault_nomem(fault);
	return quota_hold_upload(&c->incoming.upload, c->incoming.text.cap, fault);
}

/* Discards the rest of a refused message, up to a limit. */
static void discard(struct ws_conn *c, size_t len, size_t left)
{
	c->incoming.discarded += len;
	if (left > DISCARD_MAX || c->incoming.discarded > DISCARD_MAX - left)
		ws_hang_up(c, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, "the message is too large");
}

static void refuse_message(struct ws_conn *c, const struct fault *fault)
{
	c->incoming.refused = true;
	ws_drop_message(c);
	if (c->profile->publishes)
		ws_publisher_refuse(c, fault);
	else
		c->profile->error(c, problem_status(fault->code), fault);
}

static void end_message(struct ws_conn *c)
{
	c->incoming.begun_ms = 0;
	c->incoming.begun_len = 0;
	quota_hold_upload(&c->incoming.upload, 0, NULL); /* a publish has taken the text and its quota over */
	if (!c->incoming.refused && c->profile->publishes)
		ws_publisher_message(c, &c->incoming.text);
	else if (!c->incoming.refused)
		c->profile->message(c);
	c->incoming.refused = false;
	c->incoming.discarded = 0;
	buf_finish(&c->incoming.text);
	ws_throttle(c);
}

void ws_receive(struct ws_conn *c, const void *bytes, size_t len)
{
	int64_t now_ms = ws_note_message(c);
	if (c->close_code != 0 || c->peer_closed)
		return;
	c->incoming.begun_ms = c->incoming.begun_ms != 0 ? c->incoming.begun_ms : now_ms;
	c->incoming.begun_len += len;
	if (c->incoming.begun_len >= HTTP_CONN_PROGRESS) {
		c->incoming.begun_ms = now_ms;
		c->incoming.begun_len = 0;
	}
	struct fault fault;
	size_t left = lws_remaining_packet_payload(c->wsi);
	bool first = !c->incoming.refused && take_fragment(c, bytes, len, left, &fault) != ERR_NONE;
	if (first)
		refuse_message(c, &fault);
	if (c->incoming.refused)
		discard(c, len, left);
	bool ends = left == 0 && lws_is_final_fragment(c->wsi);
	if (ends)
		end_message(c);
	if (first || ends)
		ws_pump_out(c);
}
