/* The topics that were forgotten last, by which it is known whether a reader with a filter that reconnects has missed
 * events. Of older ones only a seq is known up to which there were some (meta.gone_unknown).
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
	uint64_t last; /* seq of its last event */
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
/* Replaces the content with the table (schema/007_forgotten.sql). */
enum err forgotten_load(struct forgotten *f, sqlite3 *db, struct fault *fault);
/* Adds a topic, unless there is one with this last event. ERR_NOMEM. */
enum err forgotten_add(struct forgotten *f, struct slice stream, struct slice type, uint64_t last);
/* Topics with last events up to the returned seq exceed FORGOTTEN_MAX; 0: none do. */
uint64_t forgotten_excess(const struct forgotten *f);
void forgotten_drop(struct forgotten *f, uint64_t upto);
/* Is there a topic that passes `select` and had an event after `after`? */
bool forgotten_has(struct forgotten *f, const struct selection *select, uint64_t after);

#endif
