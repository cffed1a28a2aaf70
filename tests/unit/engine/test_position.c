/* Where a reader begins, and the gap where that is not possible. */
#include "engine/read/position.h"
#include "unit/engine/engine.h"

static void positions_that_cannot_be_honoured_are_gaps(void)
{
	struct gap gap;
	uint64_t after;
	engine_set_up(1 << 20);
	CHECK(engine_publish("{\"data\":1}\n{\"data\":2}") == ERR_NONE);
	CHECK(!position_resolve(feed_store(feed), feed_head(feed), (struct position){.after = 2}, NULL, &after, &gap) &&
	      after == 2);
	CHECK(!position_resolve(feed_store(feed), feed_head(feed), (struct position){.from_head = true}, NULL, &after,
				&gap) &&
	      after == 2);
	CHECK(!position_resolve(feed_store(feed), feed_head(feed), (struct position){.from_first = true}, NULL, &after,
				&gap) &&
	      after == 0);
	CHECK(position_resolve(feed_store(feed), feed_head(feed), (struct position){.after = 3}, NULL, &after, &gap) &&
	      after == 2 && gap.reason == GAP_AHEAD);
	struct position other = {.after = 1};
	position_set_epoch(&other, slice_of("another"));
	CHECK(position_resolve(feed_store(feed), feed_head(feed), other, NULL, &after, &gap));
	CHECK(after == 0 && gap.reason == GAP_EPOCH && gap.requested == 1 && gap.first == 1);
	engine_tear_down();
}

int main(void)
{
	RUN(positions_that_cannot_be_honoured_are_gaps);
	return check_end();
}
