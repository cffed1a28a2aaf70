/* What a query for history comes to: bounds of seqs, as the store is now. */
#ifndef NET_RANGE_H
#define NET_RANGE_H

#include "net/query.h"
#include "tidemark/history.h"

struct range {
	struct history_query query; /* after, before, descending and select are set */
	uint64_t head;              /* the last event there was */
	bool has_gap;               /* it cannot begin where it was asked to */
	struct gap gap;
};

/* Without `after` it begins with the first event. `select` (NULL: everything) is borrowed. */
enum err range_set(struct range *out, struct store *store, struct reader *reader, const struct query *q,
		   struct selection *select, struct fault *fault);

#endif
