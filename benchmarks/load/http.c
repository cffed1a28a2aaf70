/* HTTP/1.1 on a kept-alive connection: publishing to Tidemark and nchan, history queries. */
#include <stdio.h>
#include <string.h>

#include "load/protocol.h"

/* Nothing is said before the first request; a target is one to be made at once. */
static void greet(struct buf *out, const char *target)
{
	if (target != NULL)
		buf_printf(out, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", target);
}

static size_t http_next(const char *bytes, size_t len, struct message *out)
{
	const char *end = memmem(bytes, len, "\r\n\r\n", 4);
	if (end == NULL)
		return 0;
	size_t head = (size_t)(end + 4 - bytes);
	size_t body = number_after(bytes, head, "ontent-Length: ");
	if (len < head + body)
		return 0;
	*out = (struct message){MESSAGE_ACK, bytes + head, body, 1};
	if (memcmp(bytes, "HTTP/1.1 2", 10) != 0)
		*out = (struct message){MESSAGE_BAD, bytes, head + body, 0};
	return head + body;
}

/* 201, once what was sent is on the disk. */
static size_t tidemark_next(const char *bytes, size_t len, struct message *out)
{
	size_t used = http_next(bytes, len, out);
	if (used == 0 || out->kind != MESSAGE_ACK || memcmp(bytes, "HTTP/1.1 201", 12) != 0)
		return used;
	out->count = number_after(out->text, out->len, "\"count\":");
	if (memmem(out->text, out->len, "\"durability\":\"fsync\"", 20) == NULL)
		out->kind = MESSAGE_BAD;
	return used;
}

static void tidemark_publish(struct buf *out, const struct payload *payload, uint64_t first, unsigned count)
{
	static struct buf body;
	body.len = 0;
	for (unsigned i = 0; i < count; i++) {
		payload_put_event(&body, payload, first + i);
		buf_addc(&body, '\n');
	}
	buf_printf(out,
		   "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
		   "Content-Length: %zu\r\n\r\n",
		   body.len);
	buf_add(out, body.data, body.len);
}

static void nchan_publish(struct buf *out, const struct payload *payload, uint64_t first, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		buf_printf(out, "POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n", payload->bytes);
		payload_put(out, payload, first + i);
	}
}

const struct protocol tidemark_http = {"http", true, true, "", greet, tidemark_next, tidemark_publish};
const struct protocol nchan_http = {"nchan-http", true, true, "", greet, http_next, nchan_publish};
