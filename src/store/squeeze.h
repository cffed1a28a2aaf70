/* Content-Encoding: zstd, both ways. One thread. */
#ifndef STORE_SQUEEZE_H
#define STORE_SQUEEZE_H

#include <stdbool.h>

#include "base/buf.h"
#include "tidemark/err.h"

/* --- packing a stream --- */

struct squeeze;

struct squeeze *squeeze_create(void);    /* NULL: no memory */
void squeeze_destroy(struct squeeze *s); /* NULL is fine */
/* Appends what can be read back at once to `out`; `end` ends the stream. */
enum err squeeze_add(struct squeeze *s, struct slice bytes, bool end, struct buf *out, struct fault *fault);

/* --- unpacking a whole --- */

/* Appends what `packed` holds to `out`. ERR_INVALID: it is not zstd, or cut short; ERR_TOO_LARGE: it holds more than `max`
 * bytes, of which no more were unpacked. */
enum err unsqueeze(struct slice packed, size_t max, struct buf *out, struct fault *fault);

#endif
