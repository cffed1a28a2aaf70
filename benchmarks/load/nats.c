/* NATS core: PUB and SUB on one subject. */
#include <string.h>

#include "load/protocol.h"

/* PONG says that the subscription stands. */
static void greet(struct buf *out, const char *target)
{
	buf_adds(out, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n");
	if (target != NULL)
		buf_printf(out, "SUB %s 1\r\n", target);
	buf_adds(out, "PING\r\n");
}

/* `MSG SUBJECT SID BYTES`, the text, and an end of line; all else is one line. */
static size_t next(const char *bytes, size_t len, struct message *out)
{
	const char *end = memchr(bytes, '\n', len);
	if (end == NULL)
		return 0;
	size_t head = (size_t)(end + 1 - bytes);
	*out = (struct message){MESSAGE_NONE, bytes, head, 0};
	if (memcmp(bytes, "MSG ", 4) == 0) {
		const char *digits = end - 1;
		while (digits[-1] != ' ')
			digits--;
		size_t body = number_at(digits);
		*out = (struct message){MESSAGE_EVENT, bytes + head, body, 0};
		return len < head + body + 2 ? 0 : head + body + 2;
	}
	if (memcmp(bytes, "PING", 4) == 0)
		out->kind = MESSAGE_PING;
	else if (memcmp(bytes, "PONG", 4) == 0)
		out->kind = MESSAGE_READY;
	else if (*bytes == '-')
		out->kind = MESSAGE_BAD;
	return head;
}

static void publish(struct buf *out, const struct payload *payload, uint64_t first, unsigned count)
{
	for (uint64_t n = first; n < first + count; n++) {
		buf_adds(out, "PUB events ");
		payload_put_number(out, payload->bytes);
		buf_adds(out, "\r\n");
		payload_put(out, payload, n);
		buf_adds(out, "\r\n");
	}
}

const struct protocol nats_core = {"nats", false, false, "PONG\r\n", greet, next, publish};
