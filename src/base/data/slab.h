/* An allocator for very many small objects of few sizes, without malloc's overhead: cells are cut from large pieces, and
 * freed cells are reused for objects of the same size. Pieces are freed by slab_finish. Not locked. */
#ifndef BASE_DATA_SLAB_H
#define BASE_DATA_SLAB_H

#include <stddef.h>

enum { SLAB_MAX = 4096, SLAB_UNIT = 8 }; /* bytes */

struct cell;
struct cell_piece;

/* Zeroed: empty. */
struct slab {
	struct cell *free[SLAB_MAX / SLAB_UNIT + 1];
	struct cell_piece *pieces;
	size_t used; /* of the newest piece */
};

void slab_finish(struct slab *c);
/* At most SLAB_MAX bytes, aligned to SLAB_UNIT; NULL: no memory. */
void *slab_take(struct slab *c, size_t size);
/* With the size that it was taken with. */
void slab_give(struct slab *c, void *cell, size_t size);

#endif
