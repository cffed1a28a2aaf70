/* Restores archives into a store that no server uses, in one transaction; every frame, line and digest is verified. Events
 * that the store has already must be the same; archives of events below its log are added to its own. One thread. */
#ifndef STORE_TRANSFER_IMPORT_H
#define STORE_TRANSFER_IMPORT_H

#include "store/transfer/seal.h"

struct import_options {
	uint64_t until; /* restore the store as of this seq; 0: all there is */
	const struct seal_watch *watch;
};

struct import_figures {
	uint64_t restored; /* events */
	uint64_t archived; /* events kept as archives, since they are older than the log */
	uint64_t known;    /* events that were there already */
	uint64_t first;    /* of the store, afterwards */
	uint64_t head;
};

/* `count` > 0. ERR_CONFLICT: a file is of another store, or an event differs; ERR_CORRUPT names file and event;
 * ERR_NOT_FOUND: events in between are in none of the files. */
enum err import_files(const char *dir, const char *const *paths, int count, struct import_options options,
		      struct import_figures *out, struct fault *fault);

#endif
