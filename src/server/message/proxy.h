/* Reverse proxies whose X-Forwarded-For is trusted. From any other peer the header may be forged. */
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

/* The X-Forwarded-For lines of a request, in order; they form one list, because a proxy may add a line of its own.
 * Zeroed: none. */
struct forwarded {
	int count;
	struct slice lines[FORWARDED_MAX];
};

/* Adds a line. With FORWARDED_MAX lines the first one is dropped: it is the farthest from this server. */
void forwarded_add(struct forwarded *f, struct slice line);

/* False: `text` is not an IPv4 or IPv6 address, or there are PROXIES_MAX already. */
bool proxies_add(struct proxies *p, const char *text);
/* The peer that connection limits count (server/message/peer.h); 0 for a trusted proxy, which may have any number of
 * connections. */
uint64_t proxies_counted(const struct proxies *p, const struct sockaddr *from);
/* The peer that sent a request (server/message/peer.h): the peer of the connection, or, if that is a trusted proxy, the
 * last address in `forwarded` that is not one. */
uint64_t proxies_peer(const struct proxies *p, const struct sockaddr *from, const struct forwarded *forwarded);

#endif
