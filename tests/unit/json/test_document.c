/* Documents: written whole or not at all, with every digit; read with the rules that cJSON does not have. */
#include <math.h>
#include <stdbool.h>

#include "unit/check.h"
#include "json/document.h"

/* Which allocation fails; 0: none. */
static unsigned failing;
static unsigned seen;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);

void *__wrap_malloc(size_t size)
{
	return ++seen == failing ? NULL : __real_malloc(size);
}

void *__wrap_realloc(void *memory, size_t size)
{
	return ++seen == failing ? NULL : __real_realloc(memory, size);
}

static const char whole[] = "{\"name\":\"a\\\"b\\\\c\\u000a\\u0001\xc3\xa4\",\"none\":null,\"most\":18446744073709551615,"
			    "\"least\":-9223372036854775808,"
			    "\"ms\":12.500,\"on\":true,\"off\":false,\"at\":\"1970-01-01T00:00:01.005Z\",\"s\":1.005,"
			    "\"list\":[1,\"two\",{},[]],\"ready\":{\"a\":1.10},\"taken\":[2.50],\"inside\":{\"x\":null},"
			    "\"q\\\"n\\ts\":{\"\\u0001\":\"\"},\"last\":9007199254740993}";

static void fill(struct doc root)
{
	struct buf ready;
	doc_text(root, "name", (struct slice){"a\"b\\c\n\x01\xc3\xa4", 9});
	doc_text_or_null(root, "none", (struct slice){NULL, 0});
	doc_u64(root, "most", UINT64_MAX);
	doc_i64(root, "least", INT64_MIN);
	doc_fixed(root, "ms", 12.5, 3);
	doc_bool(root, "on", true);
	doc_bool(root, "off", false);
	doc_time(root, "at", 1005);
	doc_seconds(root, "s", 1005);
	struct doc list = doc_array(root, "list");
	doc_u64(list, NULL, 1);
	doc_text_or_null(list, NULL, slice_of("two"));
	doc_object(list, NULL);
	doc_array(list, NULL);
	doc_raw(root, "ready", slice_of("{\"a\":1.10}"));
	buf_init(&ready);
	buf_adds(&ready, "[2.50]");
	doc_raw_take(root, "taken", &ready);
	doc_null(doc_object(root, "inside"), "x");
	char name[] = "q\"n\ts is cut";
	struct doc named = doc_object_named(root, (struct slice){name, 5});
	memset(name, 'x', sizeof name - 1);
	doc_string(named, "\x01", "");
	doc_u64(root, "last", 9007199254740993);
}

static void write(struct buf *out)
{
	struct document d;
	fill(document_begin(&d));
	document_end(&d, out);
}

static void it_is_written_in_order_with_every_digit(void)
{
	struct buf out;
	buf_init(&out);
	buf_adds(&out, "before ");
	write(&out);
	CHECK(!buf_failed(&out));
	CHECK(slice_begins(buf_slice(&out), slice_of("before ")));
	CHECK_SLICE(((struct slice){out.data + 7, out.len - 7}), whole);
	buf_finish(&out);
}

static void what_is_no_number_is_null(void)
{
	struct document d;
	struct buf out;
	buf_init(&out);
	struct doc root = document_begin(&d);
	doc_fixed(root, "nan", (double)NAN, 3);
	doc_fixed(root, "large", 1e300, 0);
	document_end(&d, &out);
	CHECK(slice_begins(buf_slice(&out), slice_of("{\"nan\":null,\"large\":1000000000000000")));
	buf_finish(&out);
}

/* Each allocation fails once, cJSON's and the buffers' alike. */
static void without_memory_nothing_of_it_is_written(void)
{
	unsigned sweeps = 0;
	for (bool failed = true; failed; sweeps++) {
		struct buf out;
		buf_init(&out);
		failing = sweeps + 1;
		seen = 0;
		write(&out);
		failed = seen >= failing;
		failing = 0;
		CHECK(buf_failed(&out) == failed && out.len == (failed ? 0 : sizeof whole - 1));
		if (!failed)
			CHECK_SLICE(buf_slice(&out), whole);
		buf_finish(&out);
	}
	CHECK(sweeps > 30); /* cJSON's are among them: two for most members */
}

static void what_has_failed_is_no_part(void)
{
	struct document d;
	struct buf out;
	struct buf part = {.failed = true};
	buf_init(&out);
	struct doc root = document_begin(&d);
	doc_raw_take(root, "part", &part);
	doc_u64(root, "more", 1);
	document_end(&d, &out);
	CHECK(buf_failed(&out) && out.len == 0);
	buf_finish(&out);
}

static void a_value_may_stand_between_two(void)
{
	unsigned sweeps = 0;
	for (bool failed = true; failed; sweeps++) {
		struct document head;
		struct document tail;
		struct buf out;
		failing = sweeps + 1;
		seen = 0;
		buf_init(&out);
		doc_u64(document_begin(&head), "a", 1);
		document_end_head(&head, &out);
		buf_adds(&out, ",\"large\":[]");
		doc_u64(document_begin(&tail), "b", 2);
		document_end_tail(&tail, &out);
		failed = seen >= failing;
		failing = 0;
		CHECK(buf_failed(&out) == failed);
		if (!failed)
			CHECK_SLICE(buf_slice(&out), "{\"a\":1,\"large\":[],\"b\":2}");
		buf_finish(&out);
	}
}

static enum err read_text(const char *text)
{
	struct document d;
	enum err err = document_read(&d, slice_of(text));
	CHECK((err == ERR_NONE) == (document_root(&d).at != NULL));
	document_finish(&d);
	return err;
}

static void what_cannot_be_told_is_refused(void)
{
	static const char *const good[] = {"{}", " [1] \r\n\t", "\"\\\\u0000\"", "-1.5e3", "{\"a\":{\"a\":[null,true]}}"};
	static const char *const bad[] = {"", " ", "{} x", "{}{}", "{\"a\"}", "[1,]", "\"\\u0000\"", "\"a", "\"a\\", "nul"};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		CHECK(read_text(good[i]) == ERR_NONE);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		CHECK(read_text(bad[i]) == ERR_INVALID);
	struct document d;
	CHECK(document_read(&d, (struct slice){"\"a\0b\"", 5}) == ERR_INVALID);
	document_finish(&d);
}

static void it_is_bounded(void)
{
	static char text[2 * DOCUMENT_VALUES_MAX + 3];
	for (int depth = DOCUMENT_DEPTH_MAX; depth <= DOCUMENT_DEPTH_MAX + 1; depth++) {
		memset(text, '[', (size_t)depth);
		memset(text + depth, ']', (size_t)depth);
		text[2 * depth] = '\0';
		CHECK(read_text(text) == (depth > DOCUMENT_DEPTH_MAX ? ERR_INVALID : ERR_NONE));
	}
	for (size_t values = DOCUMENT_VALUES_MAX - 1; values <= DOCUMENT_VALUES_MAX; values++) { /* and the array */
		size_t n = 0;
		for (size_t i = 0; i < values; i++) {
			text[n++] = i == 0 ? '[' : ',';
			text[n++] = '0';
		}
		strcpy(text + n, "]");
		CHECK(read_text(text) == (values == DOCUMENT_VALUES_MAX ? ERR_INVALID : ERR_NONE));
	}
}

static void names_have_a_case_and_the_last_counts(void)
{
	struct document d;
	struct slice text;
	uint64_t n;
	CHECK(document_read(&d, slice_of("{\"a\":1,\"A\":2,\"a\":3,\"t\":\"x\\u00e9\\n\",\"l\":[4,5]}")) == ERR_NONE);
	struct doc root = document_root(&d);
	CHECK(doc_is_object(root) && !doc_is_array(root) && strcmp(doc_key(doc_first(root)), "a") == 0);
	CHECK(doc_get_u64(doc_member(root, "a"), &n) && n == 3);
	CHECK(doc_get_u64(doc_member(root, "A"), &n) && n == 2);
	CHECK(doc_get_text(doc_member(root, "t"), &text));
	CHECK_SLICE(text, "x\xc3\xa9\n");
	struct doc list = doc_member(root, "l");
	CHECK(doc_is_array(list) && doc_get_u64(doc_next(doc_first(list)), &n) && n == 5);
	CHECK(doc_next(doc_next(doc_first(list))).at == NULL);
	CHECK(doc_member(root, "b").at == NULL && doc_member(list, "a").at == NULL && !doc_get_u64(list, &n));
	CHECK(!doc_get_text(doc_member(root, "b"), &text) && !doc_get_text(list, &text) &&
	      doc_first(doc_member(root, "b")).at == NULL);
	document_finish(&d);
}

static void a_number_loses_no_digit(void)
{
	static const char *const bad[] = {
		"9007199254740992", "9007199254740993", "18446744073709551615", "-1", "0.5", "1e400"};
	struct document d;
	uint64_t n;
	CHECK(document_read(&d, slice_of("9007199254740991")) == ERR_NONE);
	CHECK(doc_get_u64(document_root(&d), &n) && n == 9007199254740991);
	document_finish(&d);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		CHECK(document_read(&d, slice_of(bad[i])) == ERR_NONE && !doc_get_u64(document_root(&d), &n));
		document_finish(&d);
	}
}

static void without_memory_it_is_not_called_wrong(void)
{
	enum err err = ERR_NOMEM;
	unsigned sweeps = 0;
	for (; err != ERR_NONE; sweeps++) {
		failing = sweeps + 1;
		seen = 0;
		err = read_text(whole);
		failing = 0;
		CHECK(err == ERR_NONE || err == ERR_NOMEM);
	}
	CHECK(sweeps > 30);
}

int main(void)
{
	RUN(it_is_written_in_order_with_every_digit);
	RUN(what_is_no_number_is_null);
	RUN(without_memory_nothing_of_it_is_written);
	RUN(what_has_failed_is_no_part);
	RUN(a_value_may_stand_between_two);
	RUN(what_cannot_be_told_is_refused);
	RUN(it_is_bounded);
	RUN(names_have_a_case_and_the_last_counts);
	RUN(a_number_loses_no_digit);
	RUN(without_memory_it_is_not_called_wrong);
	return check_end();
}
