/* The category of an event, by the rules of the Python hub: by its type, else by a part of its type, else by its members.
 * Case does not matter.
 *
 *     critical       health_check, circuit_breaker_open, circuit_breaker_close, error, failure; error fail critical alert
 *                    timeout exception; or it is an error, or has an `exception`
 *     performance    cache_metrics, semaphore_metrics, response_time, latency; cache metric performance latency; or it has
 *                    `metrics` or `performance`
 *     user_activity  session_metrics, user_activity, session_start, session_end; session user activity
 *     debug          test_event, debug; test debug dev
 *     system         connection_status, websocket_health, initial_stats, stats, export_complete; and all others           */
#ifndef PROFILES_MONITORING_EVENT_CATEGORY_H
#define PROFILES_MONITORING_EVENT_CATEGORY_H

#include "profiles/monitoring/event/flat.h"

enum category {
	CATEGORY_CRITICAL,
	CATEGORY_PERFORMANCE,
	CATEGORY_USER_ACTIVITY,
	CATEGORY_SYSTEM,
	CATEGORY_DEBUG,
	CATEGORIES,
};

/* A static text. */
const char *category_name(enum category category);
/* CATEGORIES: there is no such category. */
enum category category_find(struct slice name);

enum category category_of(const struct flat *f);
/* The same in two steps: CATEGORIES if the type (JSON without its quotes) does not determine it. */
enum category category_of_type(struct slice type);
enum category category_of_data(const struct flat *f, const struct flat_more *more);

#endif
