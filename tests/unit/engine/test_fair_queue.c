/* Who waits to be written takes turns, and nobody's own order changes. */
#include "engine/work/fair_queue.h"
#include "unit/check.h"

enum { ITEMS = 1000, CLIENTS_MAX = 300 };

struct item {
	struct list link;
	uint64_t client;
	int number;
};

static struct fair_queue queue;
static unsigned turn;
static struct item items[ITEMS];

static struct item *take(void)
{
	struct list *bucket = fair_queue_current(&queue, &turn);
	struct item *i = LIST_ITEM(bucket->next, struct item, link);
	fair_queue_remove(&queue, turn, &i->link);
	return i;
}

static void a_flood_does_not_hold_up_others(void)
{
	fair_queue_init(&queue);
	CHECK(fair_queue_empty(&queue));
	for (int i = 0; i < ITEMS; i++) {
		items[i] = (struct item){.client = i < ITEMS - 1 ? 1 : 2, .number = i};
		fair_queue_append(&queue, items[i].client, &items[i].link);
	}
	int before = 0;
	while (take()->client == 1) {
		fair_queue_next(&turn);
		before++;
	}
	CHECK(before <= 1);
}

/* With many more clients than there are buckets it fails without `collided`. */
static void each_keeps_its_order(int clients)
{
	int next[CLIENTS_MAX + 1] = {0};
	int taken = 0;
	fair_queue_init(&queue);
	for (int i = 0; i < ITEMS; i++) {
		uint64_t client = (uint64_t)(i * i + i / 3) % (uint64_t)(clients + 1); /* 0 is nobody */
		items[i] = (struct item){.client = client, .number = i};
		fair_queue_append(&queue, client, &items[i].link);
		if (i % 5 != 0)
			continue;
		struct item *one = take();
		CHECK(one->number >= next[one->client]);
		next[one->client] = one->number + 1;
		fair_queue_next(&turn);
		taken++;
	}
	for (; !fair_queue_empty(&queue); taken++) {
		struct item *one = take();
		CHECK(one->number >= next[one->client]);
		next[one->client] = one->number + 1;
		fair_queue_next(&turn);
	}
	CHECK(taken == ITEMS);
}

static void each_keeps_its_order_among_few_and_many(void)
{
	for (int clients = 1; clients <= CLIENTS_MAX; clients++)
		each_keeps_its_order(clients);
}

static void each_has_a_lane_of_its_own_while_there_are_any(void)
{
	fair_queue_init(&queue);
	for (int i = 0; i < FAIR_QUEUE_BUCKETS; i++) {
		items[i].number = i;
		fair_queue_append(&queue, (uint64_t)i * 7, &items[i].link);
		CHECK(fair_queue_filled(&queue) == i + 1);
	}
}

static void all_can_be_taken_at_once(void)
{
	struct list all;
	int count = 0;
	fair_queue_init(&queue);
	list_init(&all);
	for (int i = 0; i < ITEMS; i++) {
		items[i].number = i;
		fair_queue_append(&queue, (uint64_t)i % 90, &items[i].link);
	}
	fair_queue_take_all(&queue, &all);
	CHECK(fair_queue_empty(&queue));
	LIST_EACH (link, &all)
		count++;
	CHECK(count == ITEMS);
}

int main(void)
{
	RUN(a_flood_does_not_hold_up_others);
	RUN(each_keeps_its_order_among_few_and_many);
	RUN(each_has_a_lane_of_its_own_while_there_are_any);
	RUN(all_can_be_taken_at_once);
	return check_end();
}
