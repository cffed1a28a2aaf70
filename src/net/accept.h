/* Content negotiation (RFC 9110, 12.5.1). */
#ifndef NET_ACCEPT_H
#define NET_ACCEPT_H

#include "tidemark/slice.h"

/* How much an Accept header likes a media type that it names: 0 (not named, or q=0) to 1. Wildcards name nothing. */
double accept_quality(struct slice header, const char *type);

#endif
