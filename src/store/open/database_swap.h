/* Replaces the database of a store, and keeps the old one: whenever the process ends, either the old database is in place
 * with all its files, or the next process that opens the store finishes the swap.
 *
 *     DIR/salvage.part/   ─▶ DIR/replacement/   ─▶ DIR/tidemark.db, head
 *     (being made)            old/  ◀── DIR/tidemark.db, -wal, -shm, head
 *                             old/  ─▶ DIR/damaged-TIME/
 */
#ifndef STORE_LOG_DATABASE_SWAP_H
#define STORE_LOG_DATABASE_SWAP_H

#include <stddef.h>

#include "base/err.h"

/* Decides the swap: the store in `made`, complete and closed, will replace the one in `dir`. `made` is a directory in `dir`.
 */
enum err database_swap_decide(const char *dir, const char *made, struct fault *fault);
/* Finishes a swap that was decided; otherwise does nothing. `old_dir` (or NULL): where the old files are now. The store is
 * locked. */
enum err database_swap_finish(const char *dir, char *old_dir, struct fault *fault);

#endif
