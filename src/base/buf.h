/* A growing byte buffer. Running out of memory is remembered, not reported at each call: check `buf_failed` once at
 * the end of a run of appends; a failed buffer takes no more. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

struct buf {
	char *data;
	size_t len;
	size_t cap;
	bool failed;
};

void buf_init(struct buf *b);
void buf_finish(struct buf *b);

/* Room for `n` more bytes at data + len; false (and failed) when there is no memory. */
bool buf_reserve(struct buf *b, size_t n);
void buf_add(struct buf *b, const void *bytes, size_t n);
void buf_adds(struct buf *b, const char *text);
/* Appends another buffer without some bytes at its two ends. If that one has failed, this one fails, too. */
void buf_join(struct buf *b, const struct buf *part, size_t front, size_t back);
void buf_addc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* `text` as a JSON string with its quotes; the text is valid UTF-8. */
void buf_json(struct buf *b, struct slice text);
/* `bytes` in base64, with its padding (RFC 4648, 4). */
void buf_base64(struct buf *b, struct slice bytes);
/* Frees reserved memory that is not used, if it is much. */
void buf_trim(struct buf *b);
/* Removes the first `n` bytes. */
void buf_drop(struct buf *b, size_t n);

static inline bool buf_failed(const struct buf *b)
{
	return b->failed;
}

static inline struct slice buf_slice(const struct buf *b)
{
	return (struct slice){b->data, b->len};
}

#endif
