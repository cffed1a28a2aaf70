/* Values of HTTP fields (RFC 9110, 5.6): white space, lists, names that know no case, and weights. */
#ifndef NET_FIELD_H
#define NET_FIELD_H

#include <stdbool.h>

#include "tidemark/slice.h"

/* Without spaces and tabs at its ends. */
struct slice field_trim(struct slice value);
/* Cuts what stands before `c` (the whole where there is none) and `c` off the front, trimmed. */
struct slice field_cut(struct slice *rest, char c);
/* Equal but for upper and lower case (ASCII). */
bool field_is(struct slice value, struct slice text);

/* How much an Accept header likes a media type that it names: 0 (not named, or q=0) to 1. Wildcards name nothing. */
double field_quality(struct slice accept, const char *type);

#endif
