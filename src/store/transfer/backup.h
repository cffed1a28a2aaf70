/* Copies a store that may be in use: events in small reads, archives file by file, so that a server need not wait. The copy
 * is a store itself. A repeated backup copies new events only. One thread. */
#ifndef STORE_TRANSFER_BACKUP_H
#define STORE_TRANSFER_BACKUP_H

#include "store/transfer/seal.h"

struct backup_options {
	uint64_t until; /* the store as of this seq; 0: as it is */
	const struct seal_watch *watch;
};

struct backup_figures {
	uint64_t events;   /* copied now */
	uint64_t archives; /* copied now */
	uint64_t first;    /* of the copy */
	uint64_t head;
};

/* Every event is verified. ERR_CONFLICT: `dest` is a copy of another store, or is ahead of this one. An interrupted backup
 * goes on where it stopped. */
enum err backup_store(const char *dir, const char *dest, struct backup_options options, struct backup_figures *out,
		      struct fault *fault);

#endif
