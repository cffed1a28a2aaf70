/* What a query for history comes to: bounds of seqs, as the store is now. */
#ifndef NET_RANGE_H
#define NET_RANGE_H

#include "net/query.h"
#include "tidemark/history.h"

struct range {
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
enum err range_set(struct range *out, struct store *store, struct reader *reader, const struct query *q,
		   struct selection *select, struct fault *fault);

/* Is something missing where `rest`, what is left of a range, goes on? Then `gap` says what; *matters is false where nothing
 * that is asked for can be missing. */
bool range_missing(struct store *store, const struct history_query *rest, uint64_t asked, struct gap *gap, bool *matters);
/* Goes on behind what is missing there. */
void range_skip(struct store *store, struct history_query *rest);

#endif
