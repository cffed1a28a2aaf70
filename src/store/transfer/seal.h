/* From the log into archives: exporting events, and sealing a part of the log. One thread, with a reader of its own. */
#ifndef STORE_TRANSFER_SEAL_H
#define STORE_TRANSFER_SEAL_H

#include "store/archive/archive_write.h"
#include "store/read/history.h"

/* Whoever waits for it. */
struct seal_watch {
	void (*progress)(void *arg, uint64_t events, uint64_t done, uint64_t all); /* `all` seqs, of which `done`; NULL */
	bool (*stop)(void *arg);                                                   /* true ends it with ERR_CLOSED; NULL */
	void *arg;
};

/* Gives an archive writer all events that match. ERR_GONE where one of the seqs can not be read any more. */
enum err export_events(struct reader *r, struct history_query query, struct archive_writer *w,
		       const struct seal_watch *watch, struct fault *fault);

/* Makes the archive of the events first to last among those of the store: written, synced, read back and compared with the
 * log event by event; its manifest last. An archive of these events that is there already is proven in the same way. The log
 * stays as it is. Whatever fails, nothing is left behind but a *.part file after a crash. */
enum err seal_range(struct reader *r, uint64_t first, uint64_t last, struct archive_options options,
		    const struct seal_watch *watch, struct manifest *out, struct fault *fault);
/* Deletes an archive of the store that no reader needs; see archive_set.h. */
enum err seal_delete(struct reader *r, const char *file, struct fault *fault);
/* Does the store have an archive of exactly these events? Any thread. */
bool seal_find_range(struct store *s, uint64_t first, uint64_t last);

#endif
