/* Deferred freeing of memory that other threads may be reading without a lock (read-copy-update). Readers enter and leave.
 * What has been unlinked is retired, and is freed once every reader that had entered before has left. One thread at a time,
 * under the owner's lock, retires and frees. Nobody waits: what readers hold up is freed at a later call. */
#ifndef BASE_GRACE_H
#define BASE_GRACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* At the beginning of what is retired, where readers do not look. */
struct grace_link {
	struct grace_link *next;
	size_t size; /* as it was given to grace_retire */
};

struct grace {
	atomic_uint turn;
	atomic_uint inside[2];     /* readers that entered in even turns, and in odd ones */
	struct grace_link *now;    /* retired in this turn */
	struct grace_link *before; /* in the one before */
};

/* Zeroed: nobody is there. */

/* A reader, as often as it likes, also within itself: what grace_enter returned is for grace_leave. */
unsigned grace_enter(struct grace *g);
void grace_leave(struct grace *g, unsigned entered);

/* It is out of reach for those that enter from now on. */
void grace_retire(struct grace *g, void *item, size_t size);
/* Hands over what nobody can be reading any more. */
void grace_free(struct grace *g, void (*free_item)(void *arg, void *item, size_t size), void *arg);

#endif
