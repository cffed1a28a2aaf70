/* Memory for very many small things of few sizes, without malloc's overhead: cut from large pieces, and what is given back
 * is there for others of its size. The pieces go back when all end. Not locked. */
#ifndef BASE_CELLS_H
#define BASE_CELLS_H

#include <stddef.h>

enum { CELLS_MAX = 4096, CELLS_UNIT = 8 }; /* bytes */

struct cell;
struct cell_piece;

/* Zeroed: empty. */
struct cells {
	struct cell *free[CELLS_MAX / CELLS_UNIT + 1];
	struct cell_piece *pieces;
	size_t used; /* of the newest piece */
};

void cells_finish(struct cells *c);
/* At most CELLS_MAX bytes, aligned to CELLS_UNIT; NULL: no memory. */
void *cells_take(struct cells *c, size_t size);
/* With the size that it was taken with. */
void cells_give(struct cells *c, void *cell, size_t size);

#endif
