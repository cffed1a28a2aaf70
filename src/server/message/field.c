#include "server/message/field.h"

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

/* "q=0.5"; anything else is not a weight and counts as 1. */
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

/* How exactly an item of Accept names a type: 3 the type itself, 2 its main type ("text" and a wildcard), 1 any type; 0
 * not at all. */
static int names_type(struct slice item, struct slice type)
{
	const char *slash = memchr(type.p, '/', type.len);
	size_t kind = slash != NULL ? (size_t)(slash - type.p) + 1 : type.len;
	if (field_is(item, type))
		return FIELD_EXACT;
	if (item.len == kind + 1 && item.p[kind] == '*' && strncasecmp(item.p, type.p, kind) == 0)
		return 2;
	return slice_is(item, "*/*");
}

void field_prefer(struct field_preference *p, struct slice accept, const char *type)
{
	while (accept.len > 0) {
		struct slice item = field_cut(&accept, ',');
		int exactness = names_type(field_cut(&item, ';'), slice_of(type));
		double quality = 1;
		while (item.len > 0)
			quality *= weight(field_cut(&item, ';'));
		if (exactness > p->exactness)
			*p = (struct field_preference){quality, exactness};
	}
}

bool field_is_better(struct field_preference a, struct field_preference b)
{
	return a.quality > b.quality || (a.quality > 0 && a.quality == b.quality && a.exactness > b.exactness);
}

bool field_names(struct slice accept, const char *type)
{
	struct field_preference p = {0, 0};
	field_prefer(&p, accept, type);
	return p.exactness == FIELD_EXACT && p.quality > 0;
}

enum content_coding field_coding(struct slice accept_encoding)
{
	enum content_coding best = CONTENT_CODING_NONE;
	double quality = 0;
	for (enum content_coding c = CONTENT_CODING_ZSTD; c > CONTENT_CODING_NONE; c--) {
		struct field_preference p = {0, 0};
		field_prefer(&p, accept_encoding, content_coding_name(c));
		if (p.exactness != FIELD_EXACT || p.quality <= quality)
			continue;
		quality = p.quality;
		best = c;
	}
	return best;
}
