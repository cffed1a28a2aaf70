#include "server/message/host.h"

#include <arpa/inet.h>

#include "server/message/field.h"

bool host_split(struct slice authority, struct slice *name, struct slice *port)
{
	size_t len = 0;
	*name = *port = (struct slice){"", 0};
	if (authority.len == 0) /* `p` may be NULL */
		return false;
	if (authority.p[0] == '[') {
		const char *end = memchr(authority.p, ']', authority.len);
		len = end != NULL ? (size_t)(end - authority.p) + 1 : 0;
	} else {
		while (len < authority.len && authority.p[len] != ':')
			len++;
	}
	*name = (struct slice){authority.p, len};
	*port = (struct slice){authority.p + len, authority.len - len};
	for (size_t i = 1; i < port->len; i++)
		if (port->p[i] < '0' || port->p[i] > '9')
			return false;
	return len > 0 && (port->len == 0 || port->p[0] == ':');
}

bool host_is_loopback(struct slice authority)
{
	char text[INET_ADDRSTRLEN];
	struct slice name;
	struct slice port;
	struct in_addr address;
	if (!host_split(authority, &name, &port))
		return false;
	if (field_is(name, slice_of("localhost")) || slice_is(name, "[::1]"))
		return true;
	if (name.len >= sizeof text || memchr(name.p, '\0', name.len) != NULL)
		return false;
	slice_copy(text, name);
	text[name.len] = '\0';
	return inet_pton(AF_INET, text, &address) == 1 && ntohl(address.s_addr) >> 24 == IN_LOOPBACKNET;
}

static bool is_listed(struct slice name, const struct option_texts *list)
{
	struct slice one;
	struct slice port;
	for (int i = 0; i < list->count; i++)
		if (slice_is(slice_of(list->items[i]), "*") ||
		    (host_split(slice_of(list->items[i]), &one, &port) && field_is(name, one)))
			return true;
	return false;
}

bool host_is_fine(struct slice authority, const struct option_texts *listen, const struct option_texts *allowed)
{
	struct slice name;
	struct slice port;
	if (authority.len == 0) /* not a browser */
		return true;
	bool split = host_split(authority, &name, &port);
	return is_listed(split ? name : authority, allowed) ||
	       (split && (host_is_loopback(authority) || is_listed(name, listen)));
}
