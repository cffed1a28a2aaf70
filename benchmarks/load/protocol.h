/* What the sides have in common: a greeting, messages that can be cut out of a stream of bytes, and a way to publish. */
#ifndef LOAD_PROTOCOL_H
#define LOAD_PROTOCOL_H

#include "load/loop.h"
#include "load/payload.h"

struct protocol {
	const char *name;
	bool silent;       /* says nothing before the first request */
	bool acknowledges; /* what is published */
	const char *pong;
	/* `target`: a path, or the channel to subscribe to; NULL for a publisher. */
	void (*greet)(struct buf *out, const char *target);
	/* Bytes of the first message, 0 when its end has not come yet. */
	size_t (*next)(const char *bytes, size_t len, struct message *out);
	/* Events `first` to `first + count - 1`, to be stored or delivered. */
	void (*publish)(struct buf *out, const struct payload *payload, uint64_t first, unsigned count);
};

extern const struct protocol tidemark_http;
extern const struct protocol tidemark_ws;
extern const struct protocol redis_stream;
extern const struct protocol redis_pubsub;
extern const struct protocol nats_core;
extern const struct protocol nchan_http; /* publishes with POST; any other HTTP too */
extern const struct protocol nchan_ws;   /* subscribes, or publishes, over WebSocket */

/* NULL: there is none of that name. */
const struct protocol *protocol_find(const char *name);

/* The number after `key` (such as `"count":`) in text; 0: none. */
uint64_t number_after(const char *text, size_t len, const char *key);
/* A decimal number at `text`, which ends with another character. */
static inline uint64_t number_at(const char *text)
{
	uint64_t n = 0;
	while (*text >= '0' && *text <= '9')
		n = n * 10 + (uint64_t)(*text++ - '0');
	return n;
}

#endif
