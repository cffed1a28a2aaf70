/* Sums of events: added, taken out again, saved. */
#include "profiles/monitoring/state/series.h"
#include "profiles/monitoring/state/tally.h"
#include "unit/check.h"
#include "unit/profiles/sample_flat.h"

static void what_is_added_can_be_taken_out(void)
{
	struct tally t = {0};
	struct flat events[] = {sample_flat("send", 10, 1.5, 1000), sample_flat("receive", 20, 0, 2000),
				sample_flat("error", 5, 2.5, 3000)};
	struct tally steps[3];
	for (int i = 0; i < 3; i++) {
		steps[i] = t;
		tally_add(&t, &events[i]);
	}
	CHECK(t.events == 3 && t.sent_bytes == 10 && t.received_bytes == 20 && t.errors == 1 && t.last_ms == 3000);
	CHECK(tally_mean_ms(&t) == 2);
	for (int i = 2; i >= 0; i--) {
		tally_remove(&t, &events[i]);
		t.last_ms = steps[i].last_ms;
		CHECK(memcmp(&t, &steps[i], sizeof t) == 0);
	}
}

static void connections_open_and_close(void)
{
	struct tally t = {0};
	struct flat e = sample_flat("connect", 0, 0, 1);
	e.service = SERVICE_WEBSOCKET;
	tally_add(&t, &e);
	tally_add(&t, &e);
	e.direction = slice_of("disconnect");
	for (int i = 0; i < 3; i++)
		tally_add(&t, &e);
	CHECK(t.open == 0 && t.events == 5);
}

static void a_tally_is_saved_and_loaded(void)
{
	struct tally t = {1, 2, 3, 4, 5, 6, 7, 8};
	struct tally again;
	struct buf text;
	buf_init(&text);
	tally_save(&text, &t);
	CHECK_SLICE(buf_slice(&text), "[1,2,3,4,5,6,7,8]");
	CHECK(tally_load(buf_slice(&text), &again) && memcmp(&t, &again, sizeof t) == 0);
	static const char *const bad[] = {
		"", "[", "[1,2,3]", "[1,2,3,4,5,6,7,8,9]", "[1,2,3,4,5,6,7,-8]", "{}", "[1,2,3,4,5,6,7,x]"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		CHECK(!tally_load(slice_of(bad[i]), &again));
	buf_finish(&text);
}

static void what_counts_as_an_error(void)
{
	struct tally t = {0};
	struct minute m = {0};
	struct flat e = sample_flat("receive", 0, 0, 1000);
	e.error = slice_of("boom");
	tally_add(&t, &e);
	minute_add(&m, &e);
	e.direction = slice_of("error");
	tally_add(&t, &e);
	e.error = (struct slice){NULL, 0};
	tally_add(&t, &e);
	e.direction = slice_of("send");
	e.error = slice_of("");
	tally_add(&t, &e);
	minute_add(&m, &e);
	CHECK(t.events == 4 && t.errors == 3 && m.events == 2 && m.errors == 1);
}

int main(void)
{
	RUN(what_is_added_can_be_taken_out);
	RUN(connections_open_and_close);
	RUN(a_tally_is_saved_and_loaded);
	RUN(what_counts_as_an_error);
	return check_end();
}
