/* Verify: finding the event on a damaged page. Pages and events have sums: the first event with a wrong sum is taken to be
 * on the damaged page. */
#ifndef STORE_REPAIR_VERIFY_EVENT_H
#define STORE_REPAIR_VERIFY_EVENT_H

#include "base/err.h"

/* After ERR_CORRUPT in the database of a store's directory: puts the first event with a wrong sum before the fault's text.
 * Reads the whole log. */
void verify_name_event(const char *dir, struct fault *fault);

#endif
