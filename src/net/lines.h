/* History as NDJSON of any length: a page at a time from the store, whatever the order. */
#ifndef NET_LINES_H
#define NET_LINES_H

#include "net/http.h"
#include "tidemark/history.h"

struct lines_options {
	struct store *store;
	struct buf head; /* sent first */
	bool packed;     /* with Content-Encoding: zstd */
};

/* Streams what `q` selects as the reply of `x`; q.count_max 0 means no limit. Takes q.select and the head. */
enum err lines_stream_take(struct exchange *x, const struct history_query *q, struct lines_options *options);

#endif
