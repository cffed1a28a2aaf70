/* Filters by stream, type and pattern: what they pass, and their text. */
#include "base/buf.h"
#include "event/filter.h"
#include "unit/check.h"

static void filters_pass_any_of_each(void)
{
	struct filter *f = filter_create();
	CHECK(filter_is_open(f) && filter_is_open(NULL));
	CHECK(filter_match(f, slice_of("s"), slice_of("t")));
	CHECK(filter_add_stream(f, slice_of("s")) == ERR_NONE && filter_add_stream(f, slice_of("r")) == ERR_NONE &&
	      filter_add_type(f, slice_of("t")) == ERR_NONE);
	CHECK(filter_match(f, slice_of("r"), slice_of("t")));
	CHECK(!filter_match(f, slice_of("x"), slice_of("t")) && !filter_match(f, slice_of("s"), slice_of("u")));
	filter_destroy(f);
}

static void filters_are_written_and_read(void)
{
	static const char *const bad[] = {"{", "[]", "{}", "5"};
	struct filter *f = filter_create();
	struct filter *again;
	struct buf text;
	enum err err = ERR_NONE;
	int names = 0;
	for (; !err; names++)
		err = filter_add_stream(f, slice_of("s"));
	CHECK(err == ERR_TOO_LARGE && names > 1);
	buf_init(&text);
	filter_write(&text, f);
	CHECK(filter_read(buf_slice(&text), &again) == ERR_NONE && filter_match(again, slice_of("s"), slice_of("t")));
	CHECK(!filter_match(again, slice_of("r"), slice_of("t")));
	filter_destroy(again);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		CHECK(filter_read(slice_of(bad[i]), &again) == ERR_INVALID && again == NULL);
	buf_finish(&text);
	filter_destroy(f);
}

static void patterns_are_names_or_their_beginnings(void)
{
	CHECK(filter_pattern_fits(slice_of("a"), slice_of("a")));
	CHECK(!filter_pattern_fits(slice_of("a"), slice_of("ab")));
	CHECK(filter_pattern_fits(slice_of("a*"), slice_of("ab")) && filter_pattern_fits(slice_of("a*"), slice_of("a")));
	CHECK(filter_pattern_fits(slice_of("*"), slice_of("")) && filter_pattern_fits(slice_of("*"), slice_of("x")));
	CHECK(!filter_pattern_fits(slice_of("a*c"), slice_of("abc")));
	struct filter *f = filter_create();
	CHECK(filter_is_open(f) && filter_add_pattern(f, slice_of("a*")) == ERR_NONE && !filter_is_open(f));
	CHECK(filter_match(f, slice_of("ab"), slice_of("t")) && !filter_match(f, slice_of("b"), slice_of("t")));
	CHECK(filter_add_stream(f, slice_of("b")) == ERR_NONE && !filter_match(f, slice_of("b"), slice_of("t")));
	filter_destroy(f);
}

int main(void)
{
	RUN(filters_pass_any_of_each);
	RUN(filters_are_written_and_read);
	RUN(patterns_are_names_or_their_beginnings);
	return check_end();
}
