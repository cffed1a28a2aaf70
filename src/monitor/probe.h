/* Can the store commit, and how long does it take? Asked by a real write, at most once a second however many ask. */
#ifndef MONITOR_PROBE_H
#define MONITOR_PROBE_H

#include "hub/writer.h"

struct probe;

enum { PROBE_MAX_MS = 2000 };

/* NULL when there is no memory. */
struct probe *probe_create(struct writer *w);
void probe_destroy(struct probe *p);

/* Waits for the disk, at most PROBE_MAX_MS. False when the write is not durable by then; *ms is how long it took. */
bool probe_run(struct probe *p, double *ms);

#endif
