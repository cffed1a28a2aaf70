/* Quotas: no client takes so much that the next one finds nothing, and what is given back is there again. */
#include "engine/work/quota.h"
#include "unit/check.h"

enum { ALL = 1000 };

static struct quotas *make(struct quota_limit limit)
{
	struct quota_limit limits[QUOTAS] = {
		[QUOTA_REPLIES] = limit, [QUOTA_UPLOADS] = limit, [QUOTA_SMALL_UPLOADS] = {.all = ALL * QUOTA_SMALL_UPLOAD}};
	struct quotas *q = quotas_create(limits);
	CHECK(q != NULL);
	return q;
}

/* As much as the client gets, one at a time. */
static uint64_t take_all(struct quotas *q, uint64_t client, enum err *why)
{
	uint64_t n = 0;
	while ((*why = quota_take(q, QUOTA_REPLIES, client, 1, NULL)) == ERR_NONE)
		n++;
	return n;
}

static void whoever_comes_next_finds_room(void)
{
	enum err why;
	struct quotas *q = make((struct quota_limit){ALL, 0, 0});
	uint64_t left = ALL;
	for (uint64_t client = 1; client <= 8; client++) { /* each as greedy as can be: half of what the others left */
		uint64_t got = take_all(q, client, &why);
		CHECK(why == ERR_RATE && got == (left + 1) / 2 && quota_room(q, QUOTA_REPLIES, client) == 0);
		left -= got;
		CHECK(left > 0 && quota_read(q, QUOTA_REPLIES).held == ALL - left);
	}
	CHECK(quota_take(q, QUOTA_REPLIES, 9, left, NULL) == ERR_NONE); /* the first thing that it asks for */
	CHECK(quota_take(q, QUOTA_REPLIES, 10, 1, NULL) == ERR_BUSY);
	struct quota_figures f = quota_read(q, QUOTA_REPLIES);
	CHECK(f.refused_share == 8 && f.refused_all == 1 && f.held == ALL && f.limit == ALL);
	quota_give(q, QUOTA_REPLIES, 1, ALL / 2);
	CHECK(quota_take(q, QUOTA_REPLIES, 10, 1, NULL) == ERR_NONE);
	CHECK(quota_take(q, QUOTA_REPLIES, 1, 1, NULL) == ERR_NONE);
	quotas_destroy(q);
}

static void some_may_have_several_times_what_they_leave_free(void)
{
	enum err why;
	struct quotas *q = make((struct quota_limit){ALL, 0, 2});
	CHECK(take_all(q, 1, &why) == 667 && why == ERR_RATE);
	CHECK(take_all(q, 2, &why) == 222 && why == ERR_RATE);
	CHECK(take_all(q, 3, &why) == 74 && why == ERR_RATE);
	quotas_destroy(q);
}

/* Others are about to give some back: that there is none left does not matter, that it is more than the client's share does.
 */
static void what_is_taken_early_counts_as_any_other(void)
{
	enum err why;
	struct quotas *q = make((struct quota_limit){ALL, 600, 0});
	CHECK(take_all(q, 1, &why) == 600 && take_all(q, 2, &why) == 400 && why == ERR_BUSY);
	CHECK(quota_take_early(q, QUOTA_REPLIES, 1, 1, NULL) == ERR_RATE);
	CHECK(quota_take_early(q, QUOTA_REPLIES, 2, 1, NULL) == ERR_NONE && quota_read(q, QUOTA_REPLIES).held == ALL + 1);
	CHECK(quota_take(q, QUOTA_REPLIES, 3, 1, NULL) == ERR_BUSY);
	quota_give(q, QUOTA_REPLIES, 1, 2);
	CHECK(quota_take(q, QUOTA_REPLIES, 3, 1, NULL) == ERR_NONE);
	quotas_destroy(q);
}

static void nobody_in_particular_counts_among_all_only(void)
{
	enum err why;
	struct quotas *q = make((struct quota_limit){ALL, 0, 0});
	CHECK(take_all(q, 0, &why) == ALL && why == ERR_BUSY);
	quota_give(q, QUOTA_REPLIES, 0, ALL);
	CHECK(quota_read(q, QUOTA_REPLIES).held == 0);
	/* It was held to half of what is free when it grew. */
	struct quota_hold h = {q, 0, 0, 0};
	CHECK(quota_take(q, QUOTA_REPLIES, 1, 1, NULL) == ERR_NONE);
	CHECK(quota_hold(&h, QUOTA_REPLIES, ALL / 4, NULL) == ERR_NONE);
	CHECK(quota_hold(&h, QUOTA_REPLIES, ALL - 1, NULL) == ERR_NONE);
	quota_hold(&h, QUOTA_REPLIES, 0, NULL);
	quotas_destroy(q);
}

static void a_limit_for_each_client_takes_the_place_of_its_share(void)
{
	enum err why;
	struct quotas *q = make((struct quota_limit){ALL, 700, 0});
	CHECK(take_all(q, 1, &why) == 700 && why == ERR_RATE);
	CHECK(take_all(q, 2, &why) == 300 && why == ERR_BUSY);
	quotas_destroy(q);
	q = make((struct quota_limit){ALL, UINT64_MAX, 0});
	CHECK(take_all(q, 1, &why) == ALL && why == ERR_BUSY);
	quotas_destroy(q);
}

static void what_is_larger_than_all_passes_alone(void)
{
	struct quotas *q = make((struct quota_limit){ALL, 0, 0});
	CHECK(quota_take(q, QUOTA_REPLIES, 1, 5 * ALL, NULL) == ERR_NONE);
	CHECK(quota_take(q, QUOTA_REPLIES, 2, 1, NULL) == ERR_BUSY && quota_room(q, QUOTA_REPLIES, 2) == 0);
	quota_give(q, QUOTA_REPLIES, 1, 5 * ALL);
	CHECK(quota_take(q, QUOTA_REPLIES, 2, 1, NULL) == ERR_NONE);
	CHECK(quota_take(q, QUOTA_REPLIES, 1, 5 * ALL, NULL) == ERR_BUSY);
	quotas_destroy(q);
}

/* A client with something small under way is no worse off than one with nothing. */
static void next_to_nothing_is_nothing(void)
{
	enum { LARGE = 1 << 20 };
	struct quotas *q = make((struct quota_limit){16 * LARGE, 0, 0});
	CHECK(quota_take(q, QUOTA_REPLIES, 1, 5 * LARGE, NULL) == ERR_NONE &&
	      quota_take(q, QUOTA_REPLIES, 2, 5 * LARGE, NULL) == ERR_NONE);
	CHECK(quota_take(q, QUOTA_REPLIES, 3, 1000, NULL) == ERR_NONE &&
	      quota_take(q, QUOTA_REPLIES, 3, 5 * LARGE, NULL) == ERR_NONE);
	CHECK(quota_take(q, QUOTA_REPLIES, 3, 1000, NULL) == ERR_RATE);
	quota_give(q, QUOTA_REPLIES, 3, 5 * LARGE + 1000);
	CHECK(quota_take(q, QUOTA_REPLIES, 3, LARGE, NULL) == ERR_NONE &&
	      quota_take(q, QUOTA_REPLIES, 3, 3 * LARGE, NULL) == ERR_RATE);
	quotas_destroy(q);
}

static void what_is_held_grows_shrinks_and_changes_its_kind(void)
{
	enum { LARGE = 1 << 20 };
	struct quotas *q = make((struct quota_limit){4 * LARGE, 0, 0});
	struct quota_hold a = {.quotas = q, .client = 1};
	struct quota_hold b = {.quotas = q, .client = 1};
	struct fault fault;
	CHECK(quota_hold_upload(&a, 100, NULL) == ERR_NONE && quota_read(q, QUOTA_SMALL_UPLOADS).held == 100);
	CHECK(quota_hold_upload(&a, LARGE, NULL) == ERR_NONE && quota_read(q, QUOTA_SMALL_UPLOADS).held == 0);
	CHECK(quota_hold_upload(&a, 2 * LARGE, NULL) == ERR_NONE && quota_read(q, QUOTA_UPLOADS).held == 2 * LARGE);
	/* The client has its share: what is small passes all the same. */
	CHECK(quota_hold_upload(&b, QUOTA_SMALL_UPLOAD, NULL) == ERR_NONE);
	CHECK(quota_hold_upload(&b, QUOTA_SMALL_UPLOAD + 1, &fault) == ERR_RATE && fault.code == ERR_RATE);
	CHECK(b.amount == QUOTA_SMALL_UPLOAD && quota_read(q, QUOTA_SMALL_UPLOADS).held == QUOTA_SMALL_UPLOAD);
	CHECK(quota_hold_upload(&a, LARGE, NULL) == ERR_NONE && quota_hold_upload(&b, LARGE, NULL) == ERR_NONE);
	CHECK(quota_hold_upload(&a, 0, NULL) == ERR_NONE);
	CHECK(quota_hold_upload(&b, 4 * LARGE, NULL) == ERR_NONE); /* the only one may have all that is free */
	CHECK(quota_hold_upload(&a, QUOTA_SMALL_UPLOAD + 1, NULL) == ERR_RATE);
	CHECK(quota_hold_upload(&a, 0, NULL) == ERR_NONE && quota_hold_upload(&b, 0, NULL) == ERR_NONE);
	CHECK(quota_read(q, QUOTA_UPLOADS).held == 0 && quota_read(q, QUOTA_SMALL_UPLOADS).held == 0);
	quotas_destroy(q);
}

static void whoever_waits_is_seen(void)
{
	struct quotas *q = make((struct quota_limit){ALL, 0, 0});
	CHECK(!quota_is_wanted(q, QUOTA_REPLIES));
	quota_wait(q, QUOTA_REPLIES);
	CHECK(quota_is_wanted(q, QUOTA_REPLIES) && !quota_is_wanted(q, QUOTA_UPLOADS));
	quota_wait_end(q, QUOTA_REPLIES);
	CHECK(!quota_is_wanted(q, QUOTA_REPLIES));
	quota_refuse(q, QUOTA_REPLIES, 1, NULL);
	CHECK(quota_is_wanted(q, QUOTA_REPLIES));
	quotas_destroy(q);
}

int main(void)
{
	RUN(whoever_comes_next_finds_room);
	RUN(some_may_have_several_times_what_they_leave_free);
	RUN(what_is_taken_early_counts_as_any_other);
	RUN(nobody_in_particular_counts_among_all_only);
	RUN(a_limit_for_each_client_takes_the_place_of_its_share);
	RUN(what_is_larger_than_all_passes_alone);
	RUN(next_to_nothing_is_nothing);
	RUN(what_is_held_grows_shrinks_and_changes_its_kind);
	RUN(whoever_waits_is_seen);
	return check_end();
}
