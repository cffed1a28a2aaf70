/* Which web pages may do what: a page of another origin may not publish or open a WebSocket unless it is listed. */
#ifndef NET_ORIGIN_H
#define NET_ORIGIN_H

#include <stdbool.h>

#include "base/options.h"
#include "tidemark/slice.h"

/* `origin` is the Origin header (empty: not a browser, or the same page), `host` the Host header. */
bool origin_is_fine(struct slice origin, struct slice host, const struct option_texts *allowed);

#endif
