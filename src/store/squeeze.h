/* Content-Encoding, both ways: zstd and gzip. One thread. */
#ifndef STORE_SQUEEZE_H
#define STORE_SQUEEZE_H

#include <stdbool.h>

#include "base/buf.h"
#include "tidemark/err.h"

enum coding { CODING_NONE, CODING_GZIP, CODING_ZSTD };

/* As headers name it; NULL for none. */
const char *coding_name(enum coding c);

/* --- packing a stream --- */

struct squeeze;

struct squeeze *squeeze_create(enum coding c); /* NULL: no memory, or there is nothing to do */
void squeeze_destroy(struct squeeze *s);       /* NULL is fine */
enum coding squeeze_coding(const struct squeeze *s);
/* Appends what can be read back at once to `out`; `end` ends the stream. */
enum err squeeze_add(struct squeeze *s, struct slice bytes, bool end, struct buf *out, struct fault *fault);

/* --- unpacking a whole --- */

/* Appends what `packed` holds to `out`. ERR_INVALID: it is not in that coding, or cut short; ERR_TOO_LARGE: it holds more
 * than `max` bytes, of which no more were unpacked. */
enum err unsqueeze(enum coding c, struct slice packed, size_t max, struct buf *out, struct fault *fault);

#endif
