/* Content-Encoding, both ways: zstd and gzip. One thread. */
#ifndef SERVER_MESSAGE_CONTENT_ENCODING_H
#define SERVER_MESSAGE_CONTENT_ENCODING_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

enum content_coding { CONTENT_CODING_NONE, CONTENT_CODING_GZIP, CONTENT_CODING_ZSTD };

/* As headers name it; NULL for none. */
const char *content_coding_name(enum content_coding c);

/* --- packing a stream --- */

struct content_encoder;

struct content_encoder *content_encoder_create(enum content_coding c); /* NULL: no memory, or there is nothing to do */
void content_encoder_destroy(struct content_encoder *s);               /* NULL is fine */
enum content_coding content_encoder_coding(const struct content_encoder *s);
/* Appends what can be read back at once to `out`; `end` ends the stream. */
enum err content_encoder_add(struct content_encoder *s, struct slice bytes, bool end, struct buf *out, struct fault *fault);

/* --- unpacking a whole --- */

/* Appends what `packed` holds to `out`. ERR_INVALID: it is not in that coding, or cut short; ERR_TOO_LARGE: it holds more
 * than `max` bytes, of which no more were unpacked. */
enum err content_decode(enum content_coding c, struct slice packed, size_t max, struct buf *out, struct fault *fault);

#endif
