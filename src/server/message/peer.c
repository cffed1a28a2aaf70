#include "server/message/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

/* As a /64, ::ffff:0:0/96 would be all of IPv4, so IPv4 is marked by bits that no /64 in use has. */
static const uint64_t ipv4_mark = UINT64_C(0xffff) << 32;

static uint64_t of_ipv4(const void *address)
{
	uint32_t number;
	memcpy(&number, address, sizeof number);
	return ipv4_mark | ntohl(number);
}

uint64_t peer_key(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET)
		return of_ipv4(&((const struct sockaddr_in *)(const void *)address)->sin_addr);
	if (address->sa_family != AF_INET6)
		return 0;
	const struct in6_addr *a = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
	if (IN6_IS_ADDR_V4MAPPED(a))
		return of_ipv4(a->s6_addr + 12);
	uint64_t key = 0;
	for (int i = 0; i < 8; i++)
		key = key << 8 | a->s6_addr[i];
	return key;
}

void peer_text(uint64_t key, char out[PEER_TEXT_LEN])
{
	if (key >> 32 == ipv4_mark >> 32) {
		uint32_t number = htonl((uint32_t)key);
		inet_ntop(AF_INET, &number, out, PEER_TEXT_LEN);
		return;
	}
	struct in6_addr a = {0};
	for (int i = 0; i < 8; i++)
		a.s6_addr[i] = (uint8_t)(key >> (56 - 8 * i));
	char text[INET6_ADDRSTRLEN];
	inet_ntop(AF_INET6, &a, text, sizeof text);
	snprintf(out, PEER_TEXT_LEN, "%s/64", text);
}

bool peer_is_local(int fd)
{
	struct sockaddr_storage a = {0};
	socklen_t len = sizeof a;
	if (getsockname(fd, (struct sockaddr *)&a, &len) != 0)
		return true; /* if unknown, assume the stricter case */
	if (a.ss_family == AF_UNIX)
		return false;
	const struct sockaddr_in6 *v6 = (const void *)&a;
	if (a.ss_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
		return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
	return (peer_key((const struct sockaddr *)&a) >> 24 & 0xff) == IN_LOOPBACKNET;
}
