/* A reply of unknown length that is made piece by piece on pool threads, while the network thread sends the piece before.
 * It needs memory for one piece. */
#ifndef SERVER_HTTP_REPLY_STREAM_H
#define SERVER_HTTP_REPLY_STREAM_H

#include "server/http/http.h"

/* Appends the next piece to `out`, which is empty; *end: it is the last. After an error the bytes in `out` are still
 * sent; then the connection is aborted, so that the client does not take the reply for complete. */
typedef enum err reply_stream_fill(void *source, struct reader *reader, struct buf *out, bool *end, struct fault *fault);

/* The first piece, made before the status was decided. */
struct reply_piece {
	struct buf bytes;
	bool end; /* this piece is the last */
};

/* Streams `source` as the reply to `x`, whose status and headers are set. Takes `first` (NULL: none) and `source`, also
 * on failure. `held`: bytes of memory that the source itself needs. */
enum err reply_stream_take(struct http_request *x, struct reply_piece *first, reply_stream_fill *fill, void *source,
			   size_t held, void (*destroy)(void *source));

#endif
