/* What commands share that look at a store without a server, or work on it for long. */
#ifndef CLI_LOOK_H
#define CLI_LOOK_H

#include "base/progress.h"
#include "net/range.h"
#include "store/seal.h"

/* A store that may be in use, and the part of it that parameters (as of a URL) select. */
struct look {
	struct store *store;
	struct reader *reader;
	struct selection *select;
	struct range range;
	uint32_t limit; /* 0: none */
};

/* `allowed` as for query_parse. To be finished in any case. */
enum err look_open(struct look *l, const char *dir, struct slice params, unsigned allowed, struct fault *fault);
void look_finish(struct look *l);

/* Long work shows how far it is, and ends when the process is asked to. `p` outlives it. */
struct seal_watch look_watch(struct progress *p);

#endif
