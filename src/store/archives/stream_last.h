/* The last seq of streams whose events have left the store (schema/006_names.sql), and up to which seq it is not known: what
 * `?expect` compares with when a stream has no event in the log. The last seq of any other stream is in the catalog. */
#ifndef STORE_ARCHIVES_STREAM_LAST_H
#define STORE_ARCHIVES_STREAM_LAST_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* Remembers a last seq: stream, last. */
#define STREAM_LAST_PUT                                                                                                     \
	"INSERT INTO stream_last(stream, last) VALUES (?, ?) ON CONFLICT(stream) DO UPDATE SET last = max(last, "           \
	"excluded.last)"

/* The last seqs of streams that have no event after *seq are not known; 0: all are. */
enum err stream_last_unknown(sqlite3 *db, uint64_t *seq, struct fault *fault);
/* Raises (or, where `accept`, sets) it, in the open transaction. */
enum err stream_last_note_unknown(sqlite3 *db, uint64_t seq, bool accept, struct fault *fault);
/* Copies what `from` remembers into the store `to` whose last event is `head`, in the open transaction of `to`. Where a
 * stream has gone on in `from` after `head`, what was its last seq before that is not known any more. */
enum err stream_last_copy(sqlite3 *from, sqlite3 *to, uint64_t head, struct fault *fault);

#endif
