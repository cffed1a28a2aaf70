/* Missing archives: ranges of seqs that should be in an archive but cannot be read, each with the reason. Guarded by the
 * owner's lock. */
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
	bool seen; /* in the current scan */
	struct fault why;
};

struct missing_archives {
	struct missing_archive *items;
	uint32_t count;
	uint32_t cap;
};

void missing_archives_finish(struct missing_archives *a);
/* Adds an entry, or replaces the one of the same range and kind. Without memory it is left out, and its events are reported
 * as removed. */
void missing_archives_add(struct missing_archives *a, struct missing_archive missing);
void missing_archives_remove(struct missing_archives *a, uint32_t index);
/* Begin and end a scan of the directory. Rejected files that were not seen again are dropped. */
void missing_archives_begin(struct missing_archives *a);
void missing_archives_end(struct missing_archives *a);
bool missing_archives_know(const struct missing_archives *a, uint64_t first, uint64_t last);
/* The entry for `seq`, preferably of a rejected file; NULL: there is none. */
const struct missing_archive *missing_archives_find(const struct missing_archives *a, uint64_t seq);
/* The lowest missing seq after `after`, or the highest before `before`; 0: there is none. */
uint64_t missing_archives_next(const struct missing_archives *a, uint64_t after);
uint64_t missing_archives_previous(const struct missing_archives *a, uint64_t before);

#endif
