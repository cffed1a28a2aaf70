/* A hint for requests to a path that does not exist. */
#ifndef SERVER_HTTP_PATH_HINT_H
#define SERVER_HTTP_PATH_HINT_H

#include "server/http/http.h"

enum { PATH_HINT_LEN = 400 };

/* The text of a 404 for `path` (percent-encoded, below `base`), with a similar path, or with how a slash in a name is
 * written, where one of the two may be meant. */
void path_hint(const struct http_routes *routes, const char *base, struct slice path, char out[PATH_HINT_LEN]);

#endif
