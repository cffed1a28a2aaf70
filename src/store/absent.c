#include "store/absent.h"

#include <stdlib.h>
#include <string.h>

void absences_finish(struct absences *a)
{
	free(a->items);
	*a = (struct absences){0};
}

static bool room(struct absences *a)
{
	if (a->count < a->cap)
		return true;
	uint32_t cap = a->cap ? a->cap * 2 : 8;
	struct absent *items = realloc(a->items, cap * sizeof *items);
	if (items == NULL)
		return false;
	a->items = items;
	a->cap = cap;
	return true;
}

void absences_add(struct absences *a, struct absent absent)
{
	for (uint32_t i = 0; i < a->count; i++)
		if (a->items[i].first == absent.first && a->items[i].last == absent.last &&
		    a->items[i].kind == absent.kind) {
			a->items[i] = absent;
			return;
		}
	if (room(a))
		a->items[a->count++] = absent;
}

void absences_remove(struct absences *a, uint32_t index)
{
	a->count--;
	memmove(a->items + index, a->items + index + 1, (a->count - index) * sizeof *a->items);
}

void absences_begin(struct absences *a)
{
	for (uint32_t i = 0; i < a->count; i++)
		a->items[i].seen = false;
}

void absences_end(struct absences *a)
{
	for (uint32_t i = a->count; i-- > 0;)
		if (a->items[i].kind == ABSENT_REJECTED && !a->items[i].seen)
			absences_remove(a, i);
}

bool absences_know(const struct absences *a, uint64_t first, uint64_t last)
{
	for (uint32_t i = 0; i < a->count; i++)
		if (a->items[i].first == first && a->items[i].last == last)
			return true;
	return false;
}

const struct absent *absences_find(const struct absences *a, uint64_t seq)
{
	const struct absent *found = NULL;
	for (uint32_t i = 0; i < a->count; i++)
		if (a->items[i].first <= seq && seq <= a->items[i].last && (found == NULL || a->items[i].kind > found->kind))
			found = &a->items[i];
	return found;
}

uint64_t absences_next(const struct absences *a, uint64_t after)
{
	uint64_t next = 0;
	for (uint32_t i = 0; i < a->count; i++) {
		const struct absent *x = &a->items[i];
		uint64_t first = x->last <= after ? 0 : x->first > after ? x->first : after + 1;
		next = first != 0 && (next == 0 || first < next) ? first : next;
	}
	return next;
}

uint64_t absences_previous(const struct absences *a, uint64_t before)
{
	uint64_t previous = 0;
	for (uint32_t i = 0; i < a->count; i++) {
		const struct absent *x = &a->items[i];
		uint64_t last = x->first >= before ? 0 : x->last < before ? x->last : before - 1;
		previous = last > previous ? last : previous;
	}
	return previous;
}
