/* The making of a committed batch: the store's alone (see store/log/store.h). */
#ifndef STORE_LOG_COMMITTED_H
#define STORE_LOG_COMMITTED_H

#include "event/page_build.h"
#include "store/log/store.h"

enum { COMMITTED_PAGE_BYTES = 256 * 1024 };

struct committed *committed_create(void);
/* Takes the page; on ERR_NOMEM it is given back to nobody, but freed. */
enum err committed_add_take(struct committed *c, struct page *page);

#endif
