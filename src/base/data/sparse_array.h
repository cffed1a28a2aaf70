/* An array of pointers by number in which most may be missing: it takes memory for the stretches in use only. Numbers are
 * read without a lock, also while one thread changes them; an item that a reader has found may be taken out meanwhile: the
 * caller must keep it alive (base/data/rcu.h). */
#ifndef BASE_DATA_SPARSE_ARRAY_H
#define BASE_DATA_SPARSE_ARRAY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/data/rcu.h"

enum { SPARSE_ARRAY_STRETCH = 4096 };

struct sparse_array_stretch {
	struct rcu_link retired;
	uint32_t used; /* the changing thread's own */
	void *_Atomic items[SPARSE_ARRAY_STRETCH];
};

enum { SPARSE_ARRAY_SHELF = 1024, SPARSE_ARRAY_SHELVES = 1024 };

/* Stretches that are numbered one after another. Stays until the end. */
struct sparse_array_shelf {
	struct sparse_array_stretch *_Atomic stretches[SPARSE_ARRAY_SHELF];
};

/* Zeroed, it is empty. */
struct sparse_array {
	struct sparse_array_shelf *_Atomic shelves[SPARSE_ARRAY_SHELVES];
};

/* Frees the stretches, not the items. */
void sparse_array_finish(struct sparse_array *s);

/* The stretch of a number; NULL where there is none. */
static inline struct sparse_array_stretch *sparse_array_stretch(const struct sparse_array *s, uint32_t number)
{
	const uint32_t at = number / SPARSE_ARRAY_STRETCH;
	const struct sparse_array_shelf *shelf =
		atomic_load_explicit(&s->shelves[at / SPARSE_ARRAY_SHELF], memory_order_acquire);
	return shelf != NULL ? atomic_load_explicit(&shelf->stretches[at % SPARSE_ARRAY_SHELF], memory_order_acquire) : NULL;
}

/* NULL where there is none. */
static inline void *sparse_array_at(const struct sparse_array *s, uint32_t number)
{
	const struct sparse_array_stretch *stretch = sparse_array_stretch(s, number);
	return stretch != NULL ? atomic_load_explicit(&stretch->items[number % SPARSE_ARRAY_STRETCH], memory_order_acquire)
			       : NULL;
}
/* The next number from *number on that has an item, below `end`; false: there is none. */
bool sparse_array_next(const struct sparse_array *s, uint32_t *number, uint32_t end);

/* Makes room for a number, so that sparse_array_put cannot fail. */
bool sparse_array_reserve(struct sparse_array *s, uint32_t number);
void sparse_array_put(struct sparse_array *s, uint32_t number, void *item);
/* Removes an item. Returns its stretch if that became empty and was removed, too: to be freed when no reader uses it. */
struct sparse_array_stretch *sparse_array_take(struct sparse_array *s, uint32_t number);

#endif
