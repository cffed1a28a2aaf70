/* The smallest of entries whose order changes: a pairing heap. Entries are numbers from 1 on; each has a `struct
 * pairing_heap_link` somewhere that the owner finds by its number: of millions of entries, half of what pointers would take.
 * Adding takes one comparison, removing any entry O(log n) of them on average over many calls. To give an entry another
 * place in the order, remove it, change it and add it again. Not locked. */
#ifndef BASE_DATA_PAIRING_HEAP_H
#define BASE_DATA_PAIRING_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Each 0: there is none. */
struct pairing_heap_link {
	uint32_t child; /* the first of those below */
	uint32_t next;  /* below the same parent */
	uint32_t prev;  /* the one before, or the parent; 0: this one is the first of all */
};

struct pairing_heap_order {
	struct pairing_heap_link *(*at)(const void *arg, uint32_t entry);
	bool (*less)(const void *arg, uint32_t a, uint32_t b);
	const void *arg;
};

/* `*first` is the smallest entry, 0 where there is none. */
void pairing_heap_add(uint32_t *first, uint32_t entry, const struct pairing_heap_order *order);
/* An entry that is in it. Returns the number of comparisons, for tests. */
size_t pairing_heap_remove(uint32_t *first, uint32_t entry, const struct pairing_heap_order *order);

#endif
