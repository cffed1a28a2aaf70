/* Restores events with their seq and time. The store is used by nothing else: it has no readers and no feed. After a failure
 * it can only be closed; nothing of the open transaction remains. One thread. */
#ifndef STORE_TRANSFER_RESTORE_H
#define STORE_TRANSFER_RESTORE_H

#include "event/envelope.h"
#include "store/archive/lineage.h"
#include "store/log/store.h"

/* For a store that need not survive a crash: no journal, no sync. Before the first transaction. */
enum err restore_in_bulk(struct store *s, struct fault *fault);
/* Makes a store a copy on these lines of history, as far as they begin at or before `last`. Its archives are recognized when
 * it is opened again. */
enum err restore_adopt(struct store *s, const struct lineage *lineage, uint64_t last, struct fault *fault);
/* Opens a transaction. In a store without events the log will begin with `first`, which is not 0 then. */
enum err restore_begin(struct store *s, uint64_t first, struct fault *fault);
/* Stores the event after the head; its time is not before that of the head. ERR_CORRUPT: `seq` is another. */
enum err restore_event(struct store *s, const struct event *e, uint64_t seq, int64_t time_ms, struct fault *fault);
/* The same for an envelope. ERR_CORRUPT: a server would not have written it. */
enum err restore_envelope(struct store *s, const struct envelope *e, int64_t time_ms, struct fault *fault);
/* Counts an event that is in an archive only. */
enum err restore_archived(struct store *s, const struct envelope *e, struct fault *fault);
/* Is this the same event as in the log, committed or not? */
enum err restore_is(struct store *s, const struct envelope *e, int64_t time_ms, bool *same, struct fault *fault);
/* Flushes the index tail in the open transaction; the store can only be closed if the transaction fails later. */
enum err restore_flush(struct store *s, struct fault *fault);
enum err restore_commit(struct store *s, struct fault *fault);
/* Rolls back; the store can only be closed. */
void restore_abandon(struct store *s);

/* Decodes and checks an envelope. In *out the names point into `names`, the data into the envelope. */
struct restored_names {
	char bytes[3][EVENT_NAME_MAX];
};
enum err restore_decode(const struct envelope *e, struct restored_names *names, struct event *out, struct fault *fault);

#endif
