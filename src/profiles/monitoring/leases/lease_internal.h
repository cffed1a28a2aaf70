/* The internals of leases, shared by lease_table.c (lookup), lease.c (acquiring, releasing) and lease_write.c (output). */
#ifndef PROFILES_MONITORING_LEASES_LEASE_INTERNAL_H
#define PROFILES_MONITORING_LEASES_LEASE_INTERNAL_H

#include <pthread.h>

#include "base/data/map.h"
#include "base/list.h"
#include "profiles/monitoring/leases/lease.h"

enum lease_state { TAKEN, HELD, RELEASING };

/* Counts the leases of a session or a conversation; a group without leases does not exist. */
struct lease_group {
	struct map_link link;
	enum lease_scope scope;
	uint64_t count;
	size_t name_len;
	char name[];
};

struct lease {
	struct list link;
	struct list by_renewal; /* in no list while its release is being stored */
	uint64_t number;        /* counted from 1, in the order of `all` */
	struct map_link by_id;
	struct lease_group *groups[LEASE_PROVIDERS]; /* by scope; NULL: in none */
	enum lease_state state;
	bool granted; /* its holder was answered */
	char id[LEASE_ID_LEN + 1];
	int provider; /* index of the limit; LEASE_GLOBAL: none */
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
	struct list by_renewal; /* longest since renewal first */
	uint64_t numbers;       /* number of the last lease */
	uint64_t examined;      /* leases that sweeps have examined, in total */
	struct map by_id;
	struct map groups;                  /* by scope and name */
	uint64_t used[LEASE_NAMES_MAX];     /* number of leases under each name */
	uint64_t leaks;                     /* revoked leases, in total */
	int64_t leaked_ms[LEASE_NAMES_MAX]; /* monotonic: when a lease was last revoked */
};

/* lease_table.c; all functions need the lock */

/* NULL: there is none. */
struct lease_group *lease_find_group(const struct leases *l, enum lease_scope scope, struct slice name);
/* False: no memory; then the lease is in no group. */
bool lease_join_groups(struct leases *l, struct lease *e);
void lease_quit_groups(struct leases *l, struct lease *e);
/* NULL: there is none. */
struct lease *lease_find(const struct leases *l, struct slice id);

/* Writes the stored form of a lease. Needs the lock. */
void lease_write_note(struct buf *out, const struct leases *l, const struct lease *e);

#endif
