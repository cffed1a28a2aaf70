/* The heap: its first entry is the smallest, whatever is added and removed, and removing costs little on average. */
#include <stdint.h>

#include "base/data/pairing_heap.h"
#include "unit/check.h"

enum { ITEMS = 500, ROUNDS = 100000, MANY = 200000 };

struct item {
	struct pairing_heap_link link;
	uint64_t key;
	bool there;
};

static struct item items[ITEMS];
static struct item many[MANY];

static uint32_t next_random(void)
{
	static uint64_t state = 1;
	state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(state >> 33);
}

static struct pairing_heap_link *at(const void *arg, uint32_t entry)
{
	return &((struct item *)arg)[entry - 1].link;
}

static bool less(const void *arg, uint32_t a, uint32_t b)
{
	const struct item *all = arg;
	return all[a - 1].key < all[b - 1].key;
}

static const struct pairing_heap_order order = {at, less, items};
static const struct pairing_heap_order order_of_many = {at, less, many};

static const struct item *smallest(void)
{
	const struct item *found = NULL;
	for (size_t i = 0; i < ITEMS; i++)
		if (items[i].there && (found == NULL || items[i].key < found->key))
			found = &items[i];
	return found;
}

static void it_agrees_with_a_list(void)
{
	uint32_t first = 0;
	for (int round = 0; round < ROUNDS; round++) {
		/* It fills, empties and fills again. */
		bool fills = round / (ROUNDS / 5) % 2 == 0;
		uint32_t entry = next_random() % ITEMS + 1;
		struct item *item = &items[entry - 1];
		if (!item->there && (fills || next_random() % 4 == 0)) {
			item->key = next_random() % 1000;
			item->there = true;
			pairing_heap_add(&first, entry, &order);
		} else if (item->there && (!fills || next_random() % 4 == 0)) {
			pairing_heap_remove(&first, entry, &order);
			item->there = false;
		}
		const struct item *found = smallest();
		CHECK((found == NULL) == (first == 0));
		CHECK(found == NULL || items[first - 1].key == found->key);
	}
}

/* As retention does: the smallest gets a new key, and another, and each goes at last. */
static void removing_costs_the_logarithm(void)
{
	uint32_t first = 0;
	size_t steps = 0;
	uint64_t key = 0;
	for (size_t i = 0; i < MANY; i++) {
		many[i].key = ++key;
		pairing_heap_add(&first, (uint32_t)i + 1, &order_of_many);
	}
	for (size_t i = 0; i < MANY; i++) {
		steps += pairing_heap_remove(&first, first, &order_of_many);
		if (i % 2 == 0) {
			many[i].key = ++key;
			pairing_heap_add(&first, (uint32_t)i + 1, &order_of_many);
		}
	}
	CHECK(steps < (size_t)MANY * 64);
}

int main(void)
{
	RUN(it_agrees_with_a_list);
	RUN(removing_costs_the_logarithm);
	return check_end();
}
