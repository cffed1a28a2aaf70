/* Deferred freeing of memory that other threads may be reading without a lock (read-copy-update). Readers enter and leave.
 * What has been unlinked is retired, and is freed once every reader that had entered before has left. One thread at a time,
 * under the owner's lock, retires and frees. No call waits: memory that readers may still use is freed by a later call. */
#ifndef BASE_DATA_RCU_H
#define BASE_DATA_RCU_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* At the beginning of what is retired, where readers do not look. */
struct rcu_link {
	struct rcu_link *next;
	size_t size; /* as it was given to rcu_retire */
};

struct rcu {
	atomic_uint turn;
	atomic_uint inside[2];   /* readers that entered in even turns, and in odd ones */
	struct rcu_link *now;    /* retired in this turn */
	struct rcu_link *before; /* in the one before */
};

/* Zeroed: no readers, nothing retired. */

/* Begin and end reading; may be nested. rcu_leave takes the value that rcu_enter returned. */
unsigned rcu_enter(struct rcu *g);
void rcu_leave(struct rcu *g, unsigned entered);

/* Retires an item that was unlinked: readers that enter from now on cannot reach it. */
void rcu_retire(struct rcu *g, void *item, size_t size);
/* Calls free_item for each retired item that no reader can hold any more. */
void rcu_free(struct rcu *g, void (*free_item)(void *arg, void *item, size_t size), void *arg);

#endif
