#include "base/buf.h"
#include "base/system/clock.h"
#include "base/system/random.h"
#include "base/units.h"
#include "base/url.h"
#include "check.h"

static void times_are_written_and_read(void)
{
	char text[CLOCK_TEXT_LEN];
	int64_t ms;
	clock_format(1795372988850, text);
	CHECK(memcmp(text, "2026-11-22T18:43:08.850Z", CLOCK_TEXT_LEN) == 0);
	CHECK(clock_parse((struct slice){text, CLOCK_TEXT_LEN}, &ms) && ms == 1795372988850);
	CHECK(clock_parse(slice_of("2026-11-22T19:43:08.85+01:00"), &ms) && ms == 1795372988850);
	CHECK(clock_parse(slice_of("1970-01-01T00:00:00Z"), &ms) && ms == 0);
	CHECK(clock_parse(slice_of("2024-02-29T00:00:00.123456Z"), &ms) && ms % 1000 == 124);
	static const char *const bad[] = {"",
					  "2026",
					  "2026-11-22",
					  "2026-11-22T18:43:08",
					  "2026-13-01T00:00:00Z",
					  "2026-02-29T00:00:00Z",
					  "2026-04-31T00:00:00Z",
					  "2026-11-22T24:00:00Z",
					  "2026-11-22T18:43:08.Z",
					  "2026-11-22T18:43:08Zx",
					  "2026-11-22T18:43:08+25:00"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		CHECK(!clock_parse(slice_of(bad[i]), &ms));
}

static void stamps_have_the_zone_of_the_old_logs(void)
{
	struct buf out;
	buf_init(&out);
	CHECK(clock_set_zone("Australia/Melbourne"));
	clock_write_stamp(&out, 1795372988850);
	CHECK_SLICE(buf_slice(&out), "\"2026-11-23 05:43:08 AEDT\"");
	out.len = 0;
	clock_write_stamp(&out, 1782000000000);
	CHECK_SLICE(buf_slice(&out), "\"2026-06-21 10:00:00 AEST\"");
	out.len = 0;
	CHECK(!clock_set_zone("Nowhere/Installed"));
	clock_write_stamp(&out, 1795372988850);
	CHECK_SLICE(buf_slice(&out), "\"2026-11-22 18:43:08 UTC\"");
	buf_finish(&out);
}

static void units_have_bounds(void)
{
	int64_t n;
	CHECK(units_size(slice_of("64MiB"), &n) && n == 64 << 20);
	CHECK(units_size(slice_of("7"), &n) && n == 7);
	CHECK(units_duration(slice_of("1d"), &n) && n == 86400000);
	CHECK(units_duration(slice_of("0"), &n) && n == 0);
	CHECK(!units_duration(slice_of("5"), &n));
	CHECK(!units_size(slice_of("1MB"), &n));
	CHECK(!units_size(slice_of("-1"), &n));
	CHECK(!units_integer(slice_of(""), &n));
	CHECK(units_integer(slice_of("9223372036854775807"), &n) && n == INT64_MAX);
	CHECK(!units_integer(slice_of("9223372036854775808"), &n));
	CHECK(!units_size(slice_of("9223372036854775807KiB"), &n));
}

static void param(const struct url *u, size_t i, const char *name, const char *value)
{
	CHECK(i < u->param_count);
	CHECK_SLICE(u->params[i].name, name);
	CHECK_SLICE(u->params[i].value, value);
}

static void urls_are_split_and_decoded(void)
{
	struct url u;
	CHECK(url_parse(&u, slice_of("/v1/events?stream=a%26b&type=x+y&empty=&bare")) == URL_FINE);
	CHECK_SLICE(u.path, "/v1/events");
	param(&u, 0, "stream", "a&b");
	param(&u, 1, "type", "x y");
	param(&u, 2, "empty", "");
	param(&u, 3, "bare", "");
	CHECK(u.param_count == 4);
	url_finish(&u);
	static const char *const bad[] = {"/?a=%", "/?a=%1", "/?a=%zz", "/?%=1"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		CHECK(url_parse(&u, slice_of(bad[i])) == URL_MALFORMED);
		url_finish(&u);
	}
	char many[2 * (URL_PARAMS_MAX + 1) + 3] = "/?a";
	for (int n = 0; n < URL_PARAMS_MAX; n++)
		strcat(many, "&a");
	CHECK(url_parse(&u, slice_of(many)) == URL_TOO_MANY_PARAMS);
	url_finish(&u);
}

static void encoding_comes_back(void)
{
	char all[256];
	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	struct buf b;
	buf_init(&b);
	url_encode(&b, (struct slice){all, sizeof all});
	size_t len;
	CHECK(url_decode(b.data, b.len, false, &len) && len == sizeof all && memcmp(b.data, all, len) == 0);
	buf_finish(&b);
}

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

static void backoff_doubles_up_to_its_cap(void)
{
	for (unsigned attempt = 0; attempt < 40; attempt++) {
		int64_t base = attempt < 7 ? 100 << attempt : 10000;
		int64_t ms = random_backoff_ms(attempt, 100, 10000);
		CHECK(ms >= base / 2 && ms <= base + base / 2);
	}
}

int main(void)
{
	RUN(times_are_written_and_read);
	RUN(stamps_have_the_zone_of_the_old_logs);
	RUN(units_have_bounds);
	RUN(urls_are_split_and_decoded);
	RUN(encoding_comes_back);
	RUN(buffers_grow_and_escape);
	RUN(backoff_doubles_up_to_its_cap);
	return check_end();
}
