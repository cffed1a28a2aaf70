/* Events as publishers send them, and as a store has them. */
#include "base/buf.h"
#include "event/event.h"
#include "unit/check.h"
#include "unit/event/batches.h"

static const struct batch_limits limits = {1000, 100};

static enum err parse(const char *text, enum batch_form form, struct batch **b, struct fault *f)
{
	return batch_parse_take(strdup(text), strlen(text), form, limits, b, f);
}

static void one(const char *text, const char *stream, const char *type, const char *id, const char *data)
{
	struct batch *b;
	struct fault f;
	CHECK(parse(text, BATCH_JSON, &b, &f) == ERR_NONE);
	check_one(b, stream, type, id, data);
}

static void refused(const char *text, enum batch_form form, enum err code, long place)
{
	struct batch *b;
	struct fault f;
	CHECK(parse(text, form, &b, &f) == code && b == NULL);
	CHECK(f.code == code && f.place == place && f.text[0] != '\0');
}

static void envelopes_are_opened(void)
{
	one("{\"data\":1}", "default", "event", "", "1");
	one("{\"id\":\"i\",\"data\":{\"a\" : 1.10},\"stream\":\"s\",\"type\":\"t\"}", "s", "t", "i", "{\"a\":1.10}");
	one("{\"stream\":\"caf\\u00e9\",\"data\":null}", "caf\xc3\xa9", "event", "", "null");
	one("{\"dat\\u0061\":1,\"stream\":\"s\"}", "s", "event", "", "1");
}

static void flat_events_keep_their_whole_text(void)
{
	one("{\"type\":\"e\", \"connection_type\":\"kimi\",\"n\":[1]}", "kimi", "e", "",
	    "{\"type\":\"e\",\"connection_type\":\"kimi\",\"n\":[1]}");
	one("{\"stream\":\"a\\u0062\",\"connection_type\":\"kimi\"}", "ab", "event", "",
	    "{\"stream\":\"a\\u0062\",\"connection_type\":\"kimi\"}");
	one("{\"type\":5,\"id\":[],\"stream\":null}", "default", "event", "", "{\"type\":5,\"id\":[],\"stream\":null}");
	one("{\"data\":1,\"extra\":2}", "default", "event", "", "{\"data\":1,\"extra\":2}");
	one("{}", "default", "event", "", "{}");
}

#define STORED "\"seq\":7,\"time\":\"2026-11-22T18:00:00.123Z\""

/* What a store adds is dropped again; beside it nothing is unknown by mistake. Without all three it is a flat event. */
static void envelopes_of_a_store_are_opened(void)
{
	one("{" STORED ",\"stream\":\"s\",\"type\":\"t\",\"id\":\"i\",\"data\":{\"n\":1}}", "s", "t", "i", "{\"n\":1}");
	one("{\"data\":null," STORED "}", "default", "event", "", "null");
	one("{\"seq\":\"x\",\"time\":null,\"data\":1}", "default", "event", "", "1");
	one("{\"s\\u0065q\":1,\"time\":2,\"data\":3}", "default", "event", "", "3");
	static const char *const flat[] = {"{\"seq\":7,\"data\":1}", "{\"time\":\"t\",\"data\":1}", "{" STORED ",\"n\":1}",
					   "{\"seq\":1,\"seq\":2,\"time\":3,\"dta\":4}"};
	for (size_t i = 0; i < sizeof flat / sizeof *flat; i++)
		one(flat[i], "default", "event", "", flat[i]);
	static const char *const wrong[] = {
		"{" STORED ",\"data\":1,\"n\":1}",    "{" STORED ",\"data\":1,\"connection_type\":\"kimi\"}",
		"{" STORED ",\"data\":1,\"seq\":7}",  "{\"time\":1," STORED ",\"data\":1}",
		"{" STORED ",\"data\":1,\"data\":2}", "{" STORED ",\"stream\":5,\"data\":1}"};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		refused(wrong[i], BATCH_JSON, ERR_INVALID, 0);
	struct batch *b;
	struct fault f;
	char text[400];
	for (int letters = 1; letters < 60; letters++) {
		snprintf(text, sizeof text, "{" STORED ",\"data\":1,\"x");
		for (int i = 0; i < letters; i++)
			strcat(text, "\xc3\xa9");
		strcat(text, "\":1}");
		CHECK(parse(text, BATCH_JSON, &b, &f) == ERR_INVALID && strstr(f.text, "\"x\xc3\xa9") != NULL);
		CHECK(strstr(f.text, "\xc3\"") == NULL && strchr(f.text, '\xa9') != NULL);
	}
}

static void a_mark_at_the_beginning_is_no_part_of_it(void)
{
	one("\xef\xbb\xbf{\"data\":1}", "default", "event", "", "1");
	refused("{\"data\":\xef\xbb\xbf"
		"1}",
		BATCH_JSON, ERR_INVALID, 0);
	refused("\xef\xbb\xbf", BATCH_JSON, ERR_INVALID, 0);
	refused("\xef\xbb", BATCH_JSON, ERR_INVALID, 0);
	refused("\xef\xbb\xbf\xef\xbb\xbf{}", BATCH_JSON, ERR_INVALID, 0);
	refused("{}\n\xef\xbb\xbf{}\n", BATCH_LINES, ERR_INVALID, 2);
	struct batch *b;
	CHECK(parse("\xef\xbb\xbf{\"data\":1}\n{\"data\":2}", BATCH_LINES, &b, NULL) == ERR_NONE && batch_count(b) == 2);
	CHECK_SLICE(batch_event(b, 0)->data, "1");
	batch_destroy(b);
}

static void wrong_names_are_refused(void)
{
	char long_name[400];
	refused("{\"stream\":\"\",\"data\":1}", BATCH_JSON, ERR_INVALID, 0);
	refused("{\"stream\":5,\"data\":1}", BATCH_JSON, ERR_INVALID, 0);
	refused("{\"type\":\"a\\u0000b\",\"data\":1}", BATCH_JSON, ERR_INVALID, 0);
	refused("{\"id\":\"\\ud800\",\"data\":1}", BATCH_JSON, ERR_INVALID, 0);
	refused("{\"stream\":\"a\",\"stream\":\"b\",\"data\":1}", BATCH_JSON, ERR_INVALID, 0);
	snprintf(long_name, sizeof long_name, "{\"stream\":\"%0255d\",\"data\":1}", 0);
	struct batch *b;
	CHECK(parse(long_name, BATCH_JSON, &b, NULL) == ERR_NONE);
	batch_destroy(b);
	snprintf(long_name, sizeof long_name, "{\"stream\":\"%0256d\",\"data\":1}", 0);
	refused(long_name, BATCH_JSON, ERR_INVALID, 0);
	char escaped[2000];
	snprintf(escaped, sizeof escaped, "{\"stream\":\"\\n%01600d\",\"data\":1}", 0);
	refused(escaped, BATCH_JSON, ERR_INVALID, 0);
}

static void places_are_named(void)
{
	refused("[{\"data\":1},{\"data\":2},3]", BATCH_JSON, ERR_INVALID, 2);
	refused("[{\"data\":1},{\"data\":}]", BATCH_JSON, ERR_INVALID, 1);
	refused("{\"data\":1}\n\n{\"data\":2}\nnonsense\n", BATCH_LINES, ERR_INVALID, 4);
	refused("", BATCH_JSON, ERR_INVALID, 0);
	refused("[]", BATCH_JSON, ERR_INVALID, -1);
	refused("\n \n", BATCH_LINES, ERR_INVALID, -1);
	refused("5", BATCH_JSON, ERR_INVALID, 0);
}

static void limits_hold(void)
{
	char big[2100];
	snprintf(big, sizeof big, "{\"data\":\"%0*d\"}", 998, 0);
	struct batch *b;
	CHECK(parse(big, BATCH_JSON, &b, NULL) == ERR_NONE);
	batch_destroy(b);
	snprintf(big, sizeof big, "{\"data\":\"%0*d\"}", 999, 0);
	refused(big, BATCH_JSON, ERR_TOO_LARGE, 0);
	char many[101 * 3 + 1] = "";
	for (int i = 0; i < 101; i++)
		strcat(many, "{}\n");
	refused(many, BATCH_LINES, ERR_TOO_LARGE, 101);
}

static void ndjson_make_a_batch(void)
{
	struct batch *b;
	CHECK(parse("{\"data\":1}\r\n\r\n{\"data\":2}", BATCH_LINES, &b, NULL) == ERR_NONE && batch_count(b) == 2);
	CHECK_SLICE(batch_event(b, 1)->data, "2");
	batch_destroy(b);
}

int main(void)
{
	RUN(envelopes_are_opened);
	RUN(flat_events_keep_their_whole_text);
	RUN(envelopes_of_a_store_are_opened);
	RUN(a_mark_at_the_beginning_is_no_part_of_it);
	RUN(wrong_names_are_refused);
	RUN(places_are_named);
	RUN(limits_hold);
	RUN(ndjson_make_a_batch);
	return check_end();
}
