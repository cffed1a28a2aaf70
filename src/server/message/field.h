/* Values of HTTP fields (RFC 9110, 5.6): white space, lists, names that know no case, and weights. */
#ifndef SERVER_MESSAGE_FIELD_H
#define SERVER_MESSAGE_FIELD_H

#include <stdbool.h>

#include "base/slice.h"
#include "server/message/content_encoding.h"

/* Without spaces and tabs at its ends. */
struct slice field_trim(struct slice value);
/* Cuts what stands before `c` (the whole where there is none) and `c` off the front, trimmed. */
struct slice field_cut(struct slice *rest, char c);
/* Equal but for upper and lower case (ASCII). */
bool field_is(struct slice value, struct slice text);

/* How much a request likes a media type (RFC 9110, 12.5.1). */
enum { FIELD_EXACT = 3 };
struct field_preference {
	double quality; /* 0 to 1; 0: it is not wanted */
	int exactness;  /* of the item that says so: FIELD_EXACT where it names the type, less for wildcards, 0 where none
			   does */
};
/* Takes in an Accept line, or another that lists preferences: the item counts that names the type most exactly. `p` begins
 * as zeros. */
void field_prefer(struct field_preference *p, struct slice accept, const char *type);
/* Is `a` liked better than `b`? Of two that are liked as much, the one that is named more exactly is. */
bool field_is_better(struct field_preference a, struct field_preference b);
/* What Accept-Encoding wants the answer to be packed as: zstd, unless gzip is liked better. */
enum content_coding field_coding(struct slice accept_encoding);
/* Is the type named itself, and wanted? */
bool field_names(struct slice accept, const char *type);

#endif
