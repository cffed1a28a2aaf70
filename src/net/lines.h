/* History as NDJSON of any length: a page at a time from the store, whatever the order. */
#ifndef NET_LINES_H
#define NET_LINES_H

#include "net/http.h"
#include "tidemark/history.h"

/* Streams what `q` selects as the reply of `x`; q.count_max 0 means no limit. `head` (taken) is sent first. Takes
 * q.select. */
enum err lines_stream(struct exchange *x, const struct history_query *q, struct buf *head);

#endif
