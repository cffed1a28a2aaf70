#include "base/data/pairing_heap.h"

#include <assert.h>

static struct pairing_heap_link *at(const struct pairing_heap_order *o, uint32_t entry)
{
	return o->at(o->arg, entry);
}

/* Makes one heap of two that are not empty. */
static uint32_t meld(uint32_t a, uint32_t b, const struct pairing_heap_order *o)
{
	if (o->less(o->arg, b, a)) {
		uint32_t swapped = a;
		a = b;
		b = swapped;
	}
	struct pairing_heap_link *above = at(o, a);
	struct pairing_heap_link *below = at(o, b);
	below->prev = a;
	below->next = above->child;
	if (below->next != 0)
		at(o, below->next)->prev = b;
	above->child = b;
	above->next = above->prev = 0;
	return a;
}

void pairing_heap_add(uint32_t *first, uint32_t entry, const struct pairing_heap_order *o)
{
	*at(o, entry) = (struct pairing_heap_link){0};
	*first = *first != 0 ? meld(*first, entry, o) : entry;
}

/* Makes one heap of the entries below one: neighbours by pairs, and the pairs from the last on. */
static uint32_t meld_all(uint32_t list, size_t *steps, const struct pairing_heap_order *o)
{
	uint32_t pairs = 0; /* the last one first, by `next` */
	while (list != 0) {
		uint32_t a = list;
		uint32_t b = at(o, a)->next;
		list = b != 0 ? at(o, b)->next : 0;
		at(o, a)->next = at(o, a)->prev = 0;
		if (b != 0) {
			at(o, b)->next = at(o, b)->prev = 0;
			a = meld(a, b, o);
		}
		at(o, a)->next = pairs;
		pairs = a;
		++*steps;
	}
	uint32_t all = pairs;
	pairs = all != 0 ? at(o, all)->next : 0;
	if (all != 0)
		at(o, all)->next = 0;
	while (pairs != 0) {
		uint32_t a = pairs;
		pairs = at(o, a)->next;
		at(o, a)->next = 0;
		all = meld(all, a, o);
		++*steps;
	}
	return all;
}

/* Takes an entry that is below another out of its list. */
static void cut(uint32_t entry, const struct pairing_heap_order *o)
{
	const struct pairing_heap_link *link = at(o, entry);
	assert(link->prev != 0);
	struct pairing_heap_link *prev = at(o, link->prev);
	if (prev->child == entry)
		prev->child = link->next;
	else
		prev->next = link->next;
	if (link->next != 0)
		at(o, link->next)->prev = link->prev;
}

size_t pairing_heap_remove(uint32_t *first, uint32_t entry, const struct pairing_heap_order *o)
{
	size_t steps = 1;
	bool is_first = *first == entry;
	if (!is_first)
		cut(entry, o);
	uint32_t rest = meld_all(at(o, entry)->child, &steps, o);
	if (is_first)
		*first = rest;
	else if (rest != 0)
		*first = meld(*first, rest, o);
	*at(o, entry) = (struct pairing_heap_link){0};
	return steps;
}
