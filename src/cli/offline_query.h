/* What commands share that look at a store without a server, or work on it for long. */
#ifndef CLI_OFFLINE_QUERY_H
#define CLI_OFFLINE_QUERY_H

#include "base/system/progress.h"
#include "server/stream/history_range.h"
#include "store/transfer/seal.h"

/* A store that may be in use, and the part of it that parameters (as of a URL) select. */
struct offline_query {
	struct store *store;
	struct reader *reader;
	struct selection *select;
	struct history_range range;
	uint32_t limit; /* 0: none */
};

/* `allowed` as for reader_query_parse. To be finished in any case. */
enum err offline_query_open(struct offline_query *l, const char *dir, struct slice params, unsigned allowed,
			    struct fault *fault);
void offline_query_finish(struct offline_query *l);

/* Long work shows how far it is, and ends when the process is asked to. `p` outlives it. */
struct seal_watch offline_query_watch(struct progress *p);

#endif
