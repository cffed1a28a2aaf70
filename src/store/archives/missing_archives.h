/* What should be in an archive and cannot be read there: ranges of seqs, each with the reason. Locked by whoever owns the
 * list. */
#ifndef STORE_ARCHIVES_MISSING_ARCHIVES_H
#define STORE_ARCHIVES_MISSING_ARCHIVES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum missing_reason {
	MISSING_NOT_FOUND, /* there is no such file, or not any more */
	MISSING_REJECTED,  /* something of that name cannot be used */
};

struct missing_archive {
	uint64_t first;
	uint64_t last;
	enum missing_reason kind;
	bool seen; /* since the last look began */
	struct fault why;
};

struct missing_archives {
	struct missing_archive *items;
	uint32_t count;
	uint32_t cap;
};

void missing_archives_finish(struct missing_archives *a);
/* In place of one of the same range and kind. Without memory it is left out: such events are told as removed. */
void missing_archives_add(struct missing_archives *a, struct missing_archive missing);
void missing_archives_remove(struct missing_archives *a, uint32_t index);
/* A look at the directory begins, and ends: what was rejected before, and was not seen again, is not there any more. */
void missing_archives_begin(struct missing_archives *a);
void missing_archives_end(struct missing_archives *a);
bool missing_archives_know(const struct missing_archives *a, uint64_t first, uint64_t last);
/* The one that says most about `seq`; NULL where there is none. */
const struct missing_archive *missing_archives_find(const struct missing_archives *a, uint64_t seq);
/* The lowest seq after, or the highest before; 0 where there is none. */
uint64_t missing_archives_next(const struct missing_archives *a, uint64_t after);
uint64_t missing_archives_previous(const struct missing_archives *a, uint64_t before);

#endif
