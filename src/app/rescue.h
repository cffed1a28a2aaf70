/* `serve --salvage`: looks at the whole store before it is served, and makes what can be read a store again where it is
 * damaged. */
#ifndef APP_RESCUE_H
#define APP_RESCUE_H

#include "app/config.h"
#include "base/err.h"

/* *salvaged: it was damaged; what is gone has to be accepted once (store_options). Says on stderr what was found. */
enum err rescue(const struct config *c, bool *salvaged, struct fault *fault);

#endif
