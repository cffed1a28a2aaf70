/* WebSocket, Tidemark's frames and nchan's. Frames that clients send are masked with zeros: allowed, and free. */
#include <string.h>

#include "load/protocol.h"

enum { FRAME_TEXT = 0x81, FRAME_CLOSE = 0x88, FRAME_PING = 0x89, MASKED = 0x80 };

static void greet(struct buf *out, const char *target)
{
	buf_printf(out,
		   "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
		   target);
}

/* The frame's size; 0 when its end has not come. */
static inline size_t frame_size(const unsigned char *b, size_t len, size_t *head)
{
	size_t body = len > 1 ? b[1] : 0;
	*head = 2;
	if (body == 126 && len >= 4) {
		*head = 4;
		body = (size_t)b[2] << 8 | b[3];
	} else if (body == 127 && len >= 10) {
		*head = 10;
		body = 0;
		for (int i = 2; i < 10; i++)
			body = body << 8 | b[i];
	} else if (body > 125) {
		return 0;
	}
	return *head + body;
}

/* The answer to the upgrade, or a frame. */
static size_t ws_next(const char *bytes, size_t len, struct message *out)
{
	size_t head;
	const unsigned char *b = (const unsigned char *)bytes;
	if (*b == 'H') {
		const char *end = memmem(bytes, len, "\r\n\r\n", 4);
		if (end == NULL)
			return 0;
		head = (size_t)(end + 4 - bytes);
		*out = (struct message){memcmp(bytes, "HTTP/1.1 101", 12) ? MESSAGE_BAD : MESSAGE_READY, bytes, len, 0};
		return head;
	}
	size_t size = frame_size(b, len, &head);
	if (len < 2 || len < size || size == 0)
		return 0;
	*out = (struct message){MESSAGE_EVENT, bytes + head, size - head, 0};
	if (*b != FRAME_TEXT)
		out->kind = *b == FRAME_PING ? MESSAGE_PING : *b == FRAME_CLOSE ? MESSAGE_BAD : MESSAGE_NONE;
	return size;
}

static bool begins(const struct message *m, const char *with)
{
	return m->len >= strlen(with) && memcmp(m->text, with, strlen(with)) == 0;
}

/* A connection is ready when it has said hello; what is not an event has an `op`. */
static size_t tidemark_next(const char *bytes, size_t len, struct message *out)
{
	size_t used = ws_next(bytes, len, out);
	if (used == 0)
		return 0;
	if (out->kind == MESSAGE_READY)
		out->kind = MESSAGE_NONE;
	if (out->kind != MESSAGE_EVENT || !begins(out, "{\"op\":"))
		return used;
	out->kind = MESSAGE_BAD;
	if (begins(out, "{\"op\":\"hello\"")) {
		out->kind = MESSAGE_READY;
		out->count = number_after(out->text, out->len, "\"head\":");
	} else if (begins(out, "{\"op\":\"published\"")) {
		out->kind = MESSAGE_ACK;
		out->count = number_after(out->text, out->len, "\"count\":");
	} else if (begins(out, "{\"op\":\"live\"")) {
		out->kind = MESSAGE_NONE;
	}
	return used;
}

static void put_frame(struct buf *out, const struct buf *text)
{
	buf_addc(out, (char)FRAME_TEXT);
	if (text->len < 126) {
		buf_addc(out, (char)(MASKED | text->len));
	} else if (text->len < 65536) {
		buf_addc(out, (char)(MASKED | 126));
		buf_addc(out, (char)(text->len >> 8));
		buf_addc(out, (char)text->len);
	} else {
		buf_addc(out, (char)(MASKED | 127));
		for (int shift = 56; shift >= 0; shift -= 8)
			buf_addc(out, (char)(text->len >> shift));
	}
	buf_add(out, "\0\0\0\0", 4);
	buf_add(out, text->data, text->len);
}

static void tidemark_publish(struct buf *out, const struct payload *payload, uint64_t first, unsigned count)
{
	static struct buf text;
	text.len = 0;
	buf_adds(&text, "{\"op\":\"publish\",\"ref\":1,\"events\":[");
	for (unsigned i = 0; i < count; i++) {
		if (i > 0)
			buf_addc(&text, ',');
		payload_put_event(&text, payload, first + i);
	}
	buf_adds(&text, "]}");
	put_frame(out, &text);
}

static void nchan_publish(struct buf *out, const struct payload *payload, uint64_t first, unsigned count)
{
	static struct buf text;
	for (unsigned i = 0; i < count; i++) {
		text.len = 0;
		payload_put(&text, payload, first + i);
		put_frame(out, &text);
	}
}

static const char pong[] = "\x8a\x80\0\0\0\0";

const struct protocol tidemark_ws = {"ws", false, true, pong, greet, tidemark_next, tidemark_publish};
const struct protocol nchan_ws = {"nchan-ws", false, false, pong, greet, ws_next, nchan_publish};
