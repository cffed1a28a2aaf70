/* Figures by the minute. */
#include "profiles/monitoring/state/series.h"
#include "unit/check.h"
#include "unit/profiles/sample_flat.h"

static void minutes_make_buckets_and_a_day_is_all(void)
{
	static struct series s;
	struct buf text;
	int64_t start = INT64_C(1795370400000); /* on the hour */
	buf_init(&text);
	for (int minute = 0; minute < 12; minute += 4) {
		struct flat e = sample_flat("receive", 10, minute + 1, start + minute * 60000);
		series_add(&s, &e);
	}
	series_write(&text, &s, 5, start - 1000, NULL);
	CHECK_SLICE(buf_slice(&text),
		    "{\"1795370400\":{\"count\":2,\"errors\":0,\"total_bytes\":20,\"avg_response_time\":3.000},"
		    "\"1795370700\":{\"count\":1,\"errors\":0,\"total_bytes\":10,\"avg_response_time\":9.000}}");
	struct flat later = sample_flat("receive", 1, 0, start + INT64_C(86400000));
	series_add(&s, &later);
	text.len = 0;
	series_write(&text, &s, 1440, 0, NULL);
	CHECK(memmem(text.data, text.len, "\"count\":2", 9) != NULL); /* the first minute is overwritten */
	buf_finish(&text);
}

static void series_are_joined(void)
{
	static struct series a;
	static struct series b;
	struct buf text;
	struct minute first = {.minute = 1, .events = 3, .errors = 1};
	buf_init(&text);
	struct flat e = sample_flat("receive", 10, 1, 60000);
	series_add(&a, &e);
	series_add(&b, &e);
	e.time_ms = 120000;
	series_add(&b, &e);
	series_join(&a, &b);
	series_write(&text, &a, 1, 60000, NULL);
	CHECK_SLICE(buf_slice(&text), "{\"60\":{\"count\":2,\"errors\":0,\"total_bytes\":20,\"avg_response_time\":1.000},"
				      "\"120\":{\"count\":1,\"errors\":0,\"total_bytes\":10,\"avg_response_time\":1.000}}");
	text.len = 0;
	series_write(&text, &a, 2, 60500, &first);
	CHECK_SLICE(buf_slice(&text), "{\"0\":{\"count\":3,\"errors\":1,\"total_bytes\":0,\"avg_response_time\":0.000},"
				      "\"120\":{\"count\":1,\"errors\":0,\"total_bytes\":10,\"avg_response_time\":1.000}}");
	buf_finish(&text);
}

int main(void)
{
	RUN(minutes_make_buckets_and_a_day_is_all);
	RUN(series_are_joined);
	return check_end();
}
