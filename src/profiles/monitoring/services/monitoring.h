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
	int port;                 /* of the first listener: clients of the Python hub identify the server by it */
	atomic_ullong dashboards; /* number of connected dashboards */
	int64_t sent_ms;          /* monotonic: when dashboards were last sent leases and health; ws thread only */
};

#endif
