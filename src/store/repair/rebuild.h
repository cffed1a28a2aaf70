/* Rebuilds the data that is derived from the events: the index, the id keys and the figures of topics. The store was opened
 * unchecked, and is used by nothing else. One thread. */
#ifndef STORE_REPAIR_REBUILD_H
#define STORE_REPAIR_REBUILD_H

#include "store/log/store.h"

/* In the open transaction. `countable`: every event below the log is in an archive or lost. If not, or if an archive cannot
 * be read, the figures of archived events stay as they are. If the log has a hole, nothing is done: *done is false. */
enum err rebuild_index(struct store *s, bool countable, bool *done, struct fault *fault);

#endif
