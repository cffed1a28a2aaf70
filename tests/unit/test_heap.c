/* The heap: its first entry is the smallest, whatever is added and removed, and removing costs little on average. */
#include <stdint.h>

#include "base/heap.h"
#include "check.h"

enum { ITEMS = 500, ROUNDS = 100000, MANY = 200000 };

struct item {
	struct heap_link link;
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

static bool less(const struct heap_link *a, const struct heap_link *b)
{
	return HEAP_ITEM(a, struct item, link)->key < HEAP_ITEM(b, struct item, link)->key;
}

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
	struct heap_link *first = NULL;
	for (int round = 0; round < ROUNDS; round++) {
		/* It fills, empties and fills again. */
		bool fills = round / (ROUNDS / 5) % 2 == 0;
		struct item *item = &items[next_random() % ITEMS];
		if (!item->there && (fills || next_random() % 4 == 0)) {
			item->key = next_random() % 1000;
			item->there = true;
			heap_add(&first, &item->link, less);
		} else if (item->there && (!fills || next_random() % 4 == 0)) {
			heap_remove(&first, &item->link, less);
			item->there = false;
		}
		const struct item *found = smallest();
		CHECK((found == NULL) == (first == NULL));
		CHECK(found == NULL || HEAP_ITEM(first, struct item, link)->key == found->key);
	}
}

/* As retention does: the smallest gets a new key, and another, and each goes at last. */
static void removing_costs_the_logarithm(void)
{
	struct heap_link *first = NULL;
	size_t steps = 0;
	uint64_t key = 0;
	for (size_t i = 0; i < MANY; i++) {
		many[i].key = ++key;
		heap_add(&first, &many[i].link, less);
	}
	for (size_t i = 0; i < MANY; i++) {
		steps += heap_remove(&first, first, less);
		if (i % 2 == 0) {
			many[i].key = ++key;
			heap_add(&first, &many[i].link, less);
		}
	}
	CHECK(steps < (size_t)MANY * 64);
}

int main(void)
{
	RUN(it_agrees_with_a_list);
	RUN(removing_costs_the_logarithm);
	return 0;
}
