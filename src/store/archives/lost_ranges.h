/* Lost ranges: seqs below the log that retention has discarded, or that were never restored. All others below the log must
 * be in archives. Stored in the database, meta.gone: FIRST-LAST,FIRST-LAST,... ascending. */
#ifndef STORE_ARCHIVES_LOST_RANGES_H
#define STORE_ARCHIVES_LOST_RANGES_H

#include "store/archives/archive_set.h"

typedef struct sqlite3 sqlite3;

struct lost_range {
	uint64_t first;
	uint64_t last;
};

struct lost_ranges {
	struct lost_range *ranges;
	uint32_t count;
	bool known; /* false: the database has no meta.gone yet */
};

/* Makes meta.gone in a store that has none. Events that such a store has discarded, or was restored without, are lost
 * ranges. */
enum err lost_ranges_prepare(sqlite3 *db, struct fault *fault);
enum err lost_ranges_load(sqlite3 *db, struct lost_ranges *out, struct fault *fault);
void lost_ranges_finish(struct lost_ranges *g);
/* Adds a range, in the open transaction. `counted`: the events were subtracted from the figures of their topics
 * (topic.gone). */
enum err lost_ranges_add(sqlite3 *db, uint64_t first, uint64_t last, bool counted, struct fault *fault);
/* *seq: up to this seq there are lost events whose topics are not known; 0: there are none. */
enum err lost_ranges_unknown(sqlite3 *db, uint64_t *seq, struct fault *fault);
/* The newest event that retention has discarded; seq 0: none, or its time is not known. */
struct lost_ranges_last {
	uint64_t seq;
	int64_t time_ms;
};
enum err lost_ranges_last_put(sqlite3 *db, struct lost_ranges_last last, struct fault *fault);
enum err lost_ranges_last_get(sqlite3 *db, struct lost_ranges_last *out, struct fault *fault);
/* Copies the ranges below `end` from one database to another. */
enum err lost_ranges_copy(sqlite3 *from, sqlite3 *to, uint64_t end, struct fault *fault);

/* The last seq of `first` to `last` that is not lost; 0: all are. */
uint64_t lost_ranges_last_outside(const struct lost_ranges *g, uint64_t first, uint64_t last);

/* The first range from `from` on and below log_first that is neither in an archive nor lost; false: there is none. */
bool lost_ranges_uncovered(const struct lost_ranges *g, struct archive_set *set, uint64_t from, uint64_t log_first,
			   struct lost_range *out);

#endif
