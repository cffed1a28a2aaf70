/* Names of servers as the Host header and --listen say them: "name", "name:port", "[address]:port". */
#ifndef SERVER_MESSAGE_HOST_H
#define SERVER_MESSAGE_HOST_H

#include <stdbool.h>

#include "base/options.h"
#include "base/slice.h"

/* Cuts off the port: `*port` is empty where there is none, else it begins with a colon. False where it is no such name. */
bool host_split(struct slice authority, struct slice *name, struct slice *port);
/* "localhost", 127.0.0.0/8 or [::1]: names of this machine that nobody else can give an address. */
bool host_is_loopback(struct slice authority);
/* May a request that came in over the loopback carry this Host? A page of the web whose name was made to point here (DNS
 * rebinding) says its own name. `listen` and `allowed` are the names besides; "*" allows any. */
bool host_is_fine(struct slice authority, const struct option_texts *listen, const struct option_texts *allowed);

#endif
