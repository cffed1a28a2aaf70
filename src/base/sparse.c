#include "base/sparse.h"

#include <assert.h>
#include <stdlib.h>

static_assert((uint64_t)SPARSE_STRETCH * SPARSE_SHELF * SPARSE_SHELVES == UINT64_C(1) << 32, "every number has a place");

void sparse_finish(struct sparse *s)
{
	for (int i = 0; i < SPARSE_SHELVES; i++) {
		for (int k = 0; s->shelves[i] != NULL && k < SPARSE_SHELF; k++)
			free(s->shelves[i]->stretches[k]);
		free(s->shelves[i]);
		s->shelves[i] = NULL;
	}
}

bool sparse_next(const struct sparse *s, uint32_t *number, uint32_t end)
{
	for (uint32_t i = *number; i < end;) {
		const struct sparse_stretch *stretch = sparse_stretch(s, i);
		if (stretch == NULL) {
			uint64_t next = ((uint64_t)i / SPARSE_STRETCH + 1) * SPARSE_STRETCH;
			i = next < end ? (uint32_t)next : end;
		} else if (atomic_load(&stretch->items[i % SPARSE_STRETCH]) == NULL) {
			i++;
		} else {
			*number = i;
			return true;
		}
	}
	return false;
}

/* Where the stretch of a number is kept. Its shelf is there. */
static struct sparse_stretch *_Atomic *place(struct sparse *s, uint32_t number)
{
	uint32_t at = number / SPARSE_STRETCH;
	return &s->shelves[at / SPARSE_SHELF]->stretches[at % SPARSE_SHELF];
}

bool sparse_reserve(struct sparse *s, uint32_t number)
{
	struct sparse_shelf *_Atomic *shelf = &s->shelves[number / SPARSE_STRETCH / SPARSE_SHELF];
	if (*shelf == NULL)
		atomic_store(shelf, calloc(1, sizeof **shelf));
	if (*shelf == NULL || *place(s, number) != NULL)
		return *shelf != NULL;
	struct sparse_stretch *stretch = calloc(1, sizeof *stretch);
	atomic_store(place(s, number), stretch);
	return stretch != NULL;
}

void sparse_put(struct sparse *s, uint32_t number, void *item)
{
	struct sparse_stretch *stretch = *place(s, number);
	stretch->used++;
	atomic_store_explicit(&stretch->items[number % SPARSE_STRETCH], item, memory_order_release);
}

struct sparse_stretch *sparse_take(struct sparse *s, uint32_t number)
{
	struct sparse_stretch *stretch = *place(s, number);
	atomic_store(&stretch->items[number % SPARSE_STRETCH], NULL);
	if (--stretch->used > 0)
		return NULL;
	atomic_store(place(s, number), NULL);
	return stretch;
}
