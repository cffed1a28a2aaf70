#include "event/encoding.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "base/system/clock.h"

/* RFC 6455, 5.2: FIN and opcode 1; the length in 7 bits, or 126 and 16 bits, or 127 and 64 bits. */
enum { WS_TEXT_FINAL = 0x81, WS_LEN_16 = 126, WS_LEN_64 = 127, WS_HEADER_MAX = 10 };

static const char seq_key[] = "{\"seq\":";
static const char time_key[] = ",\"time\":\"";
static const char id_key[] = ",\"id\":";
static const char data_key[] = ",\"data\":";
static const char sse_data[] = "data: ";
static const char sse_id[] = "\nid: ";

#define LEN(literal) (sizeof(literal) - 1)

static size_t digits(uint64_t n)
{
	size_t count = 1;
	for (; n >= 10; n /= 10)
		count++;
	return count;
}

static char *put(char *out, const char *bytes, size_t len)
{
	memcpy(out, bytes, len);
	return out + len;
}

static char *put_number(char *out, uint64_t n)
{
	size_t len = digits(n);
	for (size_t i = len; i > 0; n /= 10)
		out[--i] = (char)('0' + n % 10);
	return out + len;
}

/* Names hold no control characters: only these two need an escape. */
static size_t escaped_size(struct slice name)
{
	size_t size = name.len + 2;
	for (size_t i = 0; i < name.len; i++)
		size += name.p[i] == '"' || name.p[i] == '\\';
	return size;
}

static char *put_escaped(char *out, struct slice name)
{
	*out++ = '"';
	for (size_t i = 0; i < name.len; i++) {
		if (name.p[i] == '"' || name.p[i] == '\\')
			*out++ = '\\';
		*out++ = name.p[i];
	}
	*out++ = '"';
	return out;
}

void encoding_topic(struct buf *out, struct slice stream, struct slice type)
{
	buf_adds(out, "\"stream\":");
	buf_json(out, stream);
	buf_adds(out, ",\"type\":");
	buf_json(out, type);
}

size_t encoding_envelope_size(const struct encoding_event *e)
{
	size_t id = e->id.len > 0 ? LEN(id_key) + escaped_size(e->id) : 0;
	return LEN(seq_key) + digits(e->seq) + LEN(time_key) + CLOCK_TEXT_LEN + 2 + e->topic.len + id + LEN(data_key) +
	       e->data.len + 1;
}

char *encoding_envelope(const struct encoding_event *e, char *out)
{
	out = put(out, seq_key, LEN(seq_key));
	out = put_number(out, e->seq);
	out = put(out, time_key, LEN(time_key));
	out = put(out, e->time, CLOCK_TEXT_LEN);
	out = put(out, "\",", 2);
	out = put(out, e->topic.p, e->topic.len);
	if (e->id.len > 0) {
		out = put(out, id_key, LEN(id_key));
		out = put_escaped(out, e->id);
	}
	out = put(out, data_key, LEN(data_key));
	out = put(out, e->data.p, e->data.len);
	*out++ = '}';
	return out;
}

static size_t ws_header_size(size_t len)
{
	return len < WS_LEN_16 ? 2 : len <= 0xffff ? 4 : WS_HEADER_MAX;
}

static char *put_ws_header(char *out, size_t len)
{
	size_t size = ws_header_size(len);
	*out++ = (char)WS_TEXT_FINAL;
	if (size == 2) {
		*out++ = (char)len;
		return out;
	}
	*out++ = (char)(size == 4 ? WS_LEN_16 : WS_LEN_64);
	for (size_t left = size - 2; left > 0; left--)
		*out++ = (char)((uint64_t)len >> (8 * (left - 1)));
	return out;
}

static encoding_make *own[ENCODING_COUNT - ENCODING_OWN];

enum encoding encoding_add(encoding_make *make)
{
	int i = 0;
	while (i < ENCODING_COUNT - ENCODING_OWN && own[i] != NULL && own[i] != make)
		i++;
	assert(i < ENCODING_COUNT - ENCODING_OWN);
	own[i] = make;
	return (enum encoding)(ENCODING_OWN + i);
}

encoding_make *encoding_own(enum encoding encoding)
{
	return encoding >= ENCODING_OWN ? own[encoding - ENCODING_OWN] : NULL;
}

size_t encoding_record_size(enum encoding encoding, uint64_t seq, const char *epoch, size_t envelope)
{
	switch (encoding) {
	case ENCODING_LINE: return envelope + 1;
	case ENCODING_SSE: return LEN(sse_data) + envelope + LEN(sse_id) + digits(seq) + 1 + strlen(epoch) + 2;
	case ENCODING_WS: return ws_header_size(envelope) + envelope;
	case ENCODING_OWN:
	case ENCODING_COUNT: break;
	}
	assert(false && "not an encoding of an envelope");
	return 0;
}

char *encoding_begin(enum encoding encoding, size_t envelope, char *out)
{
	if (encoding == ENCODING_WS)
		return put_ws_header(out, envelope);
	if (encoding == ENCODING_SSE)
		return put(out, sse_data, LEN(sse_data));
	return out;
}

char *encoding_end(enum encoding encoding, uint64_t seq, const char *epoch, char *out)
{
	if (encoding == ENCODING_LINE)
		return put(out, "\n", 1);
	if (encoding != ENCODING_SSE)
		return out;
	out = put(out, sse_id, LEN(sse_id));
	out = put_number(out, seq);
	*out++ = '.';
	out = put(out, epoch, strlen(epoch));
	return put(out, "\n\n", 2);
}

struct slice encoding_inside(enum encoding encoding, struct slice record)
{
	size_t before = 0;
	size_t after = 0;
	if (encoding == ENCODING_LINE) {
		after = 1;
	} else if (encoding == ENCODING_SSE) {
		before = LEN(sse_data);
		after = 3; /* at least one of the id's line and the two line ends */
		while (record.p[record.len - after] != '\n')
			after++;
	} else {
		unsigned char len = (unsigned char)record.p[1];
		before = len < WS_LEN_16 ? 2 : len == WS_LEN_16 ? 4 : WS_HEADER_MAX;
	}
	return (struct slice){record.p + before, record.len - before - after};
}

void encoding_ws_frame(struct buf *out, struct slice text)
{
	if (!buf_reserve(out, ws_header_size(text.len) + text.len))
		return;
	char *end = put_ws_header(out->data + out->len, text.len);
	end = put(end, text.p, text.len);
	out->len = (size_t)(end - out->data);
}
