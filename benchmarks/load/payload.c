#include "load/payload.h"

#include "base/system/clock.h"

enum { TEXT_BYTES = 1 << 20, STEP = 7919 };

/* TEXT_BYTES of noise in 64 letters, twice, so that a piece may begin anywhere. */
static const char *noise(void)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	static char text[2 * TEXT_BYTES];
	if (text[0] == '\0') {
		uint64_t x = 88172645463325252;
		for (size_t i = 0; i < TEXT_BYTES; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			text[i] = text[i + TEXT_BYTES] = letters[x >> 58];
		}
	}
	return text;
}

void payload_put_number(struct buf *out, uint64_t n)
{
	char digits[20];
	size_t at = sizeof digits;
	do
		digits[--at] = (char)('0' + n % 10);
	while (n /= 10);
	buf_add(out, digits + at, sizeof digits - at);
}

void payload_put(struct buf *out, const struct payload *p, uint64_t n)
{
	size_t start = out->len;
	buf_adds(out, "{\"seq\":");
	payload_put_number(out, n);
	buf_adds(out, ",\"at\":");
	payload_put_number(out, (uint64_t)clock_mono_us());
	buf_adds(out, ",\"text\":\"");
	buf_add(out, noise() + n * STEP % TEXT_BYTES, p->bytes - (out->len - start) - 2);
	buf_adds(out, "\"}");
}

void payload_put_event(struct buf *out, const struct payload *p, uint64_t n)
{
	buf_adds(out, "{\"stream\":\"s");
	payload_put_number(out, n % p->streams);
	buf_adds(out, "\",\"type\":\"t");
	payload_put_number(out, n / p->streams % p->types);
	buf_adds(out, "\",\"data\":");
	payload_put(out, p, n);
	buf_addc(out, '}');
}
