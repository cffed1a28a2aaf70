/* The newest events that break the rules (profiles/monitoring/event/validity.h): their seqs, and the rules. The events
 * are stored and shown like all others; the list is for fixing the services that send them. It is part of the fold and
 * saved as notes with it. Owned by the monitor, and guarded by its lock. */
#ifndef PROFILES_MONITORING_EVENT_QUARANTINE_H
#define PROFILES_MONITORING_EVENT_QUARANTINE_H

#include "profiles/monitoring/event/flat.h"
#include "store/log/store.h"

enum { QUARANTINE_MAX = 10000 };

struct quarantined {
	uint64_t seq;
	int64_t time_ms;
	enum service service;
	unsigned rules; /* bits of enum validity */
};

struct quarantine {
	uint64_t added;                           /* total number so far */
	struct quarantined items[QUARANTINE_MAX]; /* ring buffer, by seq */
};

void quarantine_add(struct quarantine *q, const struct quarantined *what);
/* Copies those after a seq, in order, up to `limit`; returns their number. */
uint32_t quarantine_read(const struct quarantine *q, uint64_t after, uint32_t limit, struct quarantined *out);
uint32_t quarantine_count(const struct quarantine *q);

/* Puts those after `saved` (a seq) into the store's open transaction, and deletes those that were overwritten. */
enum err quarantine_save(const struct quarantine *q, struct store *store, uint64_t saved, struct fault *fault);
enum err quarantine_load(struct quarantine *q, struct store *store, struct fault *fault);

/* Appends one JSON object. */
void quarantined_write(struct buf *out, const struct quarantined *what);

#endif
