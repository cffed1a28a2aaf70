/* History as NDJSON of any length: a page at a time from the store, whatever the order. */
#ifndef SERVER_STREAM_NDJSON_H
#define SERVER_STREAM_NDJSON_H

#include "server/http/http.h"
#include "server/message/content_encoding.h"
#include "server/stream/history_range.h"

struct ndjson_options {
	struct store *store;
	const char *base;           /* of the server's paths, for what fails later */
	uint32_t limit;             /* events; 0: all */
	enum content_coding coding; /* of the reply, where there is room for packing it */
};

/* Reads the first page of `range`, and streams that and what follows as the reply of `x`. Takes the selection. A failure is
 * one of the first page, and nothing is sent yet; what fails later is told in a last line, and the transfer breaks off. */
enum err ndjson_stream_take(struct http_request *x, struct reader *reader, const struct history_range *range,
			    struct ndjson_options options, struct fault *fault);

#endif
