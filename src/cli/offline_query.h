/* For commands that read a store without a server, or work for long. */
#ifndef CLI_OFFLINE_QUERY_H
#define CLI_OFFLINE_QUERY_H

#include "base/system/progress.h"
#include "server/stream/history_range.h"
#include "store/transfer/seal.h"

/* A store that may be in use, and the range that query parameters select. */
struct offline_query {
	struct store *store;
	struct reader *reader;
	struct selection *select;
	struct history_range range;
	uint32_t limit; /* 0: no limit */
};

/* `allowed`: see reader_query_parse. The caller must always call offline_query_finish. */
enum err offline_query_open(struct offline_query *l, const char *dir, struct slice params, unsigned allowed,
			    struct fault *fault);
void offline_query_finish(struct offline_query *l);

/* Reports progress, and ends long work when the process is asked to stop. `p` must outlive it. */
struct seal_watch offline_query_watch(struct progress *p);

#endif
