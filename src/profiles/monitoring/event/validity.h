/* The rules for events of the monitored services (docs/decisions/0007-monitoring-profile.md):
 *
 *     event_type   the type: a text of 1 to 50 characters, where there is one
 *     source       script_name, script, source: a text of 1 to 100 characters, where there is one
 *     timestamp    a text or a number, where there is one
 *     data         the payload is an object
 *     metadata     an object, where there is one
 *
 * Null is none. What is not sent has a default, which is valid. */
#ifndef PROFILES_MONITORING_EVENT_VALIDITY_H
#define PROFILES_MONITORING_EVENT_VALIDITY_H

#include "profiles/monitoring/event/flat.h"

enum validity {
	VALID_DATA,
	VALID_TYPE_KIND,
	VALID_TYPE_LENGTH,
	VALID_SOURCE_KIND,
	VALID_SOURCE_LENGTH,
	VALID_TIMESTAMP,
	VALID_METADATA,
	VALIDITIES,
};

/* The rules that an event breaks, as bits. */
unsigned validity_of(const struct flat *f, const struct flat_more *more);
/* The same for an event that was not stored yet: `type` is plain text. */
unsigned validity_check(struct slice type, struct slice data);

/* Static texts. */
const char *validity_rule(enum validity rule);
const char *validity_reason(enum validity rule);

#endif
