/* Parsing the messages of WebSocket clients: one JSON object each, with an op (schema/asyncapi.json). */
#ifndef EVENT_OP_H
#define EVENT_OP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

enum op_kind { OP_NONE, OP_PUBLISH, OP_ACK, OP_PING, OP_PAUSE, OP_RESUME, OP_STEP, OP_SPEED, OP_SEEK };

enum { OP_REF_MAX = 1024 };

/* Bounds of a speed, here and in URLs. */
#define OP_SPEED_MIN 0.01
#define OP_SPEED_MAX 10000.0

/* Slices are JSON of the message; empty where it has no such member. */
struct op {
	enum op_kind kind; /* also where something else is wrong with it */
	struct slice ref;
	struct slice events; /* publish: an array */
	bool expect;         /* publish: only where the last seq of its stream is `seq` */
	uint64_t seq;        /* ack, expect; step: how many events */
	double speed;        /* 0: as fast as the reader reads */
	struct slice after;  /* seek: a seq, or first or head without quotes */
};

/* `text` is overwritten, and must live as long as the slices. ERR_INVALID; `out` then has what was parsed before the error.
 */
enum err op_read(char *text, size_t len, struct op *out, struct fault *fault);

#endif
