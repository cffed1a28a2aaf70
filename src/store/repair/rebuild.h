/* Making anew what follows from the events: the trailing index, the id keys and the figures of the topics. The store is
 * nobody else's, and was opened unchecked. One thread. */
#ifndef STORE_REPAIR_REBUILD_H
#define STORE_REPAIR_REBUILD_H

#include "store/log/store.h"

/* In the open transaction. `countable`: every event below the log is in an archive, or gone. Where that is not so, or an
 * archive cannot be read, the figures of its events stay what they are. A log that still has a hole is left alone: *done is
 * false. */
enum err rebuild_index(struct store *s, bool countable, bool *done, struct fault *fault);

#endif
