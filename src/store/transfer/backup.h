/* A copy of a store that may be in use: events in small reads, archives file by file, so that nobody waits for it. The copy
 * is a store itself. Done again, only what is new is copied. One thread. */
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

/* Every event is proven on the way. ERR_CONFLICT: `dest` is a copy of something else, or is ahead. What an interrupted
 * backup has copied is a store of an earlier time, and is not copied again. */
enum err backup_store(const char *dir, const char *dest, struct backup_options options, struct backup_figures *out,
		      struct fault *fault);

#endif
