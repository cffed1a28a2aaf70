#include "base/data/sparse_array.h"

#include <assert.h>
#include <stdlib.h>

static_assert((uint64_t)SPARSE_ARRAY_STRETCH * SPARSE_ARRAY_SHELF * SPARSE_ARRAY_SHELVES == UINT64_C(1) << 32,
	      "every number has a place");

void sparse_array_finish(struct sparse_array *s)
{
	for (int i = 0; i < SPARSE_ARRAY_SHELVES; i++) {
		for (int k = 0; s->shelves[i] != NULL && k < SPARSE_ARRAY_SHELF; k++)
			free(s->shelves[i]->stretches[k]);
		free(s->shelves[i]);
		s->shelves[i] = NULL;
	}
}

bool sparse_array_next(const struct sparse_array *s, uint32_t *number, uint32_t end)
{
	for (uint32_t i = *number; i < end;) {
		const struct sparse_array_stretch *stretch = sparse_array_stretch(s, i);
		if (stretch == NULL) {
			uint64_t next = ((uint64_t)i / SPARSE_ARRAY_STRETCH + 1) * SPARSE_ARRAY_STRETCH;
			i = next < end ? (uint32_t)next : end;
		} else if (atomic_load(&stretch->items[i % SPARSE_ARRAY_STRETCH]) == NULL) {
			i++;
		} else {
			*number = i;
			return true;
		}
	}
	return false;
}

/* Where the stretch of a number is kept. Its shelf is there. */
static struct sparse_array_stretch *_Atomic *place(struct sparse_array *s, uint32_t number)
{
	uint32_t at = number / SPARSE_ARRAY_STRETCH;
	return &s->shelves[at / SPARSE_ARRAY_SHELF]->stretches[at % SPARSE_ARRAY_SHELF];
}

bool sparse_array_reserve(struct sparse_array *s, uint32_t number)
{
	struct sparse_array_shelf *_Atomic *shelf = &s->shelves[number / SPARSE_ARRAY_STRETCH / SPARSE_ARRAY_SHELF];
	if (*shelf == NULL)
		atomic_store(shelf, calloc(1, sizeof **shelf));
	if (*shelf == NULL || *place(s, number) != NULL)
		return *shelf != NULL;
	struct sparse_array_stretch *stretch = calloc(1, sizeof *stretch);
	atomic_store(place(s, number), stretch);
	return stretch != NULL;
}

void sparse_array_put(struct sparse_array *s, uint32_t number, void *item)
{
	struct sparse_array_stretch *stretch = *place(s, number);
	stretch->used++;
	atomic_store_explicit(&stretch->items[number % SPARSE_ARRAY_STRETCH], item, memory_order_release);
}

struct sparse_array_stretch *sparse_array_take(struct sparse_array *s, uint32_t number)
{
	struct sparse_array_stretch *stretch = *place(s, number);
	atomic_store(&stretch->items[number % SPARSE_ARRAY_STRETCH], NULL);
	if (--stretch->used > 0)
		return NULL;
	atomic_store(place(s, number), NULL);
	return stretch;
}
