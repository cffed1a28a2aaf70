/* Buffers: growing text, and JSON in it. */
#include "base/buf.h"
#include "unit/check.h"

static void buffers_grow_and_escape(void)
{
	struct buf b;
	buf_init(&b);
	for (int i = 0; i < 1000; i++)
		buf_printf(&b, "%d,", i);
	CHECK(b.len == 3890 && memcmp(b.data + b.len - 4, "999,", 4) == 0);
	b.len = 0;
	buf_json(&b, (struct slice){"a\"\\\n\x01\xc3\xa9", 7});
	CHECK_SLICE(buf_slice(&b), "\"a\\\"\\\\\\u000a\\u0001\xc3\xa9\"");
	buf_drop(&b, 3);
	CHECK(b.data[0] == '"' && b.len == 18);
	b.len = 0;
	struct buf part;
	buf_init(&part);
	buf_join(&b, &part, 1, 1);
	buf_adds(&part, "{\"a\":1}");
	buf_join(&b, &part, 1, 1);
	CHECK_SLICE(buf_slice(&b), "\"a\":1");
	part.failed = true;
	buf_join(&b, &part, 0, 0);
	CHECK(b.failed); /* and not a document with a hole in it */
	buf_finish(&part);
	buf_finish(&b);
}

int main(void)
{
	RUN(buffers_grow_and_escape);
	return check_end();
}
