/* Conditional and partial answers (RFC 9110, sections 13 and 14): what a client has already, and which part it wants. */
#ifndef NET_ENTITY_H
#define NET_ENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "tidemark/slice.h"

/* Does If-None-Match name the entity: its tag, weak or not, in a list, or `*`? `tag` has its quotes. */
bool entity_is_known(struct slice if_none_match, const char *tag);

enum range_kind {
	RANGE_ALL,  /* none is asked for, or none that we give: the whole is the answer */
	RANGE_PART, /* from `from`, `len` bytes */
	RANGE_NONE, /* it lies outside: 416 */
};

/* What Range and If-Range (both may be empty) ask for of an entity of `size` bytes. Of several ranges none is given. */
enum range_kind entity_range(struct slice range, struct slice if_range, const char *tag, uint64_t size, uint64_t *from,
			     uint64_t *len);

#endif
