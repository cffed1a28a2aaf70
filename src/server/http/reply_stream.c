#include "server/http/reply_stream.h"

#include <stdlib.h>
#include <string.h>

#include "base/system/log.h"

enum { FREE_BYTES = 16 * 1024 }; /* a piece of this size is covered by the cost of a connection */

struct body {
	reply_stream_fill *fill;
	void *source;
	void (*destroy)(void *source);
	struct buf piece;
	size_t sent;
	size_t held; /* bytes that `source` holds */
	bool ended;
	bool broken;
};

static void destroy(void *arg)
{
	struct body *b = arg;
	b->destroy(b->source);
	buf_finish(&b->piece);
	free(b);
}

static void hold_piece(const struct body *b, struct http_request *x)
{
	request_hold(x, b->held + (b->piece.cap > FREE_BYTES ? b->piece.cap : 0));
}

/* On a pool thread, while the request is suspended. */
static void fill(void *arg, struct http_request *x, struct reader *reader)
{
	(void)arg;
	struct body *b = request_state(x);
	struct fault fault = {0};
	enum err err = b->fill(b->source, reader, &b->piece, &b->ended, &fault);
	b->broken = err != ERR_NONE || buf_failed(&b->piece);
	hold_piece(b, x);
	if (err)
		log_error("reply aborted", "why=\"%s\"", fault.text);
	request_resume(x);
}

static long read_body(struct http_request *x, void *state, char *out, size_t max)
{
	struct body *b = state;
	size_t left = b->piece.len - b->sent;
	if (left > 0) {
		size_t n = left < max ? left : max;
		memcpy(out, b->piece.data + b->sent, n);
		b->sent += n;
		return (long)n;
	}
	if (b->broken)
		return HTTP_BROKEN;
	if (b->ended)
		return HTTP_END;
	buf_finish(&b->piece); /* a request that waits for reply memory must hold none */
	b->sent = 0;
	request_hold(x, b->held);
	return request_wait_for(x, fill) ? HTTP_WAIT : HTTP_BROKEN;
}

enum err reply_stream_take(struct http_request *x, struct reply_piece *first, reply_stream_fill *source_fill, void *source,
			   size_t held, void (*source_destroy)(void *source))
{
	struct body *b = calloc(1, sizeof *b);
	if (b == NULL) {
		if (first != NULL)
			buf_finish(&first->bytes);
		source_destroy(source);
		return ERR_NOMEM;
	}
	if (first != NULL) {
		b->piece = first->bytes;
		b->ended = first->end;
		*first = (struct reply_piece){0};
	}
	b->fill = source_fill;
	b->source = source;
	b->held = held;
	hold_piece(b, x);
	b->destroy = source_destroy;
	request_keep(x, b, destroy);
	request_stream(x, read_body);
	return ERR_NONE;
}
