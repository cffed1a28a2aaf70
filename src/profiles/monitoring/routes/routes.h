/* The routes of the monitoring profile. */
#ifndef PROFILES_MONITORING_ROUTES_ROUTES_H
#define PROFILES_MONITORING_ROUTES_ROUTES_H

#include "server/http/http.h"

extern const struct http_route monitoring_routes[];

#endif
