/* The lines of history in the database (schema/005_line.sql). The thread that owns the connection. */
#ifndef STORE_OPEN_LINEAGE_ROWS_H
#define STORE_OPEN_LINEAGE_ROWS_H

#include <sqlite3.h>

#include "store/archive/lineage.h"

/* Reads them; none in a database that was just made. ERR_CORRUPT. */
enum err lineage_rows_load(sqlite3 *db, struct lineage *out, struct fault *fault);
/* Those that begin at or before `last` become those of a copy: whoever opens it for writing next, other than to go on
 * copying, begins a line of its own. In a transaction, which ends where it fails, or not. */
enum err lineage_rows_save_copy(sqlite3 *db, const struct lineage *l, uint64_t last, struct fault *fault);
/* Begins one with event `first`, in the database and here: it takes the place of one that has no events yet. */
enum err lineage_rows_begin(sqlite3 *db, struct lineage *l, uint64_t first, struct fault *fault);
/* Is the next event not sure to follow what was delivered before? So it is in a copy that nobody has written to, and where
 * the machine went down under a server that did not wait for the disk. */
enum err lineage_rows_in_doubt(sqlite3 *db, bool *doubt, struct fault *fault);
/* A server that does not wait for the disk begins (`relaxed`), or ends, or one that does begins. */
enum err lineage_rows_note_relaxed(sqlite3 *db, bool relaxed, struct fault *fault);

#endif
