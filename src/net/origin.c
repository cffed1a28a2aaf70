#include "net/origin.h"

#include <strings.h>

#include "net/field.h"

/* The port behind one of the names of this machine; empty where none is said. */
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

/* The same server: the same name and port, or two names of this machine (an old page says localhost wherever it was loaded
 * from). */
static bool is_same(struct slice a, struct slice b)
{
	struct slice port_a;
	struct slice port_b;
	return field_is(a, b) || (is_loopback(a, &port_a) && is_loopback(b, &port_b) && slice_eq(port_a, port_b));
}

bool origin_is_fine(struct slice origin, struct slice host, const struct option_texts *allowed)
{
	if (origin.len == 0)
		return true;
	for (int i = 0; i < allowed->count; i++)
		if (field_is(origin, slice_of(allowed->items[i])) || slice_is(slice_of(allowed->items[i]), "*"))
			return true;
	static const char *const schemes[] = {"http://", "https://"};
	for (int i = 0; i < 2; i++) {
		size_t n = strlen(schemes[i]);
		if (origin.len > n && strncasecmp(origin.p, schemes[i], n) == 0)
			return is_same((struct slice){origin.p + n, origin.len - n}, host);
	}
	return false;
}
