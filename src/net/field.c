#include "net/field.h"

#include <stdlib.h>
#include <strings.h>

struct slice field_trim(struct slice value)
{
	while (value.len > 0 && (value.p[0] == ' ' || value.p[0] == '\t'))
		value = (struct slice){value.p + 1, value.len - 1};
	while (value.len > 0 && (value.p[value.len - 1] == ' ' || value.p[value.len - 1] == '\t'))
		value.len--;
	return value;
}

struct slice field_cut(struct slice *rest, char c)
{
	const char *end = memchr(rest->p, c, rest->len);
	size_t len = end != NULL ? (size_t)(end - rest->p) : rest->len;
	struct slice part = {rest->p, len};
	size_t used = end != NULL ? len + 1 : len;
	*rest = (struct slice){rest->p + used, rest->len - used};
	return field_trim(part);
}

bool field_is(struct slice value, struct slice text)
{
	return value.len == text.len && strncasecmp(value.p, text.p, text.len) == 0;
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

double field_quality(struct slice accept, const char *type)
{
	while (accept.len > 0) {
		struct slice item = field_cut(&accept, ',');
		if (!field_is(field_cut(&item, ';'), slice_of(type)))
			continue;
		double quality = 1;
		while (item.len > 0)
			quality *= weight(field_cut(&item, ';'));
		return quality;
	}
	return 0;
}
