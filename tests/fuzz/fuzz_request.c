/* What comes in before any handler: the head of a connection, its target, and the parameters of a reader. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "net/head.h"
#include "net/origin.h"
#include "net/query.h"

static void read_target(struct slice target)
{
	struct url u;
	struct query q;
	struct fault fault;
	if (url_parse(&u, target) == URL_FINE && query_parse(&u, ~0u, "e", &q, &fault) == ERR_NONE) {
		assert(q.limit <= QUERY_LIMIT_MAX && q.wait_ms <= QUERY_WAIT_MAX_S * 1000);
		query_finish(&q);
	}
	url_finish(&u);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len);
int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len)
{
	/* Without room behind it, so that reading past the end is seen. */
	char *text = malloc(len > 0 ? len : 1);
	const struct option_texts none = {0};
	struct head head;
	memcpy(text, bytes, len);
	if (len > 0 && head_read((struct slice){text, len}, &head) == HEAD_WEBSOCKET) {
		origin_is_fine(head.origin, head.host, &none);
		read_target(head.target);
	}
	read_target((struct slice){text, len});
	free(text);
	return 0;
}
