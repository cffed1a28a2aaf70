/* What should be in an archive and cannot be read there: ranges of seqs, each with the reason. Locked by whoever owns the
 * list. */
#ifndef STORE_ABSENT_H
#define STORE_ABSENT_H

#include <stdbool.h>
#include <stdint.h>

#include "tidemark/err.h"

enum absence {
	ABSENT_GONE,     /* nobody has seen it, or not any more */
	ABSENT_REJECTED, /* something of that name cannot be used */
};

struct absent {
	uint64_t first;
	uint64_t last;
	enum absence kind;
	bool seen; /* since the last look began */
	struct fault why;
};

struct absences {
	struct absent *items;
	uint32_t count;
	uint32_t cap;
};

void absences_finish(struct absences *a);
/* In place of one of the same range and kind. Without memory it is left out: such events are told as removed. */
void absences_add(struct absences *a, struct absent absent);
void absences_remove(struct absences *a, uint32_t index);
/* A look at the directory begins, and ends: what was rejected before, and was not seen again, is not there any more. */
void absences_begin(struct absences *a);
void absences_end(struct absences *a);
bool absences_know(const struct absences *a, uint64_t first, uint64_t last);
/* The one that says most about `seq`; NULL where there is none. */
const struct absent *absences_find(const struct absences *a, uint64_t seq);
/* The lowest seq after, or the highest before; 0 where there is none. */
uint64_t absences_next(const struct absences *a, uint64_t after);
uint64_t absences_previous(const struct absences *a, uint64_t before);

#endif
