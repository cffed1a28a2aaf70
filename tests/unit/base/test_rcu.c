/* What is retired stays as long as anybody reads who may have seen it, and no longer. */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/data/rcu.h"
#include "base/data/sparse_array.h"
#include "unit/check.h"

enum { READERS = 3, ROUNDS = 20000, SLOTS = 8, GOOD = 0x600d };

struct item {
	struct rcu_link retired;
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
	struct rcu g = {0};
	freed = 0;
	unsigned first = rcu_enter(&g);
	rcu_retire(&g, make(), sizeof(struct item));
	rcu_free(&g, on_free, NULL);
	rcu_free(&g, on_free, NULL);
	CHECK(freed == 0);
	unsigned second = rcu_enter(&g); /* came too late to have seen it */
	rcu_leave(&g, first);
	rcu_free(&g, on_free, NULL);
	CHECK(freed == 1);
	rcu_retire(&g, make(), sizeof(struct item));
	unsigned inner = rcu_enter(&g);
	rcu_leave(&g, second);
	rcu_free(&g, on_free, NULL);
	CHECK(freed == 1);
	rcu_leave(&g, inner);
	rcu_free(&g, on_free, NULL);
	CHECK(freed == 2 && g.now == NULL && g.before == NULL);
}

static struct rcu shared;
static struct sparse_array slots;
static atomic_bool stop;

static void *read_slots(void *arg)
{
	uint64_t *seen = arg;
	while (!atomic_load(&stop)) {
		unsigned entered = rcu_enter(&shared);
		for (uint32_t i = 0; i < SLOTS; i++) {
			const struct item *item = sparse_array_at(&slots, i * SPARSE_ARRAY_STRETCH);
			CHECK(item == NULL || item->value == GOOD);
			*seen += item != NULL;
		}
		rcu_leave(&shared, entered);
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
		uint32_t at = round % SLOTS * SPARSE_ARRAY_STRETCH;
		struct item *old = sparse_array_at(&slots, at);
		struct sparse_array_stretch *stretch = old != NULL ? sparse_array_take(&slots, at) : NULL;
		if (old != NULL)
			rcu_retire(&shared, old, sizeof *old);
		if (stretch != NULL)
			rcu_retire(&shared, stretch, sizeof *stretch);
		CHECK(sparse_array_reserve(&slots, at));
		sparse_array_put(&slots, at, make());
		rcu_free(&shared, free_any, NULL);
	}
	atomic_store(&stop, true);
	for (int i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	rcu_free(&shared, free_any, NULL);
	CHECK(shared.now == NULL && shared.before == NULL);
	for (uint32_t i = 0; i < SLOTS; i++)
		free(sparse_array_at(&slots, i * SPARSE_ARRAY_STRETCH));
	sparse_array_finish(&slots);
}

int main(void)
{
	RUN(readers_hold_up_what_they_may_see);
	RUN(nobody_sees_what_is_freed);
	return check_end();
}
