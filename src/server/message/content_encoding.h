/* Content-Encoding in both directions: zstd and gzip. An encoder is used by one thread at a time. */
#ifndef SERVER_MESSAGE_CONTENT_ENCODING_H
#define SERVER_MESSAGE_CONTENT_ENCODING_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

enum content_coding { CONTENT_CODING_NONE, CONTENT_CODING_GZIP, CONTENT_CODING_ZSTD };

/* The name in headers; NULL for none. */
const char *content_coding_name(enum content_coding c);

/* --- compressing a stream --- */

struct content_encoder;

struct content_encoder *content_encoder_create(enum content_coding c); /* NULL: no memory, or `c` is none */
void content_encoder_destroy(struct content_encoder *s);               /* NULL is fine */
enum content_coding content_encoder_coding(const struct content_encoder *s);
/* Appends compressed bytes to `out` so that everything added so far can be decompressed; `end` ends the stream. */
enum err content_encoder_add(struct content_encoder *s, struct slice bytes, bool end, struct buf *out, struct fault *fault);

/* --- decompressing a whole body --- */

/* Appends the content of `packed` to `out`. ERR_INVALID: it is not in that coding, or truncated; ERR_TOO_LARGE: it has
 * more than `max` bytes; decompression stops there. */
enum err content_decode(enum content_coding c, struct slice packed, size_t max, struct buf *out, struct fault *fault);

#endif
