/* Host names as in the Host header and --listen: "name", "name:port", "[address]:port". */
#ifndef SERVER_MESSAGE_HOST_H
#define SERVER_MESSAGE_HOST_H

#include <stdbool.h>

#include "base/options.h"
#include "base/slice.h"

/* Splits off the port: *port is empty, or begins with a colon. False: not a valid name. */
bool host_split(struct slice authority, struct slice *name, struct slice *port);
/* "localhost", 127.0.0.0/8 or [::1]: names of this machine that nobody else can assign an address to. */
bool host_is_loopback(struct slice authority);
/* May a request that came in over the loopback carry this Host? A web page whose name was made to resolve to this machine
 * (DNS rebinding) sends its own name. `listen` and `allowed` are further valid names; "*" allows any. */
bool host_is_fine(struct slice authority, const struct option_texts *listen, const struct option_texts *allowed);

#endif
