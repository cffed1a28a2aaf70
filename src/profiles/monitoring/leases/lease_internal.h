/* The inside of leases: lease_table.c (finding them), lease.c (taking and giving back) and lease_write.c (telling) share it.
 */
#ifndef PROFILES_MONITORING_LEASES_LEASE_INTERNAL_H
#define PROFILES_MONITORING_LEASES_LEASE_INTERNAL_H

#include <pthread.h>

#include "base/data/map.h"
#include "base/list.h"
#include "profiles/monitoring/leases/lease.h"

enum lease_state { TAKEN, HELD, LEAVING };

/* How many leases a session or a conversation has; there is none that has none. */
struct lease_group {
	struct map_link link;
	enum lease_scope scope;
	uint64_t count;
	size_t name_len;
	char name[];
};

struct lease {
	struct list link;
	struct list by_renewal; /* in no list while its release is on its way */
	uint64_t number;        /* counted from 1, in the order of `all` */
	struct map_link by_id;
	struct lease_group *groups[LEASE_PROVIDERS]; /* by scope; NULL: it is in none */
	enum lease_state state;
	bool granted; /* its holder was told */
	char id[LEASE_ID_LEN + 1];
	int provider; /* in the limits; LEASE_GLOBAL: none */
	struct slice holder;
	struct slice session;
	struct slice conversation;
	int64_t acquired_ms; /* Unix */
	int64_t renewed_ms;  /* monotonic */
	char texts[];
};

struct leases {
	pthread_mutex_t lock;
	struct lease_options options;
	struct list all;        /* oldest first */
	struct list by_renewal; /* the one that was renewed longest ago first */
	uint64_t numbers;       /* given so far */
	uint64_t looked_at;     /* how many leases sweeps have looked at */
	struct map by_id;
	struct map groups;                  /* by scope and name */
	uint64_t used[LEASE_NAMES_MAX];     /* leases under each name */
	uint64_t leaks;                     /* leases that were taken back */
	int64_t leaked_ms[LEASE_NAMES_MAX]; /* monotonic: when one was last taken back */
};

/* lease_table.c, with the lock */

/* NULL: there is none. */
struct lease_group *lease_find_group(const struct leases *l, enum lease_scope scope, struct slice name);
/* False: no memory; then it is in none. */
bool lease_enter_groups(struct leases *l, struct lease *e);
void lease_leave_groups(struct leases *l, struct lease *e);
/* NULL: there is none. */
struct lease *lease_find(const struct leases *l, struct slice id);

/* What is stored of a lease. With the lock. */
void lease_write_note(struct buf *out, const struct leases *l, const struct lease *e);

#endif
