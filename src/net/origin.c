#include "net/origin.h"

#include <strings.h>

#include "net/field.h"

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
			return field_is((struct slice){origin.p + n, origin.len - n}, host);
	}
	return false;
}
