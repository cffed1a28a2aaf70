/* The parts of the monitoring profile, for its routes and WebSockets. */
#ifndef PROFILES_MONITORING_SERVICES_MONITORING_H
#define PROFILES_MONITORING_SERVICES_MONITORING_H

#include <stdatomic.h>

#include "profiles/monitoring/services/auditor.h"
#include "profiles/monitoring/services/probe.h"
#include "profiles/monitoring/services/watch.h"
#include "server/api/api.h"

struct monitoring {
	struct api *api; /* borrowed */
	struct flags *flags;
	struct monitor *monitor;
	struct leases *leases;
	struct auditor *auditor;
	struct watch *watch;
	struct probe *probe;
	int port;                 /* of the first listener: what the old hub's clients know the server by */
	atomic_ullong dashboards; /* that are connected */
	int64_t told_ms;          /* monotonic: when they were last told of leases and health. The ws thread's own */
};

#endif
