/* Reverse proxies that may say for whom they ask. From anybody else X-Forwarded-For is what the client made up. */
#ifndef SERVER_MESSAGE_PROXY_H
#define SERVER_MESSAGE_PROXY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/slice.h"

enum { PROXIES_MAX = 16, FORWARDED_MAX = 8 };

struct address {
	int family; /* AF_INET or AF_INET6 */
	unsigned char bytes[16];
};

struct proxies {
	int count;
	struct address items[PROXIES_MAX];
};

/* The X-Forwarded-For lines of a request, in order, which are one list: a proxy may add a line of its own. Zeroed: there is
 * none. */
struct forwarded {
	int count;
	struct slice lines[FORWARDED_MAX];
};

/* Where there are FORWARDED_MAX lines the first one goes: it is the farthest from this server. */
void forwarded_add(struct forwarded *f, struct slice line);

/* False when `text` is no IPv4 or IPv6 address, or there are PROXIES_MAX. */
bool proxies_add(struct proxies *p, const char *text);
/* Who counts as the peer of a connection (server/message/peer.h); 0 for a proxy: it has as many connections as it needs, its
 * clients are limited, and those it limits itself. */
uint64_t proxies_counted(const struct proxies *p, const struct sockaddr *from);
/* Whose request it is (server/message/peer.h): of whoever is at the other end, or where that is a proxy, the last in
 * `forwarded` that is not one. */
uint64_t proxies_peer(const struct proxies *p, const struct sockaddr *from, const struct forwarded *forwarded);

#endif
