/* Values of HTTP fields (RFC 9110, 5.6): white space, lists, case-insensitive names, and weights. */
#ifndef SERVER_MESSAGE_FIELD_H
#define SERVER_MESSAGE_FIELD_H

#include <stdbool.h>

#include "base/slice.h"
#include "server/message/content_encoding.h"

/* The value without leading and trailing spaces and tabs. */
struct slice field_trim(struct slice value);
/* Cuts the part before `c` (everything if there is no `c`) and `c` off the front; the part is trimmed. */
struct slice field_cut(struct slice *rest, char c);
/* Are they equal, ignoring case (ASCII)? */
bool field_is(struct slice value, struct slice text);

/* A request's preference for a media type (RFC 9110, 12.5.1). */
enum { FIELD_EXACT = 3 };
struct field_preference {
	double quality; /* 0 to 1; 0: not acceptable */
	int exactness;  /* of the item that the quality is from: FIELD_EXACT, less for wildcards, 0: no item matches */
};
/* Takes in an Accept header, or another list of preferences: the item that names the type most exactly counts. `p` begins
 * zeroed. */
void field_prefer(struct field_preference *p, struct slice accept, const char *type);
/* Is `a` preferred to `b`? With equal qualities the more exact one is. */
bool field_is_better(struct field_preference a, struct field_preference b);
/* The content coding that Accept-Encoding asks for: zstd, unless gzip is preferred. */
enum content_coding field_coding(struct slice accept_encoding);
/* Is the type named explicitly, and acceptable? */
bool field_names(struct slice accept, const char *type);

#endif
