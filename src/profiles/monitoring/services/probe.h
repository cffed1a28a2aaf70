/* Can the store commit, and how long does it take? Asked by a real write, at most once a second however many ask. The write
 * is waited for on a thread of the probe's own; who asks does not wait, and is called. */
#ifndef PROFILES_MONITORING_SERVICES_PROBE_H
#define PROFILES_MONITORING_SERVICES_PROBE_H

#include "engine/write/writer.h"
#include "profiles/monitoring/event/flags.h"

struct probe;

struct probe_result {
	bool fine; /* the write was durable in time: MONITORING_TIMEOUT_MS */
	double ms; /* how long it took, or was waited for */
};

/* A question; the caller keeps it until `done` is called. */
struct probe_ask {
	struct list link;
	struct probe_result result;
	void (*done)(struct probe_ask *ask);
};

/* NULL where there is no memory or no thread. */
struct probe *probe_create(struct writer *w, const struct flags *flags);
/* `done` is called once: on the probe's thread, or at once where the last write is at most a second old. It must not block.
 * Any thread. */
void probe_submit(struct probe *p, struct probe_ask *ask);
/* The writer is closed: answers who waits, and from here on everybody at once. */
void probe_close(struct probe *p);
void probe_destroy(struct probe *p); /* NULL is fine */

#endif
