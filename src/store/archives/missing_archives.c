#include "store/archives/missing_archives.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void missing_archives_finish(struct missing_archives *a)
{
	free(a->items);
	*a = (struct missing_archives){0};
}

static bool room(struct missing_archives *a)
{
	if (a->count < a->cap)
		return true;
	uint32_t cap = a->cap ? a->cap * 2 : 8;
	struct missing_archive *items = realloc(a->items, cap * sizeof *items);
	if (items == NULL)
		return false;
	a->items = items;
	a->cap = cap;
	return true;
}

void missing_archives_add(struct missing_archives *a, struct missing_archive missing)
{
	assert(missing.first <= missing.last);
	for (uint32_t i = 0; i < a->count; i++)
		if (a->items[i].first == missing.first && a->items[i].last == missing.last &&
		    a->items[i].kind == missing.kind) {
			a->items[i] = missing;
			return;
		}
	if (room(a))
		a->items[a->count++] = missing;
}

void missing_archives_remove(struct missing_archives *a, uint32_t index)
{
	assert(index < a->count);
	a->count--;
	memmove(a->items + index, a->items + index + 1, (a->count - index) * sizeof *a->items);
}

void missing_archives_begin(struct missing_archives *a)
{
	for (uint32_t i = 0; i < a->count; i++)
		a->items[i].seen = false;
}

void missing_archives_end(struct missing_archives *a)
{
	for (uint32_t i = a->count; i-- > 0;)
		if (a->items[i].kind == MISSING_REJECTED && !a->items[i].seen)
			missing_archives_remove(a, i);
}

bool missing_archives_know(const struct missing_archives *a, uint64_t first, uint64_t last)
{
	for (uint32_t i = 0; i < a->count; i++)
		if (a->items[i].first == first && a->items[i].last == last)
			return true;
	return false;
}

const struct missing_archive *missing_archives_find(const struct missing_archives *a, uint64_t seq)
{
	const struct missing_archive *found = NULL;
	for (uint32_t i = 0; i < a->count; i++)
		if (a->items[i].first <= seq && seq <= a->items[i].last && (found == NULL || a->items[i].kind > found->kind))
			found = &a->items[i];
	return found;
}

uint64_t missing_archives_next(const struct missing_archives *a, uint64_t after)
{
	uint64_t next = 0;
	for (uint32_t i = 0; i < a->count; i++) {
		const struct missing_archive *x = &a->items[i];
		uint64_t first = x->last <= after ? 0 : x->first > after ? x->first : after + 1;
		next = first != 0 && (next == 0 || first < next) ? first : next;
	}
	return next;
}

uint64_t missing_archives_previous(const struct missing_archives *a, uint64_t before)
{
	uint64_t previous = 0;
	for (uint32_t i = 0; i < a->count; i++) {
		const struct missing_archive *x = &a->items[i];
		uint64_t last = x->first >= before ? 0 : x->last < before ? x->last : before - 1;
		previous = last > previous ? last : previous;
	}
	return previous;
}
