/* A thread for periodic work: once a second it revokes expired leases, runs the auditor, saves figures that are due, and
 * samples the memory of the process. */
#ifndef PROFILES_MONITORING_SERVICES_WATCH_H
#define PROFILES_MONITORING_SERVICES_WATCH_H

#include "profiles/monitoring/leases/lease.h"
#include "profiles/monitoring/services/auditor.h"

struct watch;

enum err watch_create(struct monitor *monitor, struct leases *leases, struct auditor *auditor, struct writer *writer,
		      struct watch **out, struct fault *fault);
/* Ends the thread. Call it before the writer is closed. */
void watch_close(struct watch *w);
void watch_destroy(struct watch *w);

/* Memory over the last hours; one sample per minute. */
struct memory_figures {
	uint64_t resident;     /* bytes of this process, now */
	double system_percent; /* percentage of the machine's memory in use */
	double growth_mb_per_hour;
	uint64_t baseline;   /* resident bytes of the first sample; 0: none yet */
	int64_t baseline_ms; /* Unix */
	uint64_t samples;
};
void watch_memory(struct watch *w, struct memory_figures *out);

#endif
