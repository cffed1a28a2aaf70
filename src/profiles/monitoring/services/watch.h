/* The thread that looks after what nobody asks for: once a second it takes back leases that leak, lets the auditor look, has
 * figures saved that are due, and takes note of the process's memory. */
#ifndef PROFILES_MONITORING_SERVICES_WATCH_H
#define PROFILES_MONITORING_SERVICES_WATCH_H

#include "profiles/monitoring/leases/lease.h"
#include "profiles/monitoring/services/auditor.h"

struct watch;

enum err watch_create(struct monitor *monitor, struct leases *leases, struct auditor *auditor, struct writer *writer,
		      struct watch **out, struct fault *fault);
/* Ends the thread; before the writer is closed. */
void watch_close(struct watch *w);
void watch_destroy(struct watch *w);

/* Memory over the last hours, a sample a minute. */
struct memory_figures {
	uint64_t resident;     /* bytes of this process, now */
	double system_percent; /* of the machine's memory in use */
	double growth_mb_per_hour;
	uint64_t baseline;   /* resident bytes of the first sample; 0: none yet */
	int64_t baseline_ms; /* Unix */
	uint64_t samples;
};
void watch_memory(struct watch *w, struct memory_figures *out);

#endif
