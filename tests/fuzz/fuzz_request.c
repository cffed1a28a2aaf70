/* What comes in before any handler: the head of a connection, its target, and the parameters of a reader. */
#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "server/access/origin.h"
#include "server/access/request_guard.h"
#include "server/message/host.h"
#include "server/message/proxy.h"
#include "server/message/request_peek.h"
#include "server/stream/reader_query.h"

static void read_target(struct slice target)
{
	struct url u;
	struct reader_query q;
	struct fault fault;
	if (url_parse(&u, target) == URL_FINE && reader_query_parse(&u, ~0u, &q, &fault) == ERR_NONE) {
		assert(q.limit <= READER_QUERY_LIMIT_MAX && q.wait_ms <= READER_QUERY_WAIT_MAX_S * 1000);
		reader_query_finish(&q);
	}
	url_finish(&u);
}

/* For whom a proxy says that it asks. */
static void read_forwarded(struct slice text)
{
	static struct proxies proxies;
	const struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (proxies.count == 0 && (!proxies_add(&proxies, "127.0.0.1") || !proxies_add(&proxies, "2001:db8::1")))
		abort();
	struct forwarded forwarded = {0};
	forwarded_add(&forwarded, text);
	proxies_peer(&proxies, (const struct sockaddr *)&from, &forwarded);
}

/* As the value of a Host, an Authorization or an X-Forwarded-For. */
static void read_fields(struct slice text)
{
	const struct option_texts none = {0};
	struct slice name;
	struct slice port;
	struct slice token = request_guard_bearer(text);
	read_forwarded(text);
	assert(token.len <= text.len && memchr(token.p, ' ', token.len) == NULL);
	if (host_split(text, &name, &port))
		assert(name.len + port.len == text.len);
	else
		assert(text.len == 0 || !host_is_fine(text, &none, &none));
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len);
int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len)
{
	/* Without room behind it, so that reading past the end is seen. */
	char *text = malloc(len > 0 ? len : 1);
	const struct option_texts none = {0};
	struct request_peek head;
	memcpy(text, bytes, len);
	if (len > 0 && request_peek_read((struct slice){text, len}, &head) == PEEK_WEBSOCKET) {
		origin_is_fine(head.origin, head.host, &none, NULL);
		read_fields(head.host);
		read_fields(head.authorization);
		for (int i = 0; i < head.forwarded.count; i++)
			read_fields(head.forwarded.lines[i]);
		read_target(head.target);
	}
	read_target((struct slice){text, len});
	read_fields((struct slice){text, len});
	free(text);
	return 0;
}
