/* Which web pages may do what: a page of another origin may not publish or open a WebSocket unless its origin is listed. */
#ifndef SERVER_ACCESS_ORIGIN_H
#define SERVER_ACCESS_ORIGIN_H

#include <stdbool.h>

#include "base/options.h"
#include "base/slice.h"

enum { OWN_PORTS_MAX = OPTION_TEXTS_MAX };

/* The ports that this server listens on. */
struct own_ports {
	int count;
	int ports[OWN_PORTS_MAX];
};

/* `origin` is the Origin header (empty: not a browser, or the same page), `host` the Host header. A page from another
 * port of this machine counts as the server's own if the server listens on that port, too; `own` may be NULL. */
bool origin_is_fine(struct slice origin, struct slice host, const struct option_texts *allowed, const struct own_ports *own);

/* Is the origin listed by name? With `*`, browsers send no credentials. */
bool origin_may_send_credentials(struct slice origin, const struct option_texts *allowed);

#endif
