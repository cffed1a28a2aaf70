#include "event/cloudevent.h"
#include "event/event.h"
#include "unit/check.h"
#include "unit/event/batches.h"
#include "json/json.h"

static const struct batch_limits limits = {1000, 3};

#define REQUIRED "\"specversion\":\"1.0\",\"id\":\"i\",\"source\":\"/s\",\"type\":\"t\""

static enum err parse(const char *text, enum batch_form form, struct batch **b, struct fault *f)
{
	return batch_parse_take(strdup(text), strlen(text), form, limits, b, f);
}

static void one(const char *text, const char *stream, const char *type, const char *id, const char *data)
{
	struct batch *b;
	struct fault f;
	CHECK(parse(text, BATCH_CLOUDEVENT, &b, &f) == ERR_NONE);
	check_one(b, stream, type, id, data);
}

static void fine(const char *text)
{
	struct batch *b;
	CHECK(parse(text, BATCH_CLOUDEVENT, &b, NULL) == ERR_NONE);
	batch_destroy(b);
}

static void refused(const char *text, const char *mention)
{
	struct batch *b;
	struct fault f;
	CHECK(parse(text, BATCH_CLOUDEVENT, &b, &f) == ERR_INVALID && b == NULL);
	if (f.place != 0 || strstr(f.text, mention) == NULL)
		check_fail(__FILE__, __LINE__, __func__, "%s: refused at %ld with: %s", text, f.place, f.text);
}

static void the_whole_event_is_kept_as_sent(void)
{
	one("{ \"data\" : { \"n\" : 1.10 }, " REQUIRED " }", "/s", "t", "i", "{\"data\":{\"n\":1.10}," REQUIRED "}");
	one("{\"specversion\":\"1.0\",\"id\":\"caf\\u00e9\",\"source\":\"\\/s\",\"type\":\"t\"}", "/s", "t", "caf\xc3\xa9",
	    "{\"specversion\":\"1.0\",\"id\":\"caf\\u00e9\",\"source\":\"\\/s\",\"type\":\"t\"}");
	one("{" REQUIRED ",\"stream\":\"orders\"}", "orders", "t", "i", "{" REQUIRED ",\"stream\":\"orders\"}");
	one("{" REQUIRED ",\"stream\":null}", "/s", "t", "i", "{" REQUIRED ",\"stream\":null}");
}

static void what_the_format_allows_is_taken(void)
{
	fine("{" REQUIRED ",\"subject\":\"x\",\"time\":\"2018-04-05T17:31:00.123456789\\u002B02:00\",\"dataschema\":null}");
	fine("{" REQUIRED ",\"datacontenttype\":\"text/xml\",\"data\":\"<x/>\"}");
	fine("{" REQUIRED ",\"number\":5,\"flag\":true,\"text\":\"\",\"none\":null,\"a1\":\"x\",\"\\u0061bc\":1}");
	fine("{" REQUIRED ",\"data\":null,\"data_base64\":null}");
	fine("{" REQUIRED ",\"data_base64\":\"\"}");
	fine("{" REQUIRED ",\"data_base64\":\"AQI\\/\\u002B+8=\"}");
	fine("{\"specversion\":\"1\\u002e0\",\"id\":\"i\",\"source\":\"/s\",\"type\":\"t\"}");
}

static void required_attributes_are_required(void)
{
	static const char *const names[] = {"specversion", "id", "source", "type"};
	static const char *const values[] = {"", "null", "\"\"", "5", "[\"1.0\"]", "{}", "true"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
			char text[256] = "{\"data\":1";
			char quoted[32];
			for (size_t j = 0; j < sizeof names / sizeof *names; j++) {
				const char *value = j != i ? j == 0 ? "\"1.0\"" : "\"x\"" : values[v];
				size_t n = strlen(text);
				if (value[0] != '\0')
					snprintf(text + n, sizeof text - n, ",\"%s\":%s", names[j], value);
			}
			strcat(text, "}");
			snprintf(quoted, sizeof quoted, "\"%s\"", names[i]);
			refused(text, quoted);
		}
	refused("{}", "\"specversion\"");
}

static void what_breaks_the_format_is_named(void)
{
	refused("5", "object");
	refused("[{" REQUIRED "}]", "object");
	refused("{\"specversion\":\"0.3\",\"id\":\"i\",\"source\":\"/s\",\"type\":\"t\"}", "\"specversion\"");
	refused("{" REQUIRED ",\"id\":\"j\"}", "duplicate member \"id\"");
	refused("{\"id\":null," REQUIRED "}", "duplicate member \"id\"");
	refused("{" REQUIRED ",\"data\":1,\"data\":1}", "duplicate member \"data\"");
	refused("{" REQUIRED ",\"data_base64\":\"\",\"data_base64\":\"\"}", "duplicate member \"data_base64\"");
	refused("{" REQUIRED ",\"subject\":\"\"}", "\"subject\" is empty");
	refused("{" REQUIRED ",\"subject\":1}", "\"subject\" is not a string");
	refused("{" REQUIRED ",\"stream\":1}", "\"stream\" is not a string");
	refused("{" REQUIRED ",\"time\":\"yesterday\"}", "\"time\"");
	refused("{" REQUIRED ",\"time\":\"2018-04-05\"}", "\"time\"");
	refused("{" REQUIRED ",\"Extension\":\"x\"}", "\"Extension\"");
	refused("{" REQUIRED ",\"my_ext\":\"x\"}", "\"my_ext\"");
	refused("{" REQUIRED ",\"\":\"x\"}", "\"\"");
	refused("{" REQUIRED ",\"\\u0041\":\"x\"}", "lower-case");
	refused("{" REQUIRED ",\"ext\":{}}", "\"ext\"");
	refused("{" REQUIRED ",\"ext\":[1]}", "\"ext\"");
	refused("{" REQUIRED ",\"data\":1,\"data_base64\":\"\"}", "exclude");
	refused("{" REQUIRED ",\"id\\u0000\":1}", "lower-case");
}

static void base64_is_checked(void)
{
	static const char *const wrong[] = {
		"5",        "{}",       "\"A\"",     "\"AAA\"",    "\"A===\"",       "\"AA=A\"",     "\"====\"",
		"\"AA A\"", "\"AA-_\"", "\"AAAA=\"", "\"AA\\nA\"", "\"\\u0141AAA\"", "\"AA==AA==\"", "\"\xc3\xa9ZZ\""};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		char text[160];
		snprintf(text, sizeof text, "{" REQUIRED ",\"data_base64\":%s}", wrong[i]);
		refused(text, "\"data_base64\"");
	}
}

static void names_have_the_limits_of_every_event(void)
{
	char text[512];
	char *names[] = {"id", "source", "type", "stream"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		for (int len = 255; len <= 256; len++) {
			int n = snprintf(text, sizeof text, "{\"specversion\":\"1.0\"");
			for (size_t j = 0; j < sizeof names / sizeof *names; j++)
				n += snprintf(text + n, sizeof text - (size_t)n, ",\"%s\":\"%0*d\"", names[j],
					      i == j ? len : 1, 1);
			if (i == 1) /* what is not the stream may be longer */
				n = (int)(strstr(text, ",\"stream\"") - text);
			snprintf(text + n, sizeof text - (size_t)n, "}");
			if (len == 255)
				fine(text);
			else
				refused(text, names[i]);
		}
	refused("{" REQUIRED ",\"stream\":\"a\\nb\"}", "\"stream\"");
	refused("{\"specversion\":\"1.0\",\"id\":\"\\ud800\",\"source\":\"/s\",\"type\":\"t\"}", "\"id\"");
	int n = snprintf(text, sizeof text, "{\"specversion\":\"1.0\",\"id\":\"i\",\"type\":\"t\",\"stream\":\"s\"");
	snprintf(text + n, sizeof text - (size_t)n, ",\"source\":\"%0300d\"}", 1);
	fine(text);
}

static void batches_name_the_index(void)
{
	struct batch *b;
	struct fault f;
	CHECK(parse("[{" REQUIRED "}, {" REQUIRED ",\"data\":2}]", BATCH_CLOUDEVENTS, &b, &f) == ERR_NONE);
	CHECK(batch_count(b) == 2);
	CHECK_SLICE(batch_event(b, 1)->data, "{" REQUIRED ",\"data\":2}");
	batch_destroy(b);
	CHECK(parse("[{" REQUIRED "},{\"id\":\"i\"}]", BATCH_CLOUDEVENTS, &b, &f) == ERR_INVALID && f.place == 1);
	CHECK(parse("[{" REQUIRED "},5]", BATCH_CLOUDEVENTS, &b, &f) == ERR_INVALID && f.place == 1);
	CHECK(parse("[{" REQUIRED "},{" REQUIRED ",}]", BATCH_CLOUDEVENTS, &b, &f) == ERR_INVALID && f.place == 1);
	CHECK(parse("{" REQUIRED "}", BATCH_CLOUDEVENTS, &b, &f) == ERR_INVALID && f.place == -1);
	CHECK(parse("[]", BATCH_CLOUDEVENTS, &b, &f) == ERR_INVALID && f.place == -1);
	CHECK(parse("[{" REQUIRED "},{" REQUIRED "},{" REQUIRED "},{" REQUIRED "}]", BATCH_CLOUDEVENTS, &b, &f) ==
		      ERR_TOO_LARGE &&
	      f.place == 3);
}

static void the_whole_event_counts_for_the_limit(void)
{
	struct batch *b;
	char text[1100];
	for (int more = 0; more <= 1; more++) {
		int n = snprintf(text, sizeof text, "{" REQUIRED ",\"data\":\"");
		snprintf(text + n, sizeof text - (size_t)n, "%0*d\"}", 1000 - n - 2 + more, 0);
		CHECK(parse(text, BATCH_CLOUDEVENT, &b, NULL) == (more ? ERR_TOO_LARGE : ERR_NONE));
		batch_destroy(b);
	}
}

/* --- binary mode --- */

struct pair {
	const char *name;
	const char *value;
};

static enum err compose(const struct pair *pairs, const char *type, const char *body, size_t len, struct buf *out,
			struct fault *f)
{
	struct cloudevent_headers h = {.content_type = slice_of(type)};
	char *copy = malloc(len + 1);
	memcpy(copy, body, len);
	for (; pairs->name != NULL; pairs++)
		cloudevent_add_header(&h, slice_of(pairs->name), slice_of(pairs->value));
	buf_init(out);
	enum err err = cloudevent_compose(&h, copy, len, 1000, out, f);
	free(copy);
	return err;
}

static void composed(const struct pair *pairs, const char *type, const char *body, const char *wanted)
{
	struct buf out;
	struct fault f;
	struct json_error error;
	size_t n;
	CHECK(compose(pairs, type, body, strlen(body), &out, &f) == ERR_NONE);
	CHECK_SLICE(buf_slice(&out), wanted);
	CHECK(json_minify(out.data, out.len, out.data, &n, &error) && n == out.len);
	buf_finish(&out);
}

static void not_composed(const char *name, const char *value, const char *mention)
{
	struct buf out;
	struct fault f;
	struct pair pairs[] = {{"id", "i"}, {name, value}, {0}};
	CHECK(compose(pairs, "", "", 0, &out, &f) == ERR_INVALID && strstr(f.text, mention) != NULL);
	buf_finish(&out);
}

static void headers_and_body_become_the_structured_form(void)
{
	const struct pair pairs[] = {{"specversion", "1.0"}, {"ID", "i"}, {0}};
	const struct pair none[] = {{0}};
	composed(pairs, "application/json", " { \"n\" : 1.10 } ",
		 "{\"specversion\":\"1.0\",\"id\":\"i\",\"datacontenttype\":\"application/json\",\"data\":{\"n\":1.10}}");
	composed(pairs, "Application/Problem+JSON ; charset=utf-8", "5",
		 "{\"specversion\":\"1.0\",\"id\":\"i\",\"datacontenttype\":\"Application/Problem+JSON ; charset=utf-8\","
		 "\"data\":5}");
	composed(pairs, "text/plain", "Hi",
		 "{\"specversion\":\"1.0\",\"id\":\"i\",\"datacontenttype\":\"text/plain\","
		 "\"data_base64\":\"SGk=\"}");
	composed(pairs, "", "5", "{\"specversion\":\"1.0\",\"id\":\"i\",\"data_base64\":\"NQ==\"}");
	composed(pairs, "", "", "{\"specversion\":\"1.0\",\"id\":\"i\"}");
	composed(pairs, "application/json", "",
		 "{\"specversion\":\"1.0\",\"id\":\"i\",\"datacontenttype\":\"application/json\"}");
	composed(none, "", "", "{}");
	composed(none, "json", "5", "{\"datacontenttype\":\"json\",\"data_base64\":\"NQ==\"}");
	composed(none, "a/xjson", "5", "{\"datacontenttype\":\"a/xjson\",\"data_base64\":\"NQ==\"}");
}

static void values_are_decoded(void)
{
	const struct pair pairs[] = {{"a", "Euro%20%E2%82%AC%20%f0%9f%98%80"},
				     {"b", "\"quoted \\\"x\\\" %41\""},
				     {"c", ""},
				     {"d", "a\"b\\c+d%25"},
				     {"e", "\"\""},
				     {"f", "caf\xc3\xa9"},
				     {"g", "\"caf\xe9 \\\xff %C3%A9\""},
				     {0}};
	composed(pairs, "", "",
		 "{\"a\":\"Euro \xe2\x82\xac \xf0\x9f\x98\x80\",\"b\":\"quoted \\\"x\\\" A\",\"c\":\"\","
		 "\"d\":\"a\\\"b\\\\c+d%\",\"e\":\"\",\"f\":\"caf\xc3\xa9\",\"g\":\"caf\xc3\xa9 \xc3\xbf \xc3\xa9\"}");
}

static void wrong_headers_are_named(void)
{
	not_composed("x", "50%", "ce-x: a broken percent-encoding");
	not_composed("x", "%zz", "ce-x: a broken percent-encoding");
	not_composed("x", "%C0%A0", "ce-x: not UTF-8");
	not_composed("x", "a\x85", "ce-x: not UTF-8");
	not_composed("x", "\xe9%E9", "ce-x: not UTF-8");
	not_composed("x", "a%0Ab", "ce-x: not UTF-8");
	not_composed("x", "a\tb", "ce-x: not UTF-8");
	not_composed("x", "\"a", "ce-x: a quoted string");
	not_composed("x", "\"a\"b", "ce-x: a quoted string");
	not_composed("x", "\"a\\", "ce-x: a quoted string");
	not_composed("x", "\"", "ce-x: a quoted string");
	not_composed("ID", "j", "ce-ID: given more than once");
	not_composed("my-ext", "x", "ce-my-ext: attributes");
	not_composed("", "x", "ce-: attributes");
	not_composed("data", "x", "ce-data: the data");
	not_composed("data_base64", "x", "ce-data_base64: attributes");
	not_composed("DataContentType", "x", "ce-DataContentType: use Content-Type instead");
}

static void bodies_are_checked(void)
{
	const struct pair none[] = {{0}};
	static const char zeros[751];
	struct buf out;
	struct fault f;
	const char *inject = "1},\"id\":{\"x\":2";
	CHECK(compose(none, "application/json", inject, strlen(inject), &out, &f) == ERR_INVALID);
	buf_finish(&out);
	CHECK(compose(none, "a/b\xff", "", 0, &out, &f) == ERR_INVALID && strstr(f.text, "Content-Type") != NULL);
	buf_finish(&out);
	CHECK(compose(none, "", zeros, 750, &out, &f) == ERR_NONE);
	buf_finish(&out);
	CHECK(compose(none, "", zeros, 751, &out, &f) == ERR_TOO_LARGE);
	buf_finish(&out);
}

static void too_many_headers_are_refused(void)
{
	static char names[CLOUDEVENT_HEADERS_MAX + 1][8];
	struct pair pairs[CLOUDEVENT_HEADERS_MAX + 2] = {{0}};
	struct buf out;
	struct fault f;
	for (int i = 0; i <= CLOUDEVENT_HEADERS_MAX; i++) {
		snprintf(names[i], sizeof names[i], "x%d", i);
		pairs[i] = (struct pair){names[i], "1"};
	}
	CHECK(compose(pairs, "", "", 0, &out, &f) == ERR_INVALID && strstr(f.text, "64") != NULL);
	buf_finish(&out);
	pairs[CLOUDEVENT_HEADERS_MAX].name = NULL;
	CHECK(compose(pairs, "", "", 0, &out, &f) == ERR_NONE);
	buf_finish(&out);
}

static void base64_has_its_padding(void)
{
	struct buf none;
	buf_init(&none);
	buf_base64(&none, slice_of(""));
	CHECK(none.len == 0 && !buf_failed(&none));
	static const char *const pairs[][2] = {{"f", "Zg=="},           {"fo", "Zm8="},        {"foo", "Zm9v"},
					       {"foob", "Zm9vYg=="},    {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"},
					       {"\xff\xfe\xfd", "//79"}};
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		struct buf out;
		buf_init(&out);
		buf_base64(&out, slice_of(pairs[i][0]));
		CHECK_SLICE(buf_slice(&out), pairs[i][1]);
		buf_finish(&out);
	}
}

int main(void)
{
	RUN(the_whole_event_is_kept_as_sent);
	RUN(what_the_format_allows_is_taken);
	RUN(required_attributes_are_required);
	RUN(what_breaks_the_format_is_named);
	RUN(base64_is_checked);
	RUN(names_have_the_limits_of_every_event);
	RUN(batches_name_the_index);
	RUN(the_whole_event_counts_for_the_limit);
	RUN(headers_and_body_become_the_structured_form);
	RUN(values_are_decoded);
	RUN(wrong_headers_are_named);
	RUN(bodies_are_checked);
	RUN(too_many_headers_are_refused);
	RUN(base64_has_its_padding);
	return check_end();
}
