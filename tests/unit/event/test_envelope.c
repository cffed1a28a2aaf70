/* Envelopes out of files: no word of theirs is believed. */
#include "event/envelope.h"
#include "event/event.h"
#include "unit/check.h"

#define TIME "\"time\":\"2026-11-22T18:00:00.123Z\""

static void an_envelope_comes_apart(void)
{
	struct envelope e;
	CHECK(envelope_read(
		slice_of("{\"seq\":7," TIME ",\"stream\":\"a\\\"b\\\\\",\"type\":\"t\",\"id\":\"x\",\"data\":{}}"), &e));
	CHECK(e.seq == 7);
	CHECK_SLICE(e.time, "2026-11-22T18:00:00.123Z");
	CHECK_SLICE(e.stream, "a\\\"b\\\\");
	CHECK_SLICE(e.type, "t");
	CHECK_SLICE(e.topic, "\"stream\":\"a\\\"b\\\\\",\"type\":\"t\"");
	CHECK_SLICE(e.id, "x");
	CHECK_SLICE(e.data, "{}");
	CHECK(envelope_read(slice_of("{\"seq\":9007199254740991," TIME ",\"stream\":\"s\",\"type\":\"t\",\"data\":1}"), &e));
	CHECK(e.id.len == 0);
	CHECK_SLICE(e.data, "1");
}

static void hostile_envelopes_are_refused(void)
{
	static const char whole[] = "{\"seq\":7," TIME ",\"stream\":\"a\\\"\",\"type\":\"t\",\"id\":\"i\",\"data\":1}";
	static const char *const wrong[] = {
		"{\"seq\":-7," TIME ",\"stream\":\"s\",\"type\":\"t\",\"data\":1}",
		"{\"seq\":7.0," TIME ",\"stream\":\"s\",\"type\":\"t\",\"data\":1}",
		"{\"seq\":9007199254740992," TIME ",\"stream\":\"s\",\"type\":\"t\",\"data\":1}",
		"{\"seq\":99999999999999999999999999," TIME ",\"stream\":\"s\",\"type\":\"t\",\"data\":1}",
		"{ \"seq\":7," TIME ",\"stream\":\"s\",\"type\":\"t\",\"data\":1}",
		"{\"seq\":7," TIME ",\"type\":\"t\",\"stream\":\"s\",\"data\":1}",
		"{\"seq\":7," TIME ",\"stream\":\"s\",\"type\":\"t\",\"id\":\"\",\"data\":1}",
		"{\"seq\":7," TIME ",\"stream\":\"s\\",
		"{\"seq\":7," TIME ",\"stream\":\"s\",\"type\":\"t\",\"data\":}",
	};
	struct envelope e;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		CHECK(!envelope_read(slice_of(wrong[i]), &e));
	/* Cut anywhere; in memory of its own, so that a sanitizer sees a byte too far. */
	for (size_t len = 0; len < sizeof whole - 1; len++) {
		char *copy = malloc(len + 1);
		memcpy(copy + 1, whole, len);
		CHECK(!envelope_read((struct slice){copy + 1, len}, &e));
		free(copy);
	}
	/* Every byte replaced by every other: read or refused, never past its end. */
	for (size_t at = 0; at < sizeof whole - 1; at++)
		for (int c = 0; c < 256; c++) {
			char *copy = malloc(sizeof whole - 1);
			memcpy(copy, whole, sizeof whole - 1);
			copy[at] = (char)c;
			struct slice text = {copy, sizeof whole - 1};
			if (envelope_read(text, &e))
				CHECK(e.data.p >= copy && e.data.p + e.data.len < copy + text.len && e.stream.p > copy);
			free(copy);
		}
}

static void names_are_what_a_server_writes(void)
{
	static const char *const wrong[] = {"\\",   "a\\",  "\\n",  "\\u0041",  "\x01",
					    "\x7f", "\xff", "\xc3", "\xc2\x80", "\xed\xa0\x80"};
	char out[EVENT_NAME_MAX];
	char text[EVENT_NAME_MAX * 2 + 2];
	struct slice name;
	CHECK(envelope_name(slice_of("a\\\"\\\\b\xc3\xa9"), out, &name));
	CHECK_SLICE(name, "a\"\\b\xc3\xa9");
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		CHECK(!envelope_name(slice_of(wrong[i]), out, &name));
	CHECK(!envelope_name((struct slice){"a\0b", 3}, out, &name));
	memset(text, '\\', sizeof text);
	CHECK(envelope_name((struct slice){text, (size_t)EVENT_NAME_MAX * 2}, out, &name) && name.len == EVENT_NAME_MAX);
	CHECK(!envelope_name((struct slice){text, (size_t)EVENT_NAME_MAX * 2 + 2}, out, &name));
}

int main(void)
{
	RUN(an_envelope_comes_apart);
	RUN(hostile_envelopes_are_refused);
	RUN(names_are_what_a_server_writes);
	return check_end();
}
