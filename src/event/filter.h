/* What a reader wants to see: any of some streams, any of some types, and conditions on the payload. A name that ends in `*`
 * stands for all that begin with what is before it. */
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

/* Only events that fulfil the condition, and the others added: /POINTER=VALUE, on the payload, or category=NAME. ERR_INVALID
 * where it is none; ERR_TOO_LARGE where there are four of them, or a category, or it is longer than 1,024 bytes. */
enum err filter_add_where(struct filter *f, struct slice condition);

/* Only streams that fit one of the patterns added pass, whatever else is asked for. */
enum err filter_add_pattern(struct filter *f, struct slice pattern);
bool filter_pattern_fits(struct slice pattern, struct slice stream);

/* Appends the filter as text (JSON), from which filter_read makes it again; nothing where everything passes. */
struct buf;
void filter_write(struct buf *out, const struct filter *f);
/* ERR_INVALID where `text` is none that filter_write has written; ERR_NOMEM. */
enum err filter_read(struct slice text, struct filter **out);

/* NULL and an empty filter let everything pass. */
bool filter_is_open(const struct filter *f);
/* Does it let events of all streams and types pass, whatever it wants of payloads? */
bool filter_is_wide(const struct filter *f);
/* The conditions on payloads, borrowed; NULL: there are none. */
struct where;
struct where *filter_where(const struct filter *f);
/* By stream and type. */
bool filter_match(const struct filter *f, struct slice stream, struct slice type);

#endif
