/* What somebody may have meant who asks for a path that there is not. */
#ifndef NET_HINT_H
#define NET_HINT_H

#include "net/http.h"

enum { HINT_LEN = 400 };

/* Why there is nothing at `path`, which is encoded as it came, below `base`: with the path that is like it, or how a slash
 * in a name is written, where that may be it. */
void hint_path(const struct http_route *routes, const char *base, struct slice path, char out[HINT_LEN]);

#endif
