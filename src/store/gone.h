/* What is gone for good: seqs below the log that retention has discarded, or that were never restored. Whatever else is
 * below the log has to be in an archive. Noted in the database, meta.gone: FIRST-LAST,FIRST-LAST,... ascending. */
#ifndef STORE_GONE_H
#define STORE_GONE_H

#include <sqlite3.h>

#include "store/archive_set.h"

struct gone_range {
	uint64_t first;
	uint64_t last;
};

struct gone {
	struct gone_range *ranges;
	uint32_t count;
	bool known; /* false: no writer has noted anything yet */
};

/* The note of a store that has none yet. One that has discarded, or was restored from its middle, before there were notes
 * has lost nothing by that. */
enum err gone_prepare(sqlite3 *db, struct fault *fault);
enum err gone_load(sqlite3 *db, struct gone *out, struct fault *fault);
void gone_finish(struct gone *g);
/* Adds to the note, in the open transaction. `counted`: each of the events was counted out of its topic (topic.gone). */
enum err gone_add(sqlite3 *db, uint64_t first, uint64_t last, bool counted, struct fault *fault);
/* Up to which seq something is gone whose topics are not known; 0: nothing is. */
enum err gone_unknown(sqlite3 *db, uint64_t *seq, struct fault *fault);
/* The newest of what retention has discarded; seq 0: nothing, or its time is not known. */
struct gone_last {
	uint64_t seq;
	int64_t time_ms;
};
enum err gone_last_put(sqlite3 *db, struct gone_last last, struct fault *fault);
enum err gone_last_get(sqlite3 *db, struct gone_last *out, struct fault *fault);
/* Notes in `to` what is noted in `from`, below `end`. */
enum err gone_copy(sqlite3 *from, sqlite3 *to, uint64_t end, struct fault *fault);

/* The last seq of `first` to `last` that the note does not have; 0: it has them all. */
uint64_t gone_last_outside(const struct gone *g, uint64_t first, uint64_t last);

/* The first range from `from` on, and below `hot`, that is in no archive and not gone; false where there is none. */
bool gone_uncovered(const struct gone *g, struct archive_set *set, uint64_t from, uint64_t hot, struct gone_range *out);

#endif
