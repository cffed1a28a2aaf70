/* Checks, before a store is opened, that its directory is complete: a database that is missing, empty or older than the
 * other files would otherwise be taken for a new or a complete store. */
#ifndef STORE_LOG_STORE_COMPLETE_H
#define STORE_LOG_STORE_COMPLETE_H

#include <sqlite3.h>
#include <stdbool.h>

#include "base/err.h"

/* `copies`: the store is a copy that may be unfinished. ERR_NONE also if there is no trace of a store, or if the database
 * cannot be read: opening it reports why. ERR_CORRUPT: files or events are missing; ERR_CONFLICT: an archive has events
 * after the log's end. `archive_dir`: as in store_options. *inspected (or NULL) is a connection for db_close, also on
 * failure: as long as it is open, the next one need not read the write-ahead log again. */
enum err store_complete_check(const char *dir, const char *archive_dir, bool copies, sqlite3 **inspected,
			      struct fault *fault);

#endif
