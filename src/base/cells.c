#include "base/cells.h"

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
	assert(size > 0 && size <= CELLS_MAX);
	return (size + CELLS_UNIT - 1) / CELLS_UNIT;
}

void cells_finish(struct cells *c)
{
	while (c->pieces != NULL) {
		struct cell_piece *next = c->pieces->next;
		free(c->pieces);
		c->pieces = next;
	}
	*c = (struct cells){0};
}

void *cells_take(struct cells *c, size_t size)
{
	size_t n = units(size);
	struct cell *cell = c->free[n];
	if (cell != NULL) {
		c->free[n] = cell->next;
		return cell;
	}
	if (c->pieces == NULL || PIECE - c->used < n * CELLS_UNIT) {
		struct cell_piece *piece = malloc(sizeof *piece);
		if (piece == NULL)
			return NULL;
		piece->next = c->pieces;
		c->pieces = piece;
		c->used = 0;
	}
	c->used += n * CELLS_UNIT;
	return c->pieces->bytes + c->used - n * CELLS_UNIT;
}

void cells_give(struct cells *c, void *memory, size_t size)
{
	struct cell *cell = memory;
	size_t n = units(size);
	cell->next = c->free[n];
	c->free[n] = cell;
}
