/* Repairing a log from archives of the same events. The store is used by nothing else. One thread. */
#ifndef STORE_REPAIR_REPAIR_H
#define STORE_REPAIR_REPAIR_H

#include "store/log/store.h"

struct repair_figures {
	uint64_t looked_at; /* events of the log that the archives hold */
	uint64_t repaired;
	uint64_t dropped; /* rows before or after all events that are not events, by their sums */
};

/* Restores every event of the log that is missing, or differs from the archives, in one transaction. The log ends with the
 * last acknowledged event, as far as that is known. Index, keys and figures are rebuilt. An archive that is not sound to the
 * last byte fails the repair. */
enum err repair_log(const char *dir, const char *const *archives, int count, struct repair_figures *out,
		    struct fault *fault);

#endif
