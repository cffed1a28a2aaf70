/* History as NDJSON of any length: one page at a time from the store, in either order. */
#ifndef SERVER_STREAM_NDJSON_H
#define SERVER_STREAM_NDJSON_H

#include "server/http/http.h"
#include "server/message/content_encoding.h"
#include "server/stream/history_range.h"

struct ndjson_options {
	struct store *store;
	const char *base;           /* prefix of the server's paths, for errors after the first page */
	uint32_t limit;             /* events; 0: no limit */
	enum content_coding coding; /* of the reply, if there is memory for compression */
};

/* Reads the first page of `range`, and streams it and the following ones as the reply to `x`. Takes the selection. An
 * error means that the first page failed, and nothing is sent; later errors become the last line, and the transfer is
 * aborted. */
enum err ndjson_stream_take(struct http_request *x, struct reader *reader, const struct history_range *range,
			    struct ndjson_options options, struct fault *fault);

#endif
