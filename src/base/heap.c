#include "base/heap.h"

#include <assert.h>

/* Makes one heap of two that are not empty. */
static struct heap_link *meld(struct heap_link *a, struct heap_link *b, heap_less_fn *less)
{
	if (less(b, a)) {
		struct heap_link *swapped = a;
		a = b;
		b = swapped;
	}
	b->prev = a;
	b->next = a->child;
	if (b->next != NULL)
		b->next->prev = b;
	a->child = b;
	a->next = a->prev = NULL;
	return a;
}

void heap_add(struct heap_link **first, struct heap_link *link, heap_less_fn *less)
{
	*link = (struct heap_link){0};
	*first = *first != NULL ? meld(*first, link, less) : link;
}

/* Makes one heap of the entries below one: neighbours by pairs, and the pairs from the last on. */
static struct heap_link *meld_all(struct heap_link *list, size_t *steps, heap_less_fn *less)
{
	struct heap_link *pairs = NULL; /* the last one first, by `next` */
	while (list != NULL) {
		struct heap_link *a = list;
		struct heap_link *b = a->next;
		list = b != NULL ? b->next : NULL;
		a->next = a->prev = NULL;
		if (b != NULL) {
			b->next = b->prev = NULL;
			a = meld(a, b, less);
		}
		a->next = pairs;
		pairs = a;
		++*steps;
	}
	struct heap_link *all = pairs;
	pairs = all != NULL ? all->next : NULL;
	if (all != NULL)
		all->next = NULL;
	while (pairs != NULL) {
		struct heap_link *a = pairs;
		pairs = a->next;
		a->next = NULL;
		all = meld(all, a, less);
		++*steps;
	}
	return all;
}

/* Takes an entry that is below another out of its list. */
static void cut(struct heap_link *link)
{
	assert(link->prev != NULL);
	if (link->prev->child == link)
		link->prev->child = link->next;
	else
		link->prev->next = link->next;
	if (link->next != NULL)
		link->next->prev = link->prev;
}

size_t heap_remove(struct heap_link **first, struct heap_link *link, heap_less_fn *less)
{
	size_t steps = 1;
	bool is_first = *first == link;
	if (!is_first)
		cut(link);
	struct heap_link *rest = meld_all(link->child, &steps, less);
	if (is_first)
		*first = rest;
	else if (rest != NULL)
		*first = meld(*first, rest, less);
	*link = (struct heap_link){0};
	return steps;
}
