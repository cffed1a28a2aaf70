/* The last seq of streams that have lost their events (schema/006_names.sql), with which `?expect` is compared if a stream
 * has no event; and up to which seq it is not known. The last seq of any other stream is in the catalog. */
#ifndef STORE_ARCHIVES_STREAM_LAST_H
#define STORE_ARCHIVES_STREAM_LAST_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* Stores a last seq: binds stream, last. */
#define STREAM_LAST_PUT                                                                                                     \
	"INSERT INTO stream_last(stream, last) VALUES (?, ?) ON CONFLICT(stream) DO UPDATE SET last = max(last, "           \
	"excluded.last)"

/* The last seqs of streams without an event after *seq are not known; 0: all are known. */
enum err stream_last_unknown(sqlite3 *db, uint64_t *seq, struct fault *fault);
/* Raises that seq (`accept`: sets it, also lower), in the open transaction. */
enum err stream_last_note_unknown(sqlite3 *db, uint64_t seq, bool accept, struct fault *fault);
/* Copies the last seqs from `from` to `to`, whose last event is `head`, in the open transaction of `to`. If a stream in
 * `from` has events after `head`, its last seq up to `head` is not known. */
enum err stream_last_copy(sqlite3 *from, sqlite3 *to, uint64_t head, struct fault *fault);

#endif
