/* Reverse proxies that may say for whom they ask. From anybody else X-Forwarded-For is what the client made up. */
#ifndef NET_PROXY_H
#define NET_PROXY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "tidemark/slice.h"

enum { PROXIES_MAX = 16 };

struct address {
	int family; /* AF_INET or AF_INET6 */
	unsigned char bytes[16];
};

struct proxies {
	int count;
	struct address items[PROXIES_MAX];
};

/* False when `text` is no IPv4 or IPv6 address, or there are PROXIES_MAX. */
bool proxies_add(struct proxies *p, const char *text);
bool proxies_trust(const struct proxies *p, const struct sockaddr *from);
/* Whose request it is (net/peer.h): of whoever is at the other end, or where that is a proxy, the last in `forwarded` that
 * is not one. */
uint64_t proxies_peer(const struct proxies *p, const struct sockaddr *from, struct slice forwarded);

#endif
