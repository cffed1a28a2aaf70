/* Where the log is to be cut: what the limits of a keeper come to. */
#ifndef HUB_RETENTION_H
#define HUB_RETENTION_H

#include "hub/keeper.h"

/* The last seq that is to leave the log; below store_hot when none is. `used`: see history_used. */
enum err retention_cut(struct store *store, struct reader *reader, const struct keeper_options *limits, uint64_t used,
		       uint64_t *cut, struct fault *fault);

#endif
