#include "base/data/slab.h"

#include <assert.h>
#include <stdlib.h>

enum { PIECE = 64 * 1024 - 64 };

struct cell {
	struct cell *next;
};

struct cell_piece {
	struct cell_piece *next;
	char bytes[PIECE];
};

static size_t units(size_t size)
{
	assert(size > 0 && size <= SLAB_MAX);
	return (size + SLAB_UNIT - 1) / SLAB_UNIT;
}

void slab_finish(struct slab *c)
{
	while (c->pieces != NULL) {
		struct cell_piece *next = c->pieces->next;
		free(c->pieces);
		c->pieces = next;
	}
	*c = (struct slab){0};
}

void *slab_take(struct slab *c, size_t size)
{
	size_t n = units(size);
	struct cell *cell = c->free[n];
	if (cell != NULL) {
		c->free[n] = cell->next;
		return cell;
	}
	if (c->pieces == NULL || PIECE - c->used < n * SLAB_UNIT) {
		struct cell_piece *piece = malloc(sizeof *piece);
		if (piece == NULL)
			return NULL;
		piece->next = c->pieces;
		c->pieces = piece;
		c->used = 0;
	}
	c->used += n * SLAB_UNIT;
	return c->pieces->bytes + c->used - n * SLAB_UNIT;
}

void slab_give(struct slab *c, void *memory, size_t size)
{
	struct cell *cell = memory;
	size_t n = units(size);
	cell->next = c->free[n];
	c->free[n] = cell;
}
