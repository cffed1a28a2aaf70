#include "net/accept.h"

#include <stdlib.h>
#include <strings.h>

static struct slice trim(struct slice s)
{
	while (s.len > 0 && (*s.p == ' ' || *s.p == '\t'))
		s = (struct slice){s.p + 1, s.len - 1};
	while (s.len > 0 && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
		s.len--;
	return s;
}

/* Cuts what stands before `c` off the front; the whole where there is none. */
static struct slice cut(struct slice *rest, char c)
{
	const char *end = memchr(rest->p, c, rest->len);
	size_t len = end != NULL ? (size_t)(end - rest->p) : rest->len;
	struct slice part = {rest->p, len};
	size_t used = end != NULL ? len + 1 : len;
	*rest = (struct slice){rest->p + used, rest->len - used};
	return trim(part);
}

/* "q=0.5"; anything else is no weight and leaves 1. */
static double weight(struct slice parameter)
{
	char text[8];
	if (parameter.len < 3 || parameter.len - 2 >= sizeof text || strncasecmp(parameter.p, "q=", 2) != 0)
		return 1;
	memcpy(text, parameter.p + 2, parameter.len - 2);
	text[parameter.len - 2] = '\0';
	double q = strtod(text, NULL);
	return q < 0 ? 0 : q > 1 ? 1 : q;
}

double accept_quality(struct slice header, const char *type)
{
	while (header.len > 0) {
		struct slice item = cut(&header, ',');
		struct slice name = cut(&item, ';');
		if (name.len != strlen(type) || strncasecmp(name.p, type, name.len) != 0)
			continue;
		double quality = 1;
		while (item.len > 0)
			quality *= weight(cut(&item, ';'));
		return quality;
	}
	return 0;
}
