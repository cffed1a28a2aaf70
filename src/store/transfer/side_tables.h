/* What stands in a store beside its events and goes along when it is copied: sessions, notes, the ids of events that have
 * left the log, the chain of archives. Read in one moment into temporary tables of the copy, put in their places later. */
#ifndef STORE_TRANSFER_SIDE_TABLES_H
#define STORE_TRANSFER_SIDE_TABLES_H

#include <sqlite3.h>

#include "store/log/store.h"

/* Outside of a transaction of `to`. */
enum err side_tables_read(const char *dir, struct store *to, struct fault *fault);
/* The same out of an open database. */
enum err side_tables_read_db(sqlite3 *from, struct store *to, struct fault *fault);
/* In the open transaction; what was there goes. Nothing is taken over that would be ahead of `head`, but for the positions
 * of sessions. `ids`: the ids, too. */
enum err side_tables_write(struct store *to, uint64_t head, bool ids, struct fault *fault);

#endif
