/* Times as text: RFC 3339, and the stamps of the monitoring profile. */
#include "base/buf.h"
#include "base/system/clock.h"
#include "unit/check.h"

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

int main(void)
{
	RUN(times_are_written_and_read);
	RUN(stamps_have_the_zone_of_the_old_logs);
	return check_end();
}
