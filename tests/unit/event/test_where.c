/* Conditions on payloads. */
#include "base/buf.h"
#include "event/filter.h"
#include "event/where.h"
#include "unit/check.h"
#include "json/json.h"

static struct where *make(const char *condition)
{
	struct where *w = where_create();
	CHECK(w != NULL && where_add(w, slice_of(condition)) == ERR_NONE);
	return w;
}

static bool holds(const char *condition, const char *data)
{
	struct where *w = make(condition);
	bool result = where_holds(w, slice_of("t"), slice_of(data));
	where_unref(w);
	return result;
}

static void values_are_compared(void)
{
	CHECK(holds("/a=x", "{\"a\":\"x\"}") && !holds("/a=x", "{\"a\":\"xy\"}") && !holds("/a=x", "{\"b\":\"x\"}"));
	CHECK(holds("/a=1.10", "{\"a\":1.10}") && !holds("/a=1.1", "{\"a\":1.10}") && holds("/a=1e400", "{\"a\":1e400}"));
	CHECK(holds("/a=true", "{\"a\":true}") && holds("/a=false", "{\"a\":false}") && holds("/a=null", "{\"a\":null}"));
	CHECK(holds("/a=true", "{\"a\":\"true\"}") && !holds("/a=null", "{}") && !holds("/a=", "{\"a\":null}"));
	CHECK(holds("/a=", "{\"a\":\"\"}") && holds("/a=b=c", "{\"a\":\"b=c\"}"));
	CHECK(!holds("/a={}", "{\"a\":{}}") && !holds("/a=[1]", "{\"a\":[1]}"));
}

static void escapes_are_characters(void)
{
	CHECK(holds("/a=\xc3\xa9\"", "{\"a\":\"\\u00e9\\\"\"}") &&
	      holds("/a=\xf0\x9f\x98\x80", "{\"a\":\"\\ud83d\\ude00\"}"));
	CHECK(holds("/\xc3\xa9=1", "{\"\\u00e9\":1}") && holds("/a=/", "{\"a\":\"\\/\"}"));
	CHECK(!holds("/a=\\ud800", "{\"a\":\"\\ud800\"}")); /* stands for no character */
	CHECK(!holds("/a=\\n", "{\"a\":\"\\n\"}"));
}

static void pointers_lead_inwards(void)
{
	CHECK(holds("/a/b/c=1", "{\"a\":{\"x\":0,\"b\":{\"c\":1}}}") && !holds("/a/b=1", "{\"a\":{\"b\":{\"c\":1}}}"));
	CHECK(holds("/a/1=y", "{\"a\":[\"x\",\"y\"]}") && !holds("/a/2=y", "{\"a\":[\"x\",\"y\"]}"));
	CHECK(!holds("/a/01=y", "{\"a\":[\"x\",\"y\"]}") && !holds("/a/-=y", "{\"a\":[\"x\",\"y\"]}"));
	CHECK(holds("/0=x", "[\"x\"]") && holds("/0/0=x", "[[\"x\"]]") && holds("/0=x", "{\"0\":\"x\"}"));
	CHECK(holds("/a~1b/~0/~01=1", "{\"a/b\":{\"~\":{\"~1\":1}}}"));
	CHECK(holds("/=1", "{\"\":1}") && holds("//=1", "{\"\":{\"\":1}}") && holds("/a/=1", "{\"a\":{\"\":1}}"));
	CHECK(!holds("/a/b=1", "{\"a\":\"b\"}") && !holds("/a=1", "5") && !holds("/a=1", "\"a\""));
}

static void the_last_of_several_counts(void)
{
	CHECK(holds("/a=2", "{\"a\":1,\"a\":2}") && !holds("/a=1", "{\"a\":1,\"\\u0061\":2}"));
}

static void all_have_to_hold(void)
{
	struct where *w = make("/a=1");
	CHECK(where_add(w, slice_of("/b=2")) == ERR_NONE && where_count(w) == 2);
	CHECK(where_holds(w, slice_of("t"), slice_of("{\"b\":2,\"a\":1}")) &&
	      !where_holds(w, slice_of("t"), slice_of("{\"a\":1,\"b\":1}")));
	CHECK_SLICE(where_text(w, 1), "/b=2");
	where_unref(w);
}

static void bounds_are_kept(void)
{
	static const char *const wrong[] = {"", "a=1", "=1", "/a", "/a~=1", "/a~2=1", "/a=\xff", "/\xc3=1"};
	char text[WHERE_LEN_MAX + 2];
	struct where *w = where_create();
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		CHECK(where_add(w, slice_of(wrong[i])) == ERR_INVALID);
	memset(text, '/', sizeof text);
	text[WHERE_LEN_MAX] = '=';
	CHECK(where_add(w, (struct slice){text, WHERE_LEN_MAX + 1}) == ERR_TOO_LARGE);
	text[WHERE_LEN_MAX - 1] = '=';
	for (int i = 0; i < WHERE_MAX; i++)
		CHECK(where_add(w, (struct slice){text, WHERE_LEN_MAX}) == ERR_NONE);
	CHECK(where_add(w, slice_of("/a=1")) == ERR_TOO_LARGE && where_count(w) == WHERE_MAX);
	CHECK(!where_holds(w, slice_of("t"), slice_of("{\"\":{}}")));
	where_unref(w);
	/* Strings of escapes that are as long as they can be and still be equal, and one longer. */
	struct buf data;
	struct buf condition;
	buf_init(&data);
	buf_init(&condition);
	buf_adds(&data, "{\"a\":\"");
	buf_adds(&condition, "/a=");
	for (int i = 0; i < WHERE_LEN_MAX - 3; i++) {
		buf_adds(&data, "\\u0041");
		buf_addc(&condition, 'A');
	}
	buf_adds(&data, "\"}");
	w = where_create();
	CHECK(where_add(w, buf_slice(&condition)) == ERR_NONE && where_holds(w, slice_of("t"), buf_slice(&data)));
	data.len -= 2;
	buf_adds(&data, "\\u0041\"}");
	CHECK(!where_holds(w, slice_of("t"), buf_slice(&data)));
	where_unref(w);
	buf_finish(&data);
	buf_finish(&condition);
}

static void same_means_the_same_text(void)
{
	struct where *a = make("/a=1");
	struct where *b = make("/a=1");
	struct where *c = make("/a=2");
	CHECK(where_same(a, a) && where_same(a, b) && !where_same(a, c));
	CHECK(where_add(b, slice_of("/b=1")) == ERR_NONE && !where_same(a, b));
	CHECK(where_ref(a) == a);
	where_unref(a);
	where_unref(a);
	where_unref(b);
	where_unref(c);
}

static void filters_keep_them(void)
{
	struct buf text;
	struct filter *f = filter_create();
	struct filter *again;
	buf_init(&text);
	CHECK(filter_add_where(f, slice_of("/a\"=\xc3\xa9")) == ERR_NONE &&
	      filter_add_where(f, slice_of("a")) == ERR_INVALID);
	CHECK(filter_is_wide(f) && !filter_is_open(f));
	filter_write(&text, f);
	CHECK(filter_read(buf_slice(&text), &again) == ERR_NONE);
	CHECK(filter_where(again) != NULL && where_same(filter_where(f), filter_where(again)));
	filter_destroy(f);
	filter_destroy(again);
	CHECK(filter_read(slice_of("{\"stream\":[\"a\"],\"type\":[],\"pattern\":[]}"), &again) == ERR_NONE);
	CHECK(filter_where(again) == NULL && !filter_is_wide(again));
	filter_destroy(again);
	CHECK(filter_read(slice_of("{\"stream\":[],\"type\":[],\"pattern\":[],\"where\":[\"a\"]}"), &again) == ERR_INVALID);
	buf_finish(&text);
}

int main(void)
{
	RUN(values_are_compared);
	RUN(escapes_are_characters);
	RUN(pointers_lead_inwards);
	RUN(the_last_of_several_counts);
	RUN(all_have_to_hold);
	RUN(bounds_are_kept);
	RUN(same_means_the_same_text);
	RUN(filters_keep_them);
	return check_end();
}
