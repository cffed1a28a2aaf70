/* Redis: XADD to streams, PUBLISH and SUBSCRIBE on one channel. */
#include <stdio.h>
#include <string.h>

#include "load/protocol.h"

static void greet(struct buf *out, const char *target)
{
	if (target != NULL)
		buf_printf(out, "*2\r\n$9\r\nSUBSCRIBE\r\n$%zu\r\n%s\r\n", strlen(target), target);
	else
		buf_adds(out, "PING\r\n");
}

/* The line at `bytes` without its end; NULL when that has not come. */
static const char *line_end(const char *bytes, size_t len)
{
	const char *end = memchr(bytes, '\n', len);
	return end == NULL ? NULL : end + 1;
}

/* A bulk string: its bytes with header and end; 0 when its end has not come. */
static size_t bulk(const char *bytes, size_t len, const char **text, size_t *text_len)
{
	const char *start = len > 0 ? line_end(bytes, len) : NULL;
	if (start == NULL)
		return 0;
	*text_len = number_at(bytes + 1);
	*text = start;
	size_t size = (size_t)(start - bytes) + *text_len + 2;
	return size <= len ? size : 0;
}

/* `*3 message CHANNEL TEXT`, or `*3 subscribe CHANNEL :1`. */
static size_t pushed(const char *bytes, size_t len, struct message *out)
{
	static const char message[] = "*3\r\n$7\r\nmessage\r\n";
	static const char subscribe[] = "*3\r\n$9\r\nsubscribe\r\n";
	enum { MESSAGE = sizeof message - 1, SUBSCRIBE = sizeof subscribe - 1 };
	if (len < SUBSCRIBE)
		return 0;
	bool event = memcmp(bytes, message, MESSAGE) == 0;
	if (!event && memcmp(bytes, subscribe, SUBSCRIBE) != 0)
		die("redis says: %.*s", (int)len, bytes);
	size_t at = event ? MESSAGE : SUBSCRIBE;
	size_t used = bulk(bytes + at, len - at, &out->text, &out->len);
	if (used == 0)
		return 0;
	at += used;
	if (event) {
		out->kind = MESSAGE_EVENT;
		used = bulk(bytes + at, len - at, &out->text, &out->len);
	} else {
		*out = (struct message){MESSAGE_READY, bytes, 0, 0};
		const char *end = line_end(bytes + at, len - at);
		used = end == NULL ? 0 : (size_t)(end - bytes) - at;
	}
	return used == 0 ? 0 : at + used;
}

static size_t next(const char *bytes, size_t len, struct message *out)
{
	*out = (struct message){MESSAGE_ACK, bytes, 0, 1};
	if (*bytes == '*')
		return pushed(bytes, len, out);
	if (*bytes == '$')
		return bulk(bytes, len, &out->text, &out->len);
	const char *end = line_end(bytes, len);
	if (end == NULL)
		return 0;
	out->len = (size_t)(end - bytes);
	if (*bytes == '+')
		*out = (struct message){MESSAGE_READY, bytes, out->len, 0};
	else if (*bytes != ':')
		out->kind = MESSAGE_BAD;
	return out->len;
}

static void put_bulk(struct buf *out, const struct payload *payload, uint64_t n)
{
	buf_addc(out, '$');
	payload_put_number(out, payload->bytes);
	buf_adds(out, "\r\n");
	payload_put(out, payload, n);
	buf_adds(out, "\r\n");
}

static void xadd(struct buf *out, const struct payload *payload, uint64_t first, unsigned count)
{
	for (uint64_t n = first; n < first + count; n++) {
		char name[24];
		int len = snprintf(name, sizeof name, "s%lu", (unsigned long)(n % payload->streams));
		buf_printf(out, "*5\r\n$4\r\nXADD\r\n$%d\r\n%s\r\n$1\r\n*\r\n$4\r\ndata\r\n", len, name);
		put_bulk(out, payload, n);
	}
}

static void publish(struct buf *out, const struct payload *payload, uint64_t first, unsigned count)
{
	for (uint64_t n = first; n < first + count; n++) {
		buf_adds(out, "*3\r\n$7\r\nPUBLISH\r\n$6\r\nevents\r\n");
		put_bulk(out, payload, n);
	}
}

const struct protocol redis_stream = {"redis-stream", false, true, "", greet, next, xadd};
const struct protocol redis_pubsub = {"redis-pubsub", false, true, "", greet, next, publish};
