/* What is retired stays as long as anybody reads who may have seen it, and no longer. */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/cells.h"
#include "base/grace.h"
#include "base/sparse.h"
#include "check.h"

enum { READERS = 3, ROUNDS = 20000, SLOTS = 8, GOOD = 0x600d };

struct item {
	struct grace_link retired;
	int value;
};

static int freed;

static void on_free(void *arg, void *item, size_t size)
{
	(void)arg;
	CHECK(size == sizeof(struct item));
	((struct item *)item)->value = 0;
	free(item);
	freed++;
}

static struct item *make(void)
{
	struct item *item = malloc(sizeof *item);
	CHECK(item != NULL);
	item->value = GOOD;
	return item;
}

static void readers_hold_up_what_they_may_see(void)
{
	struct grace g = {0};
	freed = 0;
	unsigned first = grace_enter(&g);
	grace_retire(&g, make(), sizeof(struct item));
	grace_free(&g, on_free, NULL);
	grace_free(&g, on_free, NULL);
	CHECK(freed == 0);
	unsigned second = grace_enter(&g); /* came too late to have seen it */
	grace_leave(&g, first);
	grace_free(&g, on_free, NULL);
	CHECK(freed == 1);
	grace_retire(&g, make(), sizeof(struct item));
	unsigned inner = grace_enter(&g);
	grace_leave(&g, second);
	grace_free(&g, on_free, NULL);
	CHECK(freed == 1);
	grace_leave(&g, inner);
	grace_free(&g, on_free, NULL);
	CHECK(freed == 2 && g.now == NULL && g.before == NULL);
}

static struct grace shared;
static struct sparse slots;
static atomic_bool stop;

static void *read_slots(void *arg)
{
	uint64_t *seen = arg;
	while (!atomic_load(&stop)) {
		unsigned entered = grace_enter(&shared);
		for (uint32_t i = 0; i < SLOTS; i++) {
			const struct item *item = sparse_at(&slots, i * SPARSE_STRETCH);
			CHECK(item == NULL || item->value == GOOD);
			*seen += item != NULL;
		}
		grace_leave(&shared, entered);
	}
	return NULL;
}

static void free_any(void *arg, void *item, size_t size)
{
	if (size == sizeof(struct item))
		on_free(arg, item, size);
	else
		free(item);
}

/* Fails, and AddressSanitizer sees it, when what is retired is freed at once. */
static void nobody_sees_what_is_freed(void)
{
	pthread_t threads[READERS];
	uint64_t seen[READERS] = {0};
	for (int i = 0; i < READERS; i++)
		CHECK(pthread_create(&threads[i], NULL, read_slots, &seen[i]) == 0);
	for (uint32_t round = 0; round < ROUNDS; round++) {
		uint32_t at = round % SLOTS * SPARSE_STRETCH;
		struct item *old = sparse_at(&slots, at);
		struct sparse_stretch *stretch = old != NULL ? sparse_take(&slots, at) : NULL;
		if (old != NULL)
			grace_retire(&shared, old, sizeof *old);
		if (stretch != NULL)
			grace_retire(&shared, stretch, sizeof *stretch);
		CHECK(sparse_reserve(&slots, at));
		sparse_put(&slots, at, make());
		grace_free(&shared, free_any, NULL);
	}
	atomic_store(&stop, true);
	for (int i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	grace_free(&shared, free_any, NULL);
	CHECK(shared.now == NULL && shared.before == NULL);
	for (uint32_t i = 0; i < SLOTS; i++)
		free(sparse_at(&slots, i * SPARSE_STRETCH));
	sparse_finish(&slots);
}

static void numbers_are_found_in_order(void)
{
	static const uint32_t numbers[] = {0, 1, SPARSE_STRETCH - 1, SPARSE_STRETCH, 5000000, UINT32_MAX - 1};
	enum { NUMBERS = sizeof numbers / sizeof *numbers };
	static struct sparse s;
	for (int i = 0; i < NUMBERS; i++) {
		CHECK(sparse_reserve(&s, numbers[i]));
		sparse_put(&s, numbers[i], (void *)&numbers[i]);
	}
	int found = 0;
	for (uint32_t n = 0; sparse_next(&s, &n, UINT32_MAX); n++)
		CHECK(n == numbers[found] && sparse_at(&s, n) == &numbers[found++]);
	CHECK(found == NUMBERS && sparse_at(&s, 2) == NULL && sparse_at(&s, 4000000000) == NULL);
	uint32_t n = SPARSE_STRETCH + 1;
	CHECK(!sparse_next(&s, &n, 5000000));
	free(sparse_take(&s, 5000000));
	CHECK(sparse_at(&s, 5000000) == NULL && sparse_take(&s, 0) == NULL && sparse_at(&s, 1) == &numbers[1]);
	sparse_finish(&s);
}

static void cells_come_back(void)
{
	struct cells c = {0};
	char *first = cells_take(&c, 100);
	char *second = cells_take(&c, 101);
	CHECK(first != NULL && second == first + 104);
	cells_give(&c, first, 100);
	CHECK(cells_take(&c, 97) == first && cells_take(&c, 97) != first);
	for (int i = 0; i < 1000; i++)
		CHECK(cells_take(&c, CELLS_MAX) != NULL);
	cells_finish(&c);
}

int main(void)
{
	RUN(readers_hold_up_what_they_may_see);
	RUN(nobody_sees_what_is_freed);
	RUN(numbers_are_found_in_order);
	RUN(cells_come_back);
}
