/* Resolves a query for history into bounds of seqs, as the store is at the moment. */
#ifndef SERVER_STREAM_HISTORY_RANGE_H
#define SERVER_STREAM_HISTORY_RANGE_H

#include "server/stream/reader_query.h"
#include "store/read/history.h"

struct history_range {
	struct history_query query; /* after, before, descending and select are set */
	uint64_t head;              /* the head at the time of the query */
	uint64_t asked;             /* the requested position; 0: none was given */
	bool has_gap;               /* the range cannot begin at the requested position */
	struct gap gap;
	bool ends_with_gap; /* descending: events beyond the end exceed the maximum age */
	struct gap end_gap;
};

/* Without `after` the range begins with the first stored event, or, if the query has another bound or a filter, with seq
 * 1. `select` (NULL: everything) is borrowed. */
enum err history_range_set(struct history_range *out, struct store *store, struct reader *reader,
			   const struct reader_query *q, struct selection *select, struct fault *fault);

/* Are events missing at the position where `rest` continues? Then `gap` describes them. *matters: the query may have
 * asked for some of them. */
bool history_range_missing(struct store *store, const struct history_query *rest, uint64_t asked, struct gap *gap,
			   bool *matters);
/* Continues after the missing events. */
void history_range_skip(struct store *store, struct history_query *rest);

#endif
