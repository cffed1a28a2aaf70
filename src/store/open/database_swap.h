/* One database in the place of another, and what was there put aside: whenever the process ends, either the old one is there
 * with all that belongs to it, or the next to open the store finishes this.
 *
 *     DIR/salvage.part/   ─▶ DIR/replacement/   ─▶ DIR/tidemark.db, head
 *     (being made)            old/  ◀── DIR/tidemark.db, -wal, -shm, head
 *                             old/  ─▶ DIR/damaged-TIME/
 */
#ifndef STORE_LOG_DATABASE_SWAP_H
#define STORE_LOG_DATABASE_SWAP_H

#include <stddef.h>

#include "base/err.h"

/* The store in `made`, closed, is whole: it is going to replace the one in `dir`, of which both are a part. */
enum err database_swap_decide(const char *dir, const char *made, struct fault *fault);
/* Does what was decided; without a decision, nothing. `aside` (or NULL): where what was there is now. The store is locked.
 */
enum err database_swap_finish(const char *dir, char *aside, struct fault *fault);

#endif
