/* What somebody may have meant who asks for a path that there is not. */
#ifndef SERVER_HTTP_PATH_HINT_H
#define SERVER_HTTP_PATH_HINT_H

#include "server/http/http.h"

enum { PATH_HINT_LEN = 400 };

/* Why there is nothing at `path`, which is encoded as it came, below `base`: with the path that is like it, or how a slash
 * in a name is written, where that may be it. */
void path_hint(const struct http_routes *routes, const char *base, struct slice path, char out[PATH_HINT_LEN]);

#endif
