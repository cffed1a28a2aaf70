/* Addresses of clients, also of those behind proxies. */
#include <arpa/inet.h>

#include "server/message/peer.h"
#include "server/message/proxy.h"
#include "unit/check.h"

static uint64_t key_of(const char *text)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
		return peer_key((const struct sockaddr *)&v4);
	CHECK(inet_pton(AF_INET6, text, &v6.sin6_addr) == 1);
	return peer_key((const struct sockaddr *)&v6);
}

static void peers(void)
{
	char text[PEER_TEXT_LEN];
	CHECK(key_of("192.0.2.7") != key_of("192.0.2.8"));
	CHECK(key_of("192.0.2.7") == key_of("::ffff:192.0.2.7"));
	CHECK(key_of("2001:db8::1") == key_of("2001:db8::2:1"));
	CHECK(key_of("2001:db8::1") != key_of("2001:db8:0:1::1"));
	peer_text(key_of("192.0.2.7"), text);
	CHECK(strcmp(text, "192.0.2.7") == 0);
	peer_text(key_of("2001:db8::5"), text);
	CHECK(strcmp(text, "2001:db8::/64") == 0);
}

static uint64_t proxied(const char *from, const struct forwarded *f)
{
	struct proxies p = {0};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	CHECK(proxies_add(&p, "192.0.2.1") && inet_pton(AF_INET6, from, &v6.sin6_addr) == 1);
	return proxies_peer(&p, (const struct sockaddr *)&v6, f);
}

static void proxies_name_their_clients(void)
{
	struct forwarded f = {0};
	CHECK(proxied("::ffff:192.0.2.1", &f) == key_of("192.0.2.1"));
	forwarded_add(&f, slice_of("198.51.100.7, 192.0.2.1"));
	CHECK(proxied("::ffff:192.0.2.1", &f) == key_of("198.51.100.7"));
	CHECK(proxied("2001:db8::1", &f) == key_of("2001:db8::1"));
	/* Of many lines the last count. */
	for (int i = 0; i < FORWARDED_MAX; i++)
		forwarded_add(&f, slice_of("192.0.2.1"));
	CHECK(f.count == FORWARDED_MAX && proxied("::ffff:192.0.2.1", &f) == key_of("192.0.2.1"));
	struct proxies p = {0};
	CHECK(proxies_add(&p, "192.0.2.1"));
	CHECK(proxies_counted(&p, &(struct sockaddr){.sa_family = AF_UNIX}) ==
	      peer_key(&(struct sockaddr){.sa_family = AF_UNIX}));
}

int main(void)
{
	RUN(peers);
	RUN(proxies_name_their_clients);
	return check_end();
}
