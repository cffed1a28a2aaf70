/* The smallest of entries whose order changes: a pairing heap. Intrusive: an entry has a `struct heap_link` in it and stays
 * where it is while it is in a heap. Adding takes one comparison, removing any entry O(log n) of them on average over many
 * calls. To give an entry another place in the order, remove it, change it and add it again. Not locked. */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>

struct heap_link {
	struct heap_link *child; /* the first of those below */
	struct heap_link *next;  /* below the same parent */
	struct heap_link *prev;  /* the one before, or the parent; NULL: this one is the first of all */
};

/* Is `a` smaller than `b`? */
typedef bool heap_less_fn(const struct heap_link *a, const struct heap_link *b);

#define HEAP_ITEM(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

/* `*first` is the smallest entry, NULL where there is none. */
void heap_add(struct heap_link **first, struct heap_link *link, heap_less_fn *less);
/* An entry that is in it. Returns the number of comparisons, for tests. */
size_t heap_remove(struct heap_link **first, struct heap_link *link, heap_less_fn *less);

#endif
