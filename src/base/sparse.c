#include "base/sparse.h"

#include <stdlib.h>

enum { STRETCHES = UINT32_MAX / SPARSE_STRETCH + 1 };

/* Memory of that size is not there before it is written to. */
bool sparse_init(struct sparse *s)
{
	*s = (struct sparse){.stretches = calloc(STRETCHES, sizeof *s->stretches)};
	return s->stretches != NULL;
}

void sparse_finish(struct sparse *s)
{
	for (uint32_t i = 0; i < s->end; i++)
		free(s->stretches[i]);
	free(s->stretches);
	*s = (struct sparse){0};
}

bool sparse_next(const struct sparse *s, uint32_t *number, uint32_t end)
{
	for (uint32_t i = *number; i < end;) {
		const struct sparse_stretch *stretch = atomic_load(&s->stretches[i / SPARSE_STRETCH]);
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

bool sparse_reserve(struct sparse *s, uint32_t number)
{
	uint32_t at = number / SPARSE_STRETCH;
	if (s->stretches[at] != NULL)
		return true;
	struct sparse_stretch *stretch = calloc(1, sizeof *stretch);
	atomic_store(&s->stretches[at], stretch);
	s->end = stretch != NULL && at >= s->end ? at + 1 : s->end;
	return stretch != NULL;
}

void sparse_put(struct sparse *s, uint32_t number, void *item)
{
	struct sparse_stretch *stretch = s->stretches[number / SPARSE_STRETCH];
	stretch->used++;
	atomic_store_explicit(&stretch->items[number % SPARSE_STRETCH], item, memory_order_release);
}

struct sparse_stretch *sparse_take(struct sparse *s, uint32_t number)
{
	struct sparse_stretch *stretch = s->stretches[number / SPARSE_STRETCH];
	atomic_store(&stretch->items[number % SPARSE_STRETCH], NULL);
	if (--stretch->used > 0)
		return NULL;
	atomic_store(&s->stretches[number / SPARSE_STRETCH], NULL);
	return stretch;
}
