#include "base/buf.h"
#include "event/page_build.h"
#include "unit/check.h"

static const char time_text[] = "2026-11-22T18:00:00.123Z";

static void encode(enum encoding form, const struct encoding_event *e, char *out, size_t *len)
{
	size_t envelope = encoding_envelope_size(e);
	*len = encoding_record_size(form, e->seq, "0123456789abcdef", envelope);
	char *end =
		encoding_end(form, e->seq, "0123456789abcdef", encoding_envelope(e, encoding_begin(form, envelope, out)));
	CHECK((size_t)(end - out) == *len);
	struct slice inside = encoding_inside(form, (struct slice){out, *len});
	CHECK(inside.len == envelope && inside.p[0] == '{' && inside.p[inside.len - 1] == '}');
}

static void the_envelope_is_the_contracts(void)
{
	char out[1024];
	size_t len;
	struct buf topic;
	buf_init(&topic);
	encoding_topic(&topic, slice_of("ki\"mi"), slice_of("event"));
	struct encoding_event e = {7, time_text, buf_slice(&topic), slice_of("a\\1"), slice_of("{}")};
	encode(ENCODING_LINE, &e, out, &len);
	CHECK_SLICE(((struct slice){out, len}), "{\"seq\":7,\"time\":\"2026-11-22T18:00:00.123Z\",\"stream\":\"ki\\\"mi\","
						"\"type\":\"event\",\"id\":\"a\\\\1\",\"data\":{}}\n");
	e.id = (struct slice){"", 0};
	encode(ENCODING_SSE, &e, out, &len);
	CHECK_SLICE(((struct slice){out, len}), "data: {\"seq\":7,\"time\":\"2026-11-22T18:00:00.123Z\",\"stream\":"
						"\"ki\\\"mi\",\"type\":\"event\",\"data\":{}}\nid: 7.0123456789abcdef\n\n");
	buf_finish(&topic);
}

static void frames_of_every_length_are_well_formed(void)
{
	static const size_t sizes[] = {1, 30, 40, 125, 126, 1000, 65000, 65535, 65536, 200000};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		char *data = malloc(sizes[i]);
		char *out = malloc(sizes[i] + 300);
		memset(data, '1', sizes[i]);
		struct encoding_event e = {
			1, time_text, slice_of("\"stream\":\"s\",\"type\":\"t\""), {"", 0}, {data, sizes[i]}};
		size_t len;
		encode(ENCODING_WS, &e, out, &len);
		size_t envelope = encoding_envelope_size(&e);
		unsigned char *h = (unsigned char *)out;
		CHECK(h[0] == 0x81);
		if (envelope < 126)
			CHECK(h[1] == envelope);
		else if (envelope <= 0xffff)
			CHECK(h[1] == 126 && (size_t)(h[2] << 8 | h[3]) == envelope);
		else
			CHECK(h[1] == 127 && h[2] == 0 && (size_t)(h[6] << 24 | h[7] << 16 | h[8] << 8 | h[9]) == envelope);
		free(data);
		free(out);
	}
}

static struct page *make_page(uint64_t after, uint32_t count, uint32_t topics)
{
	struct page_builder *b = page_builder_create(ENCODING_WS, "0123456789abcdef", after, 0);
	for (uint32_t i = 0; i < count; i++) {
		struct encoding_event e = {
			after + 1 + i, time_text, slice_of("\"stream\":\"s\",\"type\":\"t\""), {"", 0}, slice_of("1")};
		CHECK(page_builder_add(b, &e, 1000 + i, i % topics) == ERR_NONE);
	}
	return page_builder_take(b, after + count);
}

static void every_form_of_a_page_holds_the_same_envelopes(void)
{
	struct page *p = make_page(98, 5, 2);
	CHECK(page_after(p) == 98 && page_last(p) == 103 && page_count(p) == 5);
	for (enum encoding form = 0; form < ENCODING_OWN; form++) {
		const struct page_encoding *f = page_encoding(p, form);
		for (uint32_t i = 0; i < 5; i++) {
			uint32_t from = i > 0 ? f->ends[i - 1] : 0;
			struct slice inside = encoding_inside(form, (struct slice){f->bytes + from, f->ends[i] - from});
			CHECK(slice_eq(inside, page_envelope(p, i)));
		}
		CHECK(page_encoding(p, form) == f);
	}
	page_unref(p);
}

static void events_of_a_page_are_found(void)
{
	struct page *p = make_page(10, 7, 3);
	uint32_t n;
	enum err err;
	CHECK(page_index(p, 0) == 0 && page_index(p, 10) == 0 && page_index(p, 11) == 1 && page_index(p, 17) == 7);
	const uint32_t *of = page_topic(p, 0, &n, &err);
	CHECK(!err && n == 3 && of[0] == 0 && of[1] == 3 && of[2] == 6);
	of = page_topic(p, 2, &n, &err);
	CHECK(!err && n == 2 && of[0] == 2 && of[1] == 5);
	CHECK(page_topic(p, 9, &n, &err) == NULL && n == 0 && !err);
	page_unref(page_ref(p));
	page_unref(p);
}

int main(void)
{
	RUN(the_envelope_is_the_contracts);
	RUN(frames_of_every_length_are_well_formed);
	RUN(every_form_of_a_page_holds_the_same_envelopes);
	RUN(events_of_a_page_are_found);
	return check_end();
}
