/* Conditional and partial responses (RFC 9110, sections 13 and 14). */
#ifndef SERVER_MESSAGE_ENTITY_H
#define SERVER_MESSAGE_ENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/* The conditional headers of a request; empty: not sent. */
struct entity_conditions {
	struct slice if_match;
	struct slice if_none_match;
	struct slice if_modified_since;
	struct slice if_unmodified_since;
};

enum entity_verdict {
	ENTITY_GO_ON,
	ENTITY_KNOWN,  /* 304 */
	ENTITY_FAILED, /* 412 */
};

/* Evaluates the conditions (RFC 9110, 13.2.2). `modified_s`: Unix seconds; 0: unknown, and conditions on dates are
 * ignored. */
enum entity_verdict entity_check(const struct entity_conditions *c, const char *tag, int64_t modified_s);

enum { ENTITY_DATE_LEN = 40 };
/* Formats a date as in headers (RFC 9110, 5.6.7). False: it cannot be represented. */
bool entity_date(int64_t seconds, char out[ENTITY_DATE_LEN]);

enum range_kind {
	RANGE_ALL,  /* no range was asked for, or none that is supported: send the whole */
	RANGE_PART, /* `len` bytes from `from` */
	RANGE_NONE, /* the range is outside the entity: 416 */
};

/* Evaluates Range and If-Range (both may be empty) for an entity of `size` bytes. A request for several ranges gets the
 * whole. */
enum range_kind entity_range(struct slice range, struct slice if_range, const char *tag, uint64_t size, uint64_t *from,
			     uint64_t *len);

#endif
