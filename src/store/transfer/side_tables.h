/* Side tables: what is copied with a store besides its events, namely sessions, notes, and the ids of evicted events. They
 * are read into temporary tables of the copy at one moment, and moved into the real tables later. */
#ifndef STORE_TRANSFER_SIDE_TABLES_H
#define STORE_TRANSFER_SIDE_TABLES_H

#include <sqlite3.h>

#include "store/log/store.h"

/* Outside of a transaction of `to`. */
enum err side_tables_read(const char *dir, struct store *to, struct fault *fault);
/* The same out of an open database. */
enum err side_tables_read_db(sqlite3 *from, struct store *to, struct fault *fault);
/* Replaces the tables of the copy, in the open transaction. Rows that are ahead of `head` are left out, except for positions
 * of sessions. `ids`: also the ids. */
enum err side_tables_write(struct store *to, uint64_t head, bool ids, struct fault *fault);

#endif
