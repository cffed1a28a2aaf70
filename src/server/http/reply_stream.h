/* A reply of unknown length that is made piece by piece on pool threads, while the network thread sends what there is.
 * Memory: one piece. */
#ifndef SERVER_HTTP_REPLY_STREAM_H
#define SERVER_HTTP_REPLY_STREAM_H

#include "server/http/http.h"

/* Puts the next piece into `out`, which is empty; *end says that it was the last. On failure what it has put there is still
 * sent; then the connection breaks off, so that nobody takes it for whole. */
typedef enum err reply_stream_fill(void *source, struct reader *reader, struct buf *out, bool *end, struct fault *fault);

/* The first piece, made before the status was decided. */
struct reply_piece {
	struct buf bytes;
	bool end; /* it is the last */
};

/* Streams as the reply of `x`, whose status and headers are set. `first` (NULL: none was made) and `source` are taken, also
 * on failure; the source holds so many bytes beside the pieces. */
enum err reply_stream_take(struct http_request *x, struct reply_piece *first, reply_stream_fill *fill, void *source,
			   size_t held, void (*destroy)(void *source));

#endif
