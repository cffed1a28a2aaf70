#include "unit/check.h"
#include "json/json.h"

static bool minify(const char *text, size_t len, char *out, size_t *n, struct json_error *e)
{
	/* In place, as the server does it. */
	memcpy(out, text, len);
	return json_minify(out, len, out, n, e);
}

static void becomes(const char *text, const char *wanted)
{
	char out[4096];
	size_t n;
	struct json_error e;
	CHECK(minify(text, strlen(text), out, &n, &e));
	CHECK_SLICE(((struct slice){out, n}), wanted);
}

static void fails(const char *text, size_t offset)
{
	char out[4096];
	size_t n;
	struct json_error e = {0};
	CHECK(!minify(text, strlen(text), out, &n, &e));
	if (e.offset != offset)
		fprintf(stderr, "%s: offset %zu, wanted %zu (%s)\n", text, e.offset, offset, e.what);
	CHECK(e.offset == offset && e.what != NULL);
}

static void white_space_goes_and_nothing_else(void)
{
	becomes(" { \"a\" : [ 1 , 2.50 , -0 , 1e+5 ] , \"b\\u00e9 c\" : null }\r\n",
		"{\"a\":[1,2.50,-0,1e+5],\"b\\u00e9 c\":null}");
	becomes("9007199254740993", "9007199254740993");
	becomes("\"\\ud800  x\"", "\"\\ud800  x\"");
}

static void tabs_in_strings_are_errors(void)
{
	fails("\"a\tb\"", 2);
	fails("{\"a\":\"b\nc\"}", 7);
}

static void all_values_pass(void)
{
	static const char *const good[] = {"{}",
					   "[]",
					   "true",
					   "false",
					   "null",
					   "0",
					   "-1.5e-10",
					   "\"\"",
					   "[[],{}]",
					   "{\"\":0}",
					   "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\"",
					   "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		becomes(good[i], good[i]);
}

static void what_is_no_json_is_found_at_its_place(void)
{
	fails("", 0);
	fails("  ", 2);
	fails("{", 1);
	fails("[1,]", 3);
	fails("{\"a\":1,}", 7);
	fails("{\"a\" 1}", 5);
	fails("{a:1}", 1);
	fails("[1 2]", 3);
	fails("[1}", 2);
	fails("01", 1);
	fails("-", 1);
	fails("1.", 2);
	fails("1e", 2);
	fails("+1", 0);
	fails("tru", 0);
	fails("nul", 0);
	fails("\"abc", 4);
	fails("\"\\x\"", 2);
	fails("\"\\u12g4\"", 5);
	fails("1 2", 2);
	fails("{} x", 3);
	fails("NaN", 0);
	fails("'a'", 0);
	fails("[1,2", 4);
}

static void utf8_is_proven(void)
{
	static const char *const bad[] = {"\"\x80\"",
					  "\"\xc0\x80\"",
					  "\"\xc3\"",
					  "\"\xe0\x80\x80\"",
					  "\"\xed\xa0\x80\"",
					  "\"\xf5\x80\x80\x80\"",
					  "\"\xf4\x90\x80\x80\"",
					  "\"\xff\""};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		fails(bad[i], 1);
}

static void nesting_has_a_limit(void)
{
	static char deep[200000];
	static char out[200000];
	size_t n;
	struct json_error e;
	memset(deep, '[', JSON_DEPTH_MAX);
	memset(deep + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	CHECK(minify(deep, 2 * JSON_DEPTH_MAX, out, &n, &e) && n == 2 * JSON_DEPTH_MAX);
	memset(deep, '[', 100000);
	memset(deep + 100000, ']', 100000);
	CHECK(!minify(deep, 200000, out, &n, &e) && e.offset == JSON_DEPTH_MAX + 1);
}

static void every_prefix_of_a_document_fails(void)
{
	static const char text[] = "{\"a\":[1.5,\"\\u00e9\",{\"b\":null}],\"c\":true}";
	char out[128];
	size_t n;
	struct json_error e;
	for (size_t len = 0; len < sizeof text - 1; len++)
		CHECK(!minify(text, len, out, &n, &e));
	CHECK(minify(text, sizeof text - 1, out, &n, &e));
}

static void json_body_are_walked(void)
{
	struct slice object = slice_of("{\"a\":{\"x\":[1,\"},\"]},\"b\":\"q\\\"\",\"\\u0063\":-1,\"a\":2}");
	struct slice v;
	struct json_walk w = json_walk(object);
	CHECK(json_next(&w));
	CHECK_SLICE(w.key, "a");
	CHECK_SLICE(w.value, "{\"x\":[1,\"},\"]}");
	CHECK(json_next(&w) && json_next(&w) && json_next(&w) && !json_next(&w));
	CHECK(json_member(object, "c", &v));
	CHECK_SLICE(v, "-1");
	CHECK(json_member(object, "a", &v));
	CHECK_SLICE(v, "2");
	CHECK(!json_member(object, "x", &v));
	char long_key[600];
	snprintf(long_key, sizeof long_key, "{\"\\u0061%0500d\":1,\"b\":2}", 0);
	CHECK(!json_member(slice_of(long_key), "a", &v) && json_member(slice_of(long_key), "b", &v));
	w = json_walk(slice_of("[]"));
	CHECK(!json_next(&w));
}

static void strings_are_decoded(void)
{
	char out[64];
	size_t n;
	CHECK(json_string(slice_of("\"\\u00e9\\ud83d\\ude00\\n\\/x\""), out, &n));
	CHECK_SLICE(((struct slice){out, n}), "\xc3\xa9\xf0\x9f\x98\x80\n/x");
	CHECK(!json_string(slice_of("\"\\ud83d\""), out, &n));
	CHECK(!json_string(slice_of("\"\\ud83d\\u0041\""), out, &n));
	CHECK(!json_string(slice_of("\"\\ude00\""), out, &n));
}

static void sequences_are_exact(void)
{
	uint64_t n;
	CHECK(json_sequence(slice_of("9007199254740991"), &n) && n == 9007199254740991u);
	CHECK(!json_sequence(slice_of("9007199254740992"), &n));
	CHECK(!json_sequence(slice_of("99999999999999999999999"), &n));
	CHECK(!json_sequence(slice_of("1.0"), &n) && !json_sequence(slice_of("-1"), &n) && !json_sequence(slice_of(""), &n));
}

static void names_are_plain(void)
{
	CHECK(json_plain_text(slice_of("caf\xc3\xa9 \xe2\x82\xac")));
	CHECK(!json_plain_text(slice_of("a\nb")));
	CHECK(!json_plain_text(slice_of("a\x7f")));
	CHECK(!json_plain_text(slice_of("a\xc2\x85")));
	CHECK(!json_plain_text((struct slice){"a\0b", 3}));
	CHECK(!json_plain_text(slice_of("\xff")));
}

/* Strings are looked at eight bytes at a time: whatever ends one or spoils it is found at every place of those eight. */
static void strings_of_any_length_end_where_they_end(void)
{
	for (size_t len = 0; len < 40; len++)
		for (size_t at = 0; at <= len; at++) {
			char text[64] = "[\"";
			memset(text + 2, 'x', len);
			strcpy(text + 2 + len, "\",1]");
			becomes(text, text);
			struct json_walk w = json_walk((struct slice){text, strlen(text)});
			CHECK(json_next(&w) && w.value.len == len + 2 && json_next(&w));
			CHECK_SLICE(w.value, "1");
			if (at == len)
				continue;
			text[2 + at] = '\x1f';
			fails(text, 2 + at);
			text[2 + at] = '\x80';
			fails(text, 2 + at);
			text[2 + at] = '\x7f';
			becomes(text, text);
			text[2 + at] = '\\';
			if (at + 1 == len)
				fails(text, strlen(text)); /* the quote behind it is escaped */
			else
				fails(text, 2 + at + 1);
		}
}

int main(void)
{
	RUN(strings_of_any_length_end_where_they_end);
	RUN(all_values_pass);
	RUN(tabs_in_strings_are_errors);
	RUN(what_is_no_json_is_found_at_its_place);
	RUN(utf8_is_proven);
	RUN(nesting_has_a_limit);
	RUN(every_prefix_of_a_document_fails);
	RUN(json_body_are_walked);
	RUN(strings_are_decoded);
	RUN(sequences_are_exact);
	RUN(names_are_plain);
	RUN(white_space_goes_and_nothing_else);
	return check_end();
}
