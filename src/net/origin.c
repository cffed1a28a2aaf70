#include "net/origin.h"

#include <strings.h>

static bool same_text(struct slice a, struct slice b)
{
	return a.len == b.len && strncasecmp(a.p, b.p, a.len) == 0;
}

bool origin_is_fine(struct slice origin, struct slice host, const struct option_texts *allowed)
{
	if (origin.len == 0)
		return true;
	for (int i = 0; i < allowed->count; i++)
		if (same_text(origin, slice_of(allowed->items[i])) || slice_is(slice_of(allowed->items[i]), "*"))
			return true;
	static const char *const schemes[] = {"http://", "https://"};
	for (int i = 0; i < 2; i++) {
		size_t n = strlen(schemes[i]);
		if (origin.len > n && strncasecmp(origin.p, schemes[i], n) == 0)
			return same_text((struct slice){origin.p + n, origin.len - n}, host);
	}
	return false;
}
