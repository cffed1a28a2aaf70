/* What is gone for good: seqs below the log that retention has discarded, or that were never restored. Whatever else is
 * below the log has to be in an archive. Noted in the database, meta.gone: FIRST-LAST,FIRST-LAST,... ascending. */
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
	bool known; /* false: no writer has noted anything yet */
};

/* The note of a store that has none yet. One that has discarded, or was restored from its middle, before there were notes
 * has lost nothing by that. */
enum err lost_ranges_prepare(sqlite3 *db, struct fault *fault);
enum err lost_ranges_load(sqlite3 *db, struct lost_ranges *out, struct fault *fault);
void lost_ranges_finish(struct lost_ranges *g);
/* Adds to the note, in the open transaction. `counted`: each of the events was counted out of its topic (topic.gone). */
enum err lost_ranges_add(sqlite3 *db, uint64_t first, uint64_t last, bool counted, struct fault *fault);
/* Up to which seq something is gone whose topics are not known; 0: nothing is. */
enum err lost_ranges_unknown(sqlite3 *db, uint64_t *seq, struct fault *fault);
/* The newest of what retention has discarded; seq 0: nothing, or its time is not known. */
struct lost_ranges_last {
	uint64_t seq;
	int64_t time_ms;
};
enum err lost_ranges_last_put(sqlite3 *db, struct lost_ranges_last last, struct fault *fault);
enum err lost_ranges_last_get(sqlite3 *db, struct lost_ranges_last *out, struct fault *fault);
/* Notes in `to` what is noted in `from`, below `end`. */
enum err lost_ranges_copy(sqlite3 *from, sqlite3 *to, uint64_t end, struct fault *fault);

/* The last seq of `first` to `last` that the note does not have; 0: it has them all. */
uint64_t lost_ranges_last_outside(const struct lost_ranges *g, uint64_t first, uint64_t last);

/* The first range from `from` on, and below `hot`, that is in no archive and not gone; false where there is none. */
bool lost_ranges_uncovered(const struct lost_ranges *g, struct archive_set *set, uint64_t from, uint64_t log_first,
			   struct lost_range *out);

#endif
