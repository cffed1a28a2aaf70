#include "profiles/monitoring/routes/routes.h"

#include "server/api/api.h"

const struct http_route monitoring_routes[] = {
	{"GET", "/v1/leases", PERMISSION_READ_ALL, api_leases, ROUTE_HELD | ROUTE_PACKED},
	{"GET", "/v1/quarantine", PERMISSION_READ_ALL, api_quarantine, ROUTE_DIRECT | ROUTE_PARAMS},
	{"GET", "/ws", PERMISSION_READ_ALL, api_websocket, ROUTE_DIRECT | ROUTE_SOCKET | ROUTE_PARAMS},
	{"GET", "/events", PERMISSION_PUBLISH, api_websocket, ROUTE_DIRECT | ROUTE_SOCKET | ROUTE_PARAMS},
	{"GET", "/status", PERMISSION_READ_ALL, api_status, ROUTE_DIRECT | ROUTE_OPEN},
	{"GET", "/health", PERMISSION_READ_ALL, api_health, ROUTE_OPEN},
	{"GET", "/health/live", PERMISSION_READ_ALL, api_health_live, ROUTE_DIRECT | ROUTE_OPEN},
	{"GET", "/health/ready", PERMISSION_READ_ALL, api_health_ready, ROUTE_OPEN},
	{"GET", "/health/semaphores", PERMISSION_READ_ALL, api_health_semaphores, ROUTE_DIRECT | ROUTE_OPEN},
	{"GET", "/health/memory", PERMISSION_READ_ALL, api_health_memory, ROUTE_OPEN},
	{"GET", "/health/websocket", PERMISSION_READ_ALL, api_health_websocket, ROUTE_DIRECT | ROUTE_OPEN},
	{"GET", "/metrics/validation", PERMISSION_READ_ALL, api_metrics_validation, ROUTE_DIRECT | ROUTE_OPEN},
	{"GET", "/metrics/adapter", PERMISSION_READ_ALL, api_metrics_adapter, ROUTE_DIRECT | ROUTE_OPEN},
	{"GET", "/flags/status", PERMISSION_READ_ALL, api_flags, ROUTE_DIRECT | ROUTE_OPEN},
	{"PUT", "/flags/{}", PERMISSION_ADMIN, api_flag_set, ROUTE_DIRECT},
	{"GET", "/health/flags", PERMISSION_READ_ALL, api_health_flags, ROUTE_DIRECT | ROUTE_OPEN},
	{"POST", "/metrics/flush", PERMISSION_ADMIN, api_metrics_flush, ROUTE_DIRECT | ROUTE_OPEN},
	{"GET", "/api/metrics/current", PERMISSION_READ_ALL, api_metrics_current, ROUTE_OPEN | ROUTE_PACKED},
	{"GET", "/api/cache-metrics", PERMISSION_READ_ALL, api_cache_metrics, ROUTE_HELD | ROUTE_PACKED | ROUTE_PARAMS},
	{"GET", "/api/auditor/observations", PERMISSION_READ_ALL, api_observations, ROUTE_DIRECT | ROUTE_PARAMS},
	{"POST", "/api/auditor/observations/{}/acknowledge", PERMISSION_ADMIN, api_acknowledge, ROUTE_DIRECT},
	{"GET", "/monitoring_dashboard.html", PERMISSION_NOTHING, api_dashboard_page, ROUTE_PACKED | ROUTE_PARAMS},
	{"GET", "/semaphore_monitor.html", PERMISSION_NOTHING, api_dashboard_page, ROUTE_PACKED | ROUTE_PARAMS},
	{0},
};
