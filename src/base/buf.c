#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAP = 256, TRIMMED = 64 * 1024 };

void buf_init(struct buf *b)
{
	*b = (struct buf){0};
}

void buf_finish(struct buf *b)
{
	free(b->data);
	*b = (struct buf){0};
}

bool buf_reserve(struct buf *b, size_t n)
{
	if (b->failed)
		return false;
	if (n <= b->cap - b->len)
		return true;
	size_t cap = b->cap ? b->cap : FIRST_CAP;
	while (cap - b->len < n)
		cap *= 2;
	char *data = realloc(b->data, cap);
	if (data == NULL) {
		b->failed = true;
		return false;
	}
	b->data = data;
	b->cap = cap;
	return true;
}

void buf_add(struct buf *b, const void *bytes, size_t n)
{
	if (n == 0 || !buf_reserve(b, n))
		return;
	memcpy(b->data + b->len, bytes, n);
	b->len += n;
}

void buf_adds(struct buf *b, const char *text)
{
	buf_add(b, text, strlen(text));
}

void buf_join(struct buf *b, const struct buf *part, size_t front, size_t back)
{
	b->failed = b->failed || part->failed;
	if (!b->failed && part->len > front + back)
		buf_add(b, part->data + front, part->len - front - back);
}

void buf_addc(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void buf_printf(struct buf *b, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	va_list again;
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	/* vsnprintf writes a NUL that does not count. */
	if (n >= 0 && buf_reserve(b, (size_t)n + 1)) {
		vsnprintf(b->data + b->len, (size_t)n + 1, format, again);
		b->len += (size_t)n;
	}
	va_end(again);
}

void buf_json(struct buf *b, struct slice text)
{
	buf_addc(b, '"');
	size_t from = 0;
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.p[i];
		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		buf_add(b, text.p + from, i - from);
		if (c < 0x20)
			buf_printf(b, "\\u%04x", c);
		else
			buf_printf(b, "\\%c", c);
		from = i + 1;
	}
	buf_add(b, text.p + from, text.len - from);
	buf_addc(b, '"');
}

void buf_base64(struct buf *b, struct slice bytes)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t n = (bytes.len + 2) / 3 * 4;
	if (!buf_reserve(b, n))
		return;
	char *out = b->data + b->len;
	for (size_t i = 0; i < bytes.len; i += 3) {
		size_t left = bytes.len - i;
		unsigned v = (unsigned)(unsigned char)bytes.p[i] << 16;
		v |= left > 1 ? (unsigned)(unsigned char)bytes.p[i + 1] << 8 : 0;
		v |= left > 2 ? (unsigned)(unsigned char)bytes.p[i + 2] : 0;
		*out++ = letters[v >> 18];
		*out++ = letters[v >> 12 & 63];
		*out++ = (char)(left > 1 ? letters[v >> 6 & 63] : '=');
		*out++ = (char)(left > 2 ? letters[v & 63] : '=');
	}
	b->len += n;
}

void buf_drop(struct buf *b, size_t n)
{
	if (n >= b->len) {
		b->len = 0;
		return;
	}
	memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
}

void buf_trim(struct buf *b)
{
	char *data = b->cap - b->len > TRIMMED && b->len > 0 ? realloc(b->data, b->len) : NULL;
	if (data == NULL)
		return;
	b->data = data;
	b->cap = b->len;
}
