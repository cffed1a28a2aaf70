/* Verify: which event is in a damaged place of the database. A page has a sum, and so has each event: where the page's is
 * wrong, the first event whose own is wrong, too, is the one that was meant. */
#ifndef STORE_REPAIR_VERIFY_EVENT_H
#define STORE_REPAIR_VERIFY_EVENT_H

#include "base/err.h"

/* After a fault (ERR_CORRUPT) in the database of a store's directory: puts the event before it, where one is not what its
 * sum says. Reads the whole log. */
void verify_name_event(const char *dir, struct fault *fault);

#endif
