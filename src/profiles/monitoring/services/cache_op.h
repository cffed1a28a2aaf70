/* Reads an event of a service as an operation of a cache, if its metadata describe one:
 *
 *     {"connection_type":"redis","function_name":"get","response_time_ms":1.2,"metadata":{"key":"k","hit":true}}      hit
 *     {"connection_type":"redis","metadata":{"key":"k","operation":"setex","ttl":600,"implementation_type":"new"}}   set
 *
 * The rules are in docs/decisions/0007-monitoring-profile.md. */
#ifndef PROFILES_MONITORING_SERVICES_CACHE_OP_H
#define PROFILES_MONITORING_SERVICES_CACHE_OP_H

#include "profiles/monitoring/event/flat.h"

enum cache_kind { CACHE_HIT, CACHE_MISS, CACHE_SET, CACHE_EVICT, CACHE_ERROR, CACHE_KINDS };

/* Which of the hub's two caches: events that do not tell belong to the first, which had no name. */
enum cache_side { CACHE_LEGACY, CACHE_NEW, CACHE_SIDES };

struct cache_op {
	enum cache_kind kind;
	enum cache_side side;
	/* JSON values; p NULL: null */
	struct slice key;
	struct slice error_type;
	struct slice error_message;
	bool sized;
	double size; /* number of entries, or whatever the service counts */
};

const char *cache_side_name(enum cache_side side);

/* False: the event is not an operation of a cache. */
bool cache_op_read(const struct flat *f, struct cache_op *out);

/* Appends the raw row of the profile. */
void cache_op_write(struct buf *out, const struct flat *f, const struct cache_op *op);

#endif
