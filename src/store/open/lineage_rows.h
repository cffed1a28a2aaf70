/* The lines of history in the database (schema/005_line.sql). The thread that owns the connection. */
#ifndef STORE_OPEN_LINEAGE_ROWS_H
#define STORE_OPEN_LINEAGE_ROWS_H

#include <sqlite3.h>

#include "store/archive/lineage.h"

/* Reads the lines; a new database has none. ERR_CORRUPT. */
enum err lineage_rows_load(sqlite3 *db, struct lineage *out, struct fault *fault);
/* Makes the lines that begin at or before `last` those of a copy: opening it for writing, other than to go on copying,
 * begins a new line. In the open transaction or in one of its own; on failure it is rolled back. */
enum err lineage_rows_save_copy(sqlite3 *db, const struct lineage *l, uint64_t last, struct fault *fault);
/* Begins a line with event `first`, in the database and in `l`. It replaces a line that has no events yet. */
enum err lineage_rows_begin(sqlite3 *db, struct lineage *l, uint64_t first, struct fault *fault);
/* *doubt: may readers have events that differ from the next ones? So it is in a copy that was not written to yet, and after
 * the machine crashed under a server that did not sync commits. */
enum err lineage_rows_in_doubt(sqlite3 *db, bool *doubt, struct fault *fault);
/* Records that a server which does not sync commits is running (`relaxed`), or that none is. */
enum err lineage_rows_note_relaxed(sqlite3 *db, bool relaxed, struct fault *fault);

#endif
