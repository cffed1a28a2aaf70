/* Answers to publishers that do not read them yet. */
#include "engine/work/ack_list.h"
#include "unit/check.h"

static struct ack take(struct acks *a, struct buf *text)
{
	struct ack ack;
	acks_take(a, &ack, text);
	return ack;
}

static void answers_come_back_as_they_were(void)
{
	enum { COUNT = 20000 };
	struct acks a;
	struct buf own;
	char text[ACKS_TEXT_MAX + 1];
	buf_init(&own);
	acks_init(&a, NULL, 0);
	for (int turn = 0; turn < 3; turn++) {
		for (uint64_t i = 0; i < COUNT; i++) { /* more texts than have a number, long ones and none */
			int len = snprintf(text, sizeof text, "\"%0*d\"", (int)(i % 7 * 150 + 1), (int)(i % 100));
			struct slice words = i % 3 == 0 ? (struct slice){NULL, 0} : (struct slice){text, (size_t)len};
			struct ack ack = {(enum ack_kind)(i % 3), i * i % 9007199254740991u, words};
			CHECK(acks_add(&a, &ack));
		}
		CHECK(a.bytes > 0);
		for (uint64_t i = 0; i < COUNT; i++) {
			int len = snprintf(text, sizeof text, "\"%0*d\"", (int)(i % 7 * 150 + 1), (int)(i % 100));
			CHECK(!acks_empty(&a));
			struct ack ack = take(&a, &own);
			CHECK(ack.kind == (enum ack_kind)(i % 3));
			CHECK(ack.kind == ACK_REFUSED || ack.seq == i * i % 9007199254740991u);
			CHECK(i % 3 == 0 ? ack.text.p == NULL : slice_eq(ack.text, (struct slice){text, (size_t)len}));
		}
		CHECK(acks_empty(&a) && a.bytes == 0);
	}
	acks_finish(&a);
	buf_finish(&own);
}

static void an_hour_of_answers_is_small(void)
{
	enum { HOUR = 3600 * 1000 };
	struct acks a;
	acks_init(&a, NULL, 0);
	for (uint64_t i = 0; i < HOUR; i++) { /* a thousand a second, and as many of others in between */
		struct ack ack = {ACK_STORED, 2 * i, slice_of(i % 2 == 0 ? "\"api_request\"" : "\"error\"")};
		CHECK(acks_add(&a, &ack));
	}
	CHECK(a.bytes < 8 * 1024 * 1024);
	acks_finish(&a);
	CHECK(a.bytes == 0);
}

int main(void)
{
	RUN(answers_come_back_as_they_were);
	RUN(an_hour_of_answers_is_small);
	return check_end();
}
