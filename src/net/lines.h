/* History as NDJSON of any length: a page at a time from the store, whatever the order. */
#ifndef NET_LINES_H
#define NET_LINES_H

#include "net/http.h"
#include "net/range.h"
#include "store/squeeze.h"

struct lines_options {
	struct store *store;
	const char *base;   /* of the server's paths, for what fails later */
	uint32_t limit;     /* events; 0: all */
	enum coding coding; /* of the reply, where there is room for packing it */
};

/* Reads the first page of `range`, and streams that and what follows as the reply of `x`. Takes the selection. A failure is
 * one of the first page, and nothing is sent yet; what fails later is told in a last line, and the transfer breaks off. */
enum err lines_stream_take(struct exchange *x, struct reader *reader, const struct range *range,
			   struct lines_options options, struct fault *fault);

#endif
