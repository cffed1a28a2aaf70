/* `serve --salvage`: checks the whole store before it is served, and rebuilds a damaged one from the data that can be
 * read. */
#ifndef APP_RESCUE_H
#define APP_RESCUE_H

#include "app/config.h"
#include "base/err.h"

/* *salvaged: the store was damaged and rebuilt; the loss of events must then be accepted once (store_options). Reports on
 * stderr. */
enum err rescue(const struct config *c, bool *salvaged, struct fault *fault);

#endif
