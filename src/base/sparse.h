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

struct sparse {
	struct sparse_stretch *_Atomic *stretches;
	uint32_t end; /* of those that were ever made */
};

bool sparse_init(struct sparse *s); /* false: no memory */
/* The stretches; the items are not looked at. */
void sparse_finish(struct sparse *s);

/* NULL where there is none. */
static inline void *sparse_at(const struct sparse *s, uint32_t number)
{
	const struct sparse_stretch *stretch =
		atomic_load_explicit(&s->stretches[number / SPARSE_STRETCH], memory_order_acquire);
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
