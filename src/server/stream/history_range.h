/* What a query for history comes to: bounds of seqs, as the store is now. */
#ifndef SERVER_STREAM_HISTORY_RANGE_H
#define SERVER_STREAM_HISTORY_RANGE_H

#include "server/stream/reader_query.h"
#include "store/read/history.h"

struct history_range {
	struct history_query query; /* after, before, descending and select are set */
	uint64_t head;              /* the last event there was */
	uint64_t asked;             /* the position that was asked for; 0: none was named */
	bool has_gap;               /* it cannot begin where it was asked to */
	struct gap gap;
	bool ends_with_gap; /* descending: at its end events were passed over for their age */
	struct gap end_gap;
};

/* Without `after` it begins with the first event there is, or, where anything else bounds it or it has a filter, with the
 * first that ever was.
 * `select` (NULL: everything) is borrowed. */
enum err history_range_set(struct history_range *out, struct store *store, struct reader *reader,
			   const struct reader_query *q, struct selection *select, struct fault *fault);

/* Is something missing where `rest`, what is left of a range, goes on? Then `gap` says what; *matters is false where nothing
 * that is asked for can be missing. */
bool history_range_missing(struct store *store, const struct history_query *rest, uint64_t asked, struct gap *gap,
			   bool *matters);
/* Goes on behind what is missing there. */
void history_range_skip(struct store *store, struct history_query *rest);

#endif
