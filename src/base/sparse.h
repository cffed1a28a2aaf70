/* An array of pointers by number in which most may be missing: it takes memory for the stretches in use only. Numbers are
 * read without a lock, also while one thread changes them; what a reader has found may be taken out meanwhile, and what to
 * do about that is the caller's business (base/grace.h). */
#ifndef BASE_SPARSE_H
#define BASE_SPARSE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/grace.h"

enum { SPARSE_STRETCH = 4096 };

struct sparse_stretch {
	struct grace_link retired;
	uint32_t used; /* the changing thread's own */
	void *_Atomic items[SPARSE_STRETCH];
};

enum { SPARSE_SHELF = 1024, SPARSE_SHELVES = 1024 };

/* Stretches that are numbered one after another. Stays until the end. */
struct sparse_shelf {
	struct sparse_stretch *_Atomic stretches[SPARSE_SHELF];
};

/* Zeroed, it is empty. */
struct sparse {
	struct sparse_shelf *_Atomic shelves[SPARSE_SHELVES];
};

/* The stretches; the items are not looked at. */
void sparse_finish(struct sparse *s);

/* The stretch of a number; NULL where there is none. */
static inline struct sparse_stretch *sparse_stretch(const struct sparse *s, uint32_t number)
{
	const uint32_t at = number / SPARSE_STRETCH;
	const struct sparse_shelf *shelf = atomic_load_explicit(&s->shelves[at / SPARSE_SHELF], memory_order_acquire);
	return shelf != NULL ? atomic_load_explicit(&shelf->stretches[at % SPARSE_SHELF], memory_order_acquire) : NULL;
}

/* NULL where there is none. */
static inline void *sparse_at(const struct sparse *s, uint32_t number)
{
	const struct sparse_stretch *stretch = sparse_stretch(s, number);
	return stretch != NULL ? atomic_load_explicit(&stretch->items[number % SPARSE_STRETCH], memory_order_acquire) : NULL;
}
/* The next number from *number on that has an item, below `end`; false: there is none. */
bool sparse_next(const struct sparse *s, uint32_t *number, uint32_t end);

/* Makes room for a number, so that sparse_put cannot fail. */
bool sparse_reserve(struct sparse *s, uint32_t number);
void sparse_put(struct sparse *s, uint32_t number, void *item);
/* Takes an item out. Returns its stretch if that is empty now and not in the array any more: to be freed once nobody reads.
 */
struct sparse_stretch *sparse_take(struct sparse *s, uint32_t number);

#endif
