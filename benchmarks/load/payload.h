/* The data of an event: `{"seq":N,"at":MICROSECONDS,"text":"…"}`, of a fixed size and with a text that hardly compresses;
 * the same bytes for all sides. */
#ifndef LOAD_PAYLOAD_H
#define LOAD_PAYLOAD_H

#include <stdint.h>

#include "base/buf.h"

struct payload {
	size_t bytes;     /* of the data */
	unsigned streams; /* event n belongs to stream n % streams … */
	unsigned types;   /* … and is of type n / streams % types */
};

enum { PAYLOAD_MIN = 72 };

void payload_put(struct buf *out, const struct payload *p, uint64_t n);
/* The same with the names of its stream and type around it, as Tidemark takes it. */
void payload_put_event(struct buf *out, const struct payload *p, uint64_t n);
void payload_put_number(struct buf *out, uint64_t n);

#endif
