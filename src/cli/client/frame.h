/* Parses the server's WebSocket messages (schema/asyncapi.json). */
#ifndef CLI_CLIENT_FRAME_H
#define CLI_CLIENT_FRAME_H

#include <stddef.h>
#include <stdint.h>

enum frame_kind {
	FRAME_EVENT,
	FRAME_HELLO,
	FRAME_GAP,
	FRAME_LIVE,
	FRAME_CHECKPOINT,
	FRAME_MOVED,
	FRAME_ERROR,
	FRAME_OTHER,  /* with an op that is not handled here */
	FRAME_BROKEN, /* neither an event nor a message */
};

enum { FRAME_TEXT_LEN = 1024 };

struct frame {
	enum frame_kind kind;
	uint64_t seq;              /* event, live, checkpoint */
	uint64_t after;            /* hello, moved */
	uint64_t requested;        /* gap */
	uint64_t first;            /* hello, gap */
	char text[FRAME_TEXT_LEN]; /* hello: epoch; gap: reason; error: detail */
};

/* Missing or invalid members are 0 or empty. */
void frame_read(const char *text, size_t len, struct frame *out);

#endif
