/* Putting events back with the seq and the time that they had. The store is nobody else's: it has no readers and no feed.
 * After a failure it can only be closed; what was not committed is not there. One thread. */
#ifndef STORE_TRANSFER_RESTORE_H
#define STORE_TRANSFER_RESTORE_H

#include "event/envelope.h"
#include "store/archive/lineage.h"
#include "store/log/store.h"

/* Makes a store that nobody needs after a crash fast: no journal, no sync. Before the first transaction. */
enum err restore_in_bulk(struct store *s, struct fault *fault);
/* Gives a store the lines of history that it is a copy of, as far as they begin at or before `last`. What it knows of its
 * archives it knows when it is opened again. */
enum err restore_adopt(struct store *s, const struct lineage *lineage, uint64_t last, struct fault *fault);
/* Opens a transaction. The log of a store without any event is told where it begins: with `first`. */
enum err restore_begin(struct store *s, uint64_t first, struct fault *fault);
/* The event after the last one, with a time not before its. */
enum err restore_event(struct store *s, const struct event *e, uint64_t seq, int64_t time_ms, struct fault *fault);
/* The same for an envelope as archives hold it; ERR_CORRUPT when it is not what a server would have written. */
enum err restore_envelope(struct store *s, const struct envelope *e, int64_t time_ms, struct fault *fault);
/* Counts an event that is kept in an archive only. */
enum err restore_archived(struct store *s, const struct envelope *e, struct fault *fault);
/* Is this the event that the log has with its seq, committed or not? */
enum err restore_is(struct store *s, const struct envelope *e, int64_t time_ms, bool *same, struct fault *fault);
/* Writes what trails, in the open transaction: whoever fails later gives up the store. */
enum err restore_flush(struct store *s, struct fault *fault);
enum err restore_commit(struct store *s, struct fault *fault);
/* Gives up: nothing of the transaction remains, and the store can only be closed. */
void restore_abandon(struct store *s);

/* What an envelope says, decoded and checked. The names point into `names`, the data into the envelope. */
struct restored_names {
	char bytes[3][EVENT_NAME_MAX];
};
enum err restore_decode(const struct envelope *e, struct restored_names *names, struct event *out, struct fault *fault);

#endif
