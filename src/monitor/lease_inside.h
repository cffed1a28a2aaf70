/* What lease.c (taking and giving back) and lease_write.c (telling) share. */
#ifndef MONITOR_LEASE_INSIDE_H
#define MONITOR_LEASE_INSIDE_H

#include <pthread.h>

#include "base/list.h"
#include "monitor/lease.h"

enum lease_state { TAKEN, HELD, LEAVING };

struct lease {
	struct list link;
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
	struct list all;                    /* oldest first */
	uint64_t leaks;                     /* leases that were taken back */
	int64_t leaked_ms[LEASE_NAMES_MAX]; /* monotonic: when one was last taken back */
};

/* What is stored of a lease. With the lock. */
void lease_write_note(struct buf *out, const struct leases *l, const struct lease *e);

#endif
