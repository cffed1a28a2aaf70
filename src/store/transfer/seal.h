/* Exporting events into archives, and sealing a part of the log. One thread, with its own reader. */
#ifndef STORE_TRANSFER_SEAL_H
#define STORE_TRANSFER_SEAL_H

#include "store/archive/archive_write.h"
#include "store/read/history.h"

/* Callbacks of long work, each may be NULL. */
struct seal_watch {
	void (*progress)(void *arg, uint64_t events, uint64_t done, uint64_t all); /* `all` seqs, of which `done`; NULL */
	bool (*stop)(void *arg);                                                   /* true ends it with ERR_CLOSED; NULL */
	void *arg;
};

/* Adds all matching events to an archive writer. query.before is not 0. ERR_GONE: an event of the range was removed. */
enum err export_events(struct reader *r, struct history_query query, struct archive_writer *w,
		       const struct seal_watch *watch, struct fault *fault);

/* Makes an archive of events `first` to `last`: writes and syncs it, reads it back, compares it with the log event by event,
 * and writes its manifest last. An existing archive of these events is compared in the same way. The log is not changed. On
 * failure nothing is left, except for a *.part file after a crash. */
enum err seal_range(struct reader *r, struct seq_range events, struct archive_options options,
		    const struct seal_watch *watch, struct manifest *out, struct fault *fault);
/* Deletes an archive of the store that no reader needs; see archive_set.h. */
enum err seal_delete(struct reader *r, const char *file, struct fault *fault);
/* Is there an archive of exactly these events? Any thread. */
bool seal_find_range(struct store *s, uint64_t first, uint64_t last);

#endif
