/* The topics that were forgotten last: what a filtered reader who comes back may have missed, once nothing else knows their
 * names. Of older ones it is only known that there were some (meta.lost_ranges_unknown).
 *
 * Threads: one writer; forgotten_has from any thread. */
#ifndef STORE_INDEX_FORGOTTEN_H
#define STORE_INDEX_FORGOTTEN_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "store/index/selection.h"

enum { FORGOTTEN_MAX = 65536 };

struct forgotten_topic {
	uint64_t last; /* its last event */
	char *names;   /* owned */
	uint8_t stream_len;
	uint8_t type_len;
};

/* Zeroed, then forgotten_init. */
struct forgotten {
	pthread_mutex_t lock;
	struct forgotten_topic *topics; /* by their last events, ascending */
	uint32_t count;
	uint32_t cap;
};

void forgotten_init(struct forgotten *f);
void forgotten_finish(struct forgotten *f);
/* What the table has (schema/007_forgotten.sql), in place of what was known. */
enum err forgotten_load(struct forgotten *f, sqlite3 *db, struct fault *fault);
/* Where it is there already, nothing. ERR_NOMEM. */
enum err forgotten_add(struct forgotten *f, struct slice stream, struct slice type, uint64_t last);
/* Up to which last event topics are too many; 0: none are. */
uint64_t forgotten_excess(const struct forgotten *f);
void forgotten_drop(struct forgotten *f, uint64_t upto);
/* Is there one that passes, with an event after that? */
bool forgotten_has(struct forgotten *f, const struct selection *select, uint64_t after);

#endif
