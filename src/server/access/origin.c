#include "server/access/origin.h"

#include <stdio.h>
#include <strings.h>

#include "server/message/field.h"

/* The port of an authority that names this machine; empty: the default port. */
static bool is_loopback(struct slice authority, struct slice *port)
{
	static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
	for (int i = 0; i < 3; i++) {
		size_t n = strlen(names[i]);
		if (authority.len < n || strncasecmp(authority.p, names[i], n) != 0 ||
		    (authority.len > n && authority.p[n] != ':'))
			continue;
		*port = (struct slice){authority.p + n, authority.len - n};
		return true;
	}
	return false;
}

/* Is it one of this server's ports? `port` begins with a colon. */
static bool is_own(struct slice port, const struct own_ports *own)
{
	char text[16];
	for (int i = 0; own != NULL && i < own->count; i++) {
		snprintf(text, sizeof text, ":%d", own->ports[i]);
		if (slice_is(port, text))
			return true;
	}
	return false;
}

/* Is the page from this server? Either the names and ports are equal, or both names mean this machine and the port is one
 * of this server's (the Python hub's page uses localhost and its port wherever it was loaded from). The latter only if
 * the Host header names this machine, too: localhost on another machine is not this server. */
static bool is_same(struct slice origin, struct slice host, const struct own_ports *own)
{
	struct slice from;
	struct slice to;
	return field_is(origin, host) ||
	       (is_loopback(origin, &from) && is_loopback(host, &to) && (slice_eq(from, to) || is_own(from, own)));
}

bool origin_may_send_credentials(struct slice origin, const struct option_texts *allowed)
{
	for (int i = 0; i < allowed->count; i++)
		if (field_is(origin, slice_of(allowed->items[i])))
			return true;
	return false;
}

bool origin_is_fine(struct slice origin, struct slice host, const struct option_texts *allowed, const struct own_ports *own)
{
	if (origin.len == 0)
		return true;
	if (origin_may_send_credentials(origin, allowed))
		return true;
	for (int i = 0; i < allowed->count; i++)
		if (slice_is(slice_of(allowed->items[i]), "*"))
			return true;
	static const char *const schemes[] = {"http://", "https://"};
	for (int i = 0; i < 2; i++) {
		size_t n = strlen(schemes[i]);
		if (origin.len > n && strncasecmp(origin.p, schemes[i], n) == 0)
			return is_same((struct slice){origin.p + n, origin.len - n}, host, own);
	}
	return false;
}
