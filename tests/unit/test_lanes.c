/* Who waits to be written takes turns, and nobody's own order changes. */
#include "check.h"
#include "hub/lanes.h"

enum { ITEMS = 1000, CLIENTS = 7 };

struct item {
	struct list link;
	uint64_t client;
	int number;
};

static struct lanes lanes;
static struct item items[ITEMS];

static struct item *take(void)
{
	struct list *lane = lanes_current(&lanes);
	struct item *i = LIST_ITEM(lane->next, struct item, link);
	lanes_remove(&lanes, &i->link);
	return i;
}

static void a_flood_does_not_hold_up_others(void)
{
	lanes_init(&lanes);
	CHECK(lanes_empty(&lanes));
	for (int i = 0; i < ITEMS; i++) {
		items[i] = (struct item){.client = i < ITEMS - 1 ? 1 : 2, .number = i};
		lanes_append(&lanes, items[i].client, &items[i].link);
	}
	int before = 0;
	while (take()->client == 1) {
		lanes_next(&lanes);
		before++;
	}
	CHECK(before <= 1);
}

static void each_keeps_its_order(void)
{
	int next[CLIENTS + 1] = {0};
	int taken = 0;
	lanes_init(&lanes);
	for (int i = 0; i < ITEMS; i++) {
		uint64_t client = (uint64_t)(i * i + i / 3) % (CLIENTS + 1); /* 0 is nobody */
		items[i] = (struct item){.client = client, .number = i};
		lanes_append(&lanes, client, &items[i].link);
		if (i % 5 != 0)
			continue;
		struct item *one = take();
		CHECK(one->number >= next[one->client]);
		next[one->client] = one->number + 1;
		lanes_next(&lanes);
		taken++;
	}
	for (; !lanes_empty(&lanes); taken++) {
		struct item *one = take();
		CHECK(one->number >= next[one->client]);
		next[one->client] = one->number + 1;
		lanes_next(&lanes);
	}
	CHECK(taken == ITEMS);
}

static void all_can_be_taken_at_once(void)
{
	struct list all;
	int count = 0;
	lanes_init(&lanes);
	list_init(&all);
	for (int i = 0; i < ITEMS; i++) {
		items[i].number = i;
		lanes_append(&lanes, (uint64_t)i % 90, &items[i].link);
	}
	lanes_take_all(&lanes, &all);
	CHECK(lanes_empty(&lanes));
	LIST_EACH (link, &all)
		count++;
	CHECK(count == ITEMS);
}

int main(void)
{
	RUN(a_flood_does_not_hold_up_others);
	RUN(each_keeps_its_order);
	RUN(all_can_be_taken_at_once);
	return 0;
}
