/* The routes of the monitoring profile; their handlers get a `struct monitoring`. */
#ifndef PROFILES_MONITORING_ROUTES_ROUTES_H
#define PROFILES_MONITORING_ROUTES_ROUTES_H

#include "server/http/http.h"

extern const struct http_route monitoring_routes[];

http_handler monitoring_status;
http_handler monitoring_metrics_current;
http_handler monitoring_metrics_validation;
http_handler monitoring_metrics_adapter;
http_handler monitoring_metrics_flush;
http_handler monitoring_flags;
http_handler monitoring_flag_set;
http_handler monitoring_quarantine;
http_handler monitoring_health_flags;
http_handler monitoring_health;
http_handler monitoring_health_ready;
http_handler monitoring_health_live;
http_handler monitoring_healthz;
http_handler monitoring_health_semaphores;
http_handler monitoring_health_memory;
http_handler monitoring_health_websocket;
http_handler monitoring_cache_metrics;
http_handler monitoring_observations;
http_handler monitoring_acknowledge;
http_handler monitoring_leases;
http_handler monitoring_lease_get;
http_handler monitoring_lease_acquire;
http_handler monitoring_lease_renew;
http_handler monitoring_lease_release;
http_handler monitoring_dashboard_page;
http_handler monitoring_websocket;

#endif
