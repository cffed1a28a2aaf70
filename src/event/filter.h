/* The filter of a reader: any of some streams, any of some types, and conditions on the payload. A name that ends in `*`
 * matches all names with that prefix. */
#ifndef EVENT_FILTER_H
#define EVENT_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/slice.h"

enum { FILTER_NAMES_MAX = 256 };

/* An empty list lets everything pass. The names are copied. */
struct filter;

struct filter *filter_create(void);
void filter_destroy(struct filter *f); /* NULL is fine */
/* ERR_TOO_LARGE when there are FILTER_NAMES_MAX; ERR_NOMEM. */
enum err filter_add_stream(struct filter *f, struct slice name);
enum err filter_add_type(struct filter *f, struct slice name);

/* Adds a condition; events must fulfil all: /POINTER=VALUE, on the payload, or NAME=VALUE of a profile. ERR_INVALID: it is
 * not a condition; ERR_TOO_LARGE: there are too many, or it is too long (where.h). */
enum err filter_add_where(struct filter *f, struct slice condition);

/* Only streams that fit one of the patterns added pass, whatever else is asked for. */
enum err filter_add_pattern(struct filter *f, struct slice pattern);
bool filter_pattern_fits(struct slice pattern, struct slice stream);

/* Appends the filter as JSON text for filter_read; nothing if everything passes. */
struct buf;
void filter_write(struct buf *out, const struct filter *f);
/* ERR_INVALID: filter_write has not written this; ERR_NOMEM. */
enum err filter_read(struct slice text, struct filter **out);

/* NULL and an empty filter let everything pass. */
bool filter_is_open(const struct filter *f);
/* Do events of all streams and types pass, apart from conditions on payloads? */
bool filter_is_wide(const struct filter *f);
/* The conditions on payloads, borrowed; NULL: there are none. */
struct where;
struct where *filter_where(const struct filter *f);
/* Does it match, by stream and type? */
bool filter_match(const struct filter *f, struct slice stream, struct slice type);

#endif
