/* Making a committed batch. Only for the store (see store/log/store.h). */
#ifndef STORE_LOG_COMMITTED_H
#define STORE_LOG_COMMITTED_H

#include "event/page_build.h"
#include "store/log/store.h"

enum { COMMITTED_PAGE_BYTES = 256 * 1024 };

struct committed *committed_create(void);
/* Takes the page, also on ERR_NOMEM. NULL for `page` is ERR_NOMEM. */
enum err committed_add_take(struct committed *c, struct page *page);

#endif
