/* Tests whether the store can commit, and how long a commit takes, by writing at most once a second. A thread of the
 * probe's own waits for the write; callers are called back. */
#ifndef PROFILES_MONITORING_SERVICES_PROBE_H
#define PROFILES_MONITORING_SERVICES_PROBE_H

#include "engine/write/writer.h"
#include "profiles/monitoring/event/flags.h"

struct probe;

struct probe_result {
	bool fine; /* the write was durable within MONITORING_TIMEOUT_MS */
	double ms; /* duration of the write, or of the wait for it */
};

/* A request; the caller keeps it until `done` is called. */
struct probe_ask {
	struct list link;
	struct probe_result result;
	void (*done)(struct probe_ask *ask);
};

/* NULL: no memory or no thread. */
struct probe *probe_create(struct writer *w, const struct flags *flags);
/* `done` is called once: on the probe's thread, or at once if the last write is at most a second old. It must not block.
 * Any thread. */
void probe_submit(struct probe *p, struct probe_ask *ask);
/* The writer is closed: answers waiting requests; later ones are answered at once. */
void probe_close(struct probe *p);
void probe_destroy(struct probe *p); /* NULL is fine */

#endif
