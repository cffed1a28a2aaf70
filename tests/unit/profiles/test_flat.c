/* The flat shape: what is read out of an envelope, and the two shapes it is written in. */
#include "base/buf.h"
#include "profiles/monitoring/event/flat.h"
#include "unit/check.h"
#include "json/json.h"

#define ENVELOPE(stream, type, data)                                                                                        \
	"{\"seq\":7,\"time\":\"2026-11-22T18:00:00.123Z\",\"stream\":\"" stream "\",\"type\":\"" type "\",\"data\":" data "}"

static struct flat flat;

static void read(const char *envelope)
{
	CHECK(flat_read(slice_of(envelope), 1795370400123, &flat));
}

static void check_live(const char *wanted)
{
	struct buf out;
	buf_init(&out);
	flat_live(&out, &flat);
	CHECK_SLICE(buf_slice(&out), wanted);
	buf_finish(&out);
}

static void streams_say_which_service(void)
{
	CHECK(flat_service(slice_of(ENVELOPE("kimi", "t", "1"))) == SERVICE_KIMI);
	CHECK(flat_service(slice_of(ENVELOPE("test_event", "t", "1"))) == SERVICE_TEST);
	CHECK(flat_service(slice_of(ENVELOPE("kimi2", "t", "1"))) == SERVICE_NONE);
	CHECK(flat_service(slice_of(ENVELOPE("\\\"", "t", "1"))) == SERVICE_NONE);
	CHECK(!flat_read(slice_of(ENVELOPE("other", "t", "1")), 0, &flat));
	CHECK(!flat_read(slice_of("{\"seq\":7"), 0, &flat));
}

static void frames_find_their_stream(void)
{
	CHECK(flat_route(slice_of("{\"connection_type\":\"redis\",\"service\":\"kimi\"}")) == SERVICE_REDIS);
	CHECK(flat_route(slice_of("{\"connection_type\":\"other\",\"service\":\"kimi\"}")) == SERVICE_KIMI);
	CHECK(flat_route(slice_of("{\"service\":\"database\"}")) == SERVICE_WEBSOCKET);
	CHECK(flat_route(slice_of("{\"service\":5}")) == SERVICE_WEBSOCKET);
	CHECK(flat_route(slice_of("{\"type\":\"test\",\"service\":\"glm\"}")) == SERVICE_TEST);
	CHECK(flat_route(slice_of("{\"connection_type\":\"test_event\"}")) == SERVICE_WEBSOCKET);
}

static void a_live_event_has_every_member(void)
{
	read(ENVELOPE(
		"kimi", "event",
		"{\"type\":\"event\",\"direction\":\"outbound\",\"script\":\"s\",\"function\":\"f\",\"data_size_bytes\":5,"
		"\"response_time_ms\":1.50,\"error\":null,\"metadata\":{\"a\":1}}"));
	check_live("{\"type\":\"event\",\"connection_type\":\"kimi\",\"direction\":\"send\",\"script_name\":\"s\","
		   "\"function_name\":\"f\",\"data_size_bytes\":5,\"response_time_ms\":1.50,\"error\":null,"
		   "\"metadata\":{\"a\":1},\"broadcast_time\":\"2026-11-22T18:00:00.123Z\",\"seq\":7}");
	struct buf out;
	buf_init(&out);
	flat_stored(&out, &flat, slice_of(",\"x\":1"));
	CHECK_SLICE(
		buf_slice(&out),
		"{\"seq\":7,\"timestamp\":1795370400.123,\"datetime\":\"2026-11-22T18:00:00.123Z\","
		"\"connection_type\":\"kimi\",\"direction\":\"send\",\"script\":\"s\",\"script_name\":\"s\","
		"\"function\":\"f\",\"function_name\":\"f\",\"data_size_bytes\":5,\"response_time_ms\":1.50,\"error\":null,"
		"\"metadata\":{\"a\":1},\"x\":1}");
	buf_finish(&out);
}

static void what_is_missing_is_made_up(void)
{
	read(ENVELOPE("glm", "error", "{\"type\":\"error\",\"severity\":\"error\",\"message\":\"m\",\"n\":1}"));
	CHECK_SLICE(flat.direction, "error");
	CHECK_SLICE(flat.script, "events");
	CHECK_SLICE(flat.function, "error");
	CHECK_SLICE(flat.error, "m");
	CHECK(flat.size == flat.data.len && !flat.timed);
	check_live("{\"type\":\"event\",\"connection_type\":\"glm\",\"direction\":\"error\",\"script_name\":\"events\","
		   "\"function_name\":\"error\",\"data_size_bytes\":55,\"response_time_ms\":null,\"error\":\"m\","
		   "\"metadata\":{\"severity\":\"error\",\"n\":1},\"broadcast_time\":\"2026-11-22T18:00:00.123Z\",\"seq\":7,"
		   "\"severity\":\"error\"}");
	read(ENVELOPE("glm", "t", "[1]"));
	CHECK_SLICE(flat.direction, "receive");
	CHECK_SLICE(flat.function, "t");
	read(ENVELOPE("glm", "t", "{\"source\":\"x\",\"severity\":\"info\",\"message\":\"m\"}"));
	CHECK_SLICE(flat.script, "x");
	CHECK(flat.error.p == NULL);
}

static void check_error(const char *data, const char *wanted)
{
	char envelope[512];
	snprintf(envelope, sizeof envelope, ENVELOPE("kimi", "t", "%s"), data);
	read(envelope);
	CHECK(flat.error.p != NULL);
	CHECK_SLICE(flat.error, wanted);
}

static void an_error_always_has_a_text(void)
{
	check_error("{\"direction\":\"error\"}", "error");
	check_error("{\"direction\":\"error\",\"error\":\"\",\"message\":\"m\"}", "m");
	check_error("{\"severity\":\"critical\",\"message\":{\"a\":1}}", "error");
	check_error("{\"direction\":\"error\",\"message\":\"\",\"error_message\":\"e\"}", "e");
	check_error("{\"direction\":\"error\",\"error_type\":\"T\",\"metadata\":{\"error_message\":\"e\"}}", "e");
	check_error("{\"direction\":\"error\",\"error_type\":\"T\",\"metadata\":{}}", "T");
	check_error("{\"direction\":\"error\",\"metadata\":{\"error_type\":\"T\"}}", "T");
	check_error("{\"error\":\"e\",\"message\":\"m\"}", "e");
	read(ENVELOPE("kimi", "t", "{\"error\":\"\",\"message\":\"m\"}"));
	CHECK(flat.error.p == NULL);
}

static void check_metadata(const char *type, const char *data, const char *wanted)
{
	char envelope[512];
	struct buf out;
	buf_init(&out);
	snprintf(envelope, sizeof envelope, ENVELOPE("kimi", "%s", "%s"), type, data);
	read(envelope);
	flat_metadata(&out, &flat);
	CHECK_SLICE(buf_slice(&out), wanted);
	buf_finish(&out);
}

static void what_has_no_place_is_metadata(void)
{
	check_metadata("t", "{\"type\":\"t\",\"a\":1}", "{\"a\":1}");
	check_metadata("t", "{\"type\":\"t\",\"function_name\":\"f\"}", "{\"type\":\"t\"}");
	check_metadata("event", "{\"type\":\"event\",\"function_name\":\"f\",\"function\":\"f\"}", "{}");
	check_metadata("event", "{\"type\":\"\"}", "{\"type\":\"\"}");
	check_metadata("t", "{\"connection_type\":\"kimi\"}", "{}");
	check_metadata("t", "{\"connection_type\":\"anthropic\"}", "{\"connection_type\":\"anthropic\"}");
	check_metadata("t", "{\"response_time_ms\":\"12.5\",\"data_size_bytes\":-1}",
		       "{\"response_time_ms\":\"12.5\",\"data_size_bytes\":-1}");
	check_metadata("t", "{\"response_time_ms\":null,\"data_size_bytes\":2,\"error\":null,\"metadata\":null}", "{}");
	check_metadata("t", "{\"metadata\":\"text\",\"direction\":5}", "{\"metadata\":\"text\",\"direction\":5}");
	check_metadata("t", "{\"script\":\"a\",\"script_name\":\"b\",\"source\":\"c\"}",
		       "{\"script\":\"a\",\"source\":\"c\"}");
	check_metadata("t", "{\"script\":\"a\",\"script_name\":\"a\"}", "{}");
	check_metadata("t", "{\"direction\":\"error\",\"message\":\"m\",\"error_message\":\"e\"}",
		       "{\"error_message\":\"e\"}");
}

static void numbers_that_are_none_are_passed_over(void)
{
	static const char *const bad[] = {
		"\"12\"", "-1", "1e99", "null", "true", "[]", "1111111111111111111111111111111111111111111111"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char envelope[512];
		snprintf(envelope, sizeof envelope,
			 ENVELOPE("kimi", "t", "{\"response_time_ms\":%s,\"data_size_bytes\":%s}"), bad[i], bad[i]);
		read(envelope);
		CHECK(!flat.timed && flat.size == flat.data.len);
	}
	read(ENVELOPE("kimi", "t", "{\"response_time_ms\":2.5e2}"));
	CHECK(flat.timed && flat.response_ms == 250);
}

static void no_markup_gets_through(void)
{
	read(ENVELOPE("kimi", "\\u003Cb>", "{\"direction\":\"<i>\",\"error\":{\"<\":1},\"script\":\"\\\\u003c<\\u003c\"}"));
	struct buf out;
	buf_init(&out);
	flat_live(&out, &flat);
	const char *metadata = memmem(out.data, out.len, "\"metadata\"", 10);
	CHECK(memchr(out.data, '<', (size_t)(metadata - out.data)) == NULL);
	CHECK(memmem(out.data, out.len, "\"function_name\":\"&lt;b>\"", 23) != NULL);
	CHECK(memmem(out.data, out.len, "\"script_name\":\"\\\\u003c&lt;&lt;\"", 30) != NULL);
	CHECK(memmem(out.data, out.len, "\"error\":\"{\\\"&lt;\\\":1}\"", 22) != NULL);
	size_t len;
	struct json_error error;
	CHECK(json_minify(out.data, out.len, out.data, &len, &error));
	buf_finish(&out);
}

static void test_frames_stay_what_they_are(void)
{
	read(ENVELOPE("test_event", "test", "{\"type\":\"test\",\"x\":\"<\"}"));
	check_live("{\"type\":\"test_event\",\"event\":{\"type\":\"test\",\"x\":\"<\"},\"timestamp\":\"2026-11-22T18:00:00."
		   "123Z\","
		   "\"broadcast_time\":\"2026-11-22T18:00:00.123Z\",\"seq\":7}");
}

int main(void)
{
	RUN(streams_say_which_service);
	RUN(frames_find_their_stream);
	RUN(a_live_event_has_every_member);
	RUN(what_is_missing_is_made_up);
	RUN(an_error_always_has_a_text);
	RUN(what_has_no_place_is_metadata);
	RUN(numbers_that_are_none_are_passed_over);
	RUN(no_markup_gets_through);
	RUN(test_frames_stay_what_they_are);
	return check_end();
}
