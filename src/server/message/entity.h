/* Conditional and partial answers (RFC 9110, sections 13 and 14): what a client has already, and which part it wants. */
#ifndef SERVER_MESSAGE_ENTITY_H
#define SERVER_MESSAGE_ENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/* The headers of a request's conditions; empty where there is none. */
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

/* What the conditions come to (RFC 9110, 13.2.2). `modified_s`: Unix seconds; 0: it is not known, and no date counts. */
enum entity_verdict entity_check(const struct entity_conditions *c, const char *tag, int64_t modified_s);

enum { ENTITY_DATE_LEN = 40 };
/* As headers have it (RFC 9110, 5.6.7). False: there is no such date. */
bool entity_date(int64_t seconds, char out[ENTITY_DATE_LEN]);

enum range_kind {
	RANGE_ALL,  /* none is asked for, or none that we give: the whole is the answer */
	RANGE_PART, /* from `from`, `len` bytes */
	RANGE_NONE, /* it lies outside: 416 */
};

/* What Range and If-Range (both may be empty) ask for of an entity of `size` bytes. Of several ranges none is given. */
enum range_kind entity_range(struct slice range, struct slice if_range, const char *tag, uint64_t size, uint64_t *from,
			     uint64_t *len);

#endif
