/* The sockets that the listener accepts connections on. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/units.h"
#include "server/listen/listener_internal.h"

enum { BACKLOG = 4096 };

/* "HOST:PORT" or "[HOST]:PORT". */
static bool split_address(const char *text, char *host, size_t size, const char **port)
{
	const char *colon = strrchr(text, ':');
	if (colon == NULL || colon[1] == '\0')
		return false;
	const char *from = text;
	const char *to = colon;
	if (text[0] == '[' && to > text && to[-1] == ']') {
		from++;
		to--;
	}
	if (to <= from || (size_t)(to - from) >= size)
		return false;
	snprintf(host, size, "%.*s", (int)(to - from), from);
	*port = colon + 1;
	return true;
}

bool listener_address_fits(const char *text)
{
	char host[256];
	const char *port;
	int64_t number;
	return split_address(text, host, sizeof host, &port) && units_integer(slice_of(port), &number) && number <= 65535;
}

static void describe(struct listen_socket *s)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof a;
	char host[64];
	char port[8];
	if (getsockname(s->fd, (struct sockaddr *)&a, &len) != 0 ||
	    getnameinfo((struct sockaddr *)&a, len, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) !=
		    0)
		return;
	bool v6 = a.ss_family == AF_INET6;
	snprintf(s->address, sizeof s->address, "%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "", port);
}

int listen_socket_port(const struct listen_socket *s)
{
	const char *colon = strrchr(s->address, ':');
	return colon != NULL ? (int)strtol(colon + 1, NULL, 10) : 0;
}

/* The machine does not support the protocol, or does not have the address. */
static bool is_unsupported(int why)
{
	return why == EAFNOSUPPORT || why == EADDRNOTAVAIL;
}

/* A name may stand for several addresses, such as ::1 and 127.0.0.1: all of them get the same port, also where the system
 * chooses it. `first` is the index of the socket of the first address. Returns an errno, or 0. */
static int listen_at(struct listener *l, const struct addrinfo *a, bool encrypted, int first)
{
	if (l->socket_count == LISTENERS_MAX)
		return ENOSPC;
	struct listen_socket *s = &l->sockets[l->socket_count];
	struct sockaddr_storage address = {0};
	int one = 1;
	memcpy(&address, a->ai_addr, a->ai_addrlen);
	in_port_t *port = a->ai_family == AF_INET6 ? &((struct sockaddr_in6 *)&address)->sin6_port
						   : &((struct sockaddr_in *)&address)->sin_port;
	if (*port == 0 && l->socket_count > first)
		*port = htons((uint16_t)listen_socket_port(&l->sockets[first]));
	s->encrypted = encrypted;
	s->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool fine = s->fd >= 0 && setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
		    bind(s->fd, (struct sockaddr *)&address, a->ai_addrlen) == 0 && listen(s->fd, BACKLOG) == 0;
	int why = fine ? 0 : errno;
	if (fine) {
		l->socket_count++;
		describe(s);
	} else if (s->fd >= 0) {
		close(s->fd);
	}
	return why;
}

enum err listen_socket_open(struct listener *l, const char *text, bool encrypted, struct fault *fault)
{
	char host[256];
	const char *port;
	if (!split_address(text, host, sizeof host, &port))
		return fault_set(fault, ERR_INVALID, "--listen needs HOST:PORT, not %s", text);
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *found;
	int rc = getaddrinfo(host, port, &hints, &found);
	if (rc != 0)
		return fault_set(fault, ERR_INVALID, "--listen %s: %s", text, gai_strerror(rc));
	int before = l->socket_count;
	int why = 0;
	for (const struct addrinfo *a = found; a != NULL && (why == 0 || is_unsupported(why)); a = a->ai_next)
		why = listen_at(l, a, encrypted, before);
	freeaddrinfo(found);
	if (why == 0 || (is_unsupported(why) && l->socket_count > before))
		return ERR_NONE;
	return fault_set(fault, ERR_IO, "cannot listen on %s: %s", text, strerror(why));
}
