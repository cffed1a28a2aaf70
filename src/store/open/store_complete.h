/* Is a directory a whole store? Asked before it is opened, by whoever opens it, and before anything is written to it: a
 * database that is missing, empty or older than what is beside it would else be taken for a new store, or for all there is.
 */
#ifndef STORE_LOG_STORE_COMPLETE_H
#define STORE_LOG_STORE_COMPLETE_H

#include <sqlite3.h>
#include <stdbool.h>

#include "base/err.h"

/* `copies`: for whoever goes on with a copy, which need not be finished. ERR_NONE also where there is no trace of a store,
 * and where the database cannot be read at all: opening it says why. ERR_CORRUPT: something is missing; ERR_CONFLICT: an
 * archive reaches past the log's end. `archive_dir`: as in store_options. *inspected (or NULL) is a connection for db_close,
 * also on failure: as long as it is open, the next one need not read the write-ahead log again. */
enum err store_complete_check(const char *dir, const char *archive_dir, bool copies, sqlite3 **inspected,
			      struct fault *fault);

#endif
