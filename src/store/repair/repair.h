/* Mending a log from archives of the same events. The store is nobody else's. One thread. */
#ifndef STORE_REPAIR_REPAIR_H
#define STORE_REPAIR_REPAIR_H

#include "store/log/store.h"

struct repair_figures {
	uint64_t looked_at; /* events of the log that the archives hold */
	uint64_t repaired;
	uint64_t dropped; /* rows that are no event: before or after all others, and not what their sums say */
};

/* Every event of the log that is missing or is not what the archives say is put back from them: all, or none. The log
 * ends with what was acknowledged, as far as that is noted. Index, keys and figures are made anew. Nothing is written from
 * an archive that is not proven to the last byte. */
enum err repair_log(const char *dir, const char *const *archives, int count, struct repair_figures *out,
		    struct fault *fault);

#endif
