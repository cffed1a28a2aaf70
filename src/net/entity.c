#include "net/entity.h"

#include "net/field.h"

bool entity_is_known(struct slice if_none_match, const char *tag)
{
	while (if_none_match.len > 0) {
		struct slice item = field_cut(&if_none_match, ',');
		if (slice_begins(item, slice_of("W/")))
			item = (struct slice){item.p + 2, item.len - 2};
		if (slice_is(item, tag) || slice_is(item, "*"))
			return true;
	}
	return false;
}

/* Digits; an empty text is none. Larger numbers than there are bytes anywhere stay large. */
static bool read_number(struct slice text, uint64_t *out)
{
	*out = 0;
	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return false;
		*out = *out > UINT64_MAX / 100 ? UINT64_MAX / 10 : *out * 10 + (uint64_t)(text.p[i] - '0');
	}
	return text.len > 0;
}

enum range_kind entity_range(struct slice range, struct slice if_range, const char *tag, uint64_t size, uint64_t *from,
			     uint64_t *len)
{
	uint64_t last;
	*from = 0;
	*len = size;
	if (range.len == 0 || (if_range.len > 0 && !slice_is(if_range, tag)) ||
	    !field_is(field_cut(&range, '='), slice_of("bytes")) || memchr(range.p, ',', range.len) != NULL)
		return RANGE_ALL;
	const char *dash = memchr(range.p, '-', range.len);
	if (dash == NULL)
		return RANGE_ALL;
	struct slice first_text = field_trim((struct slice){range.p, (size_t)(dash - range.p)});
	struct slice last_text = field_trim((struct slice){dash + 1, range.len - (size_t)(dash - range.p) - 1});
	bool has_last = read_number(last_text, &last);
	if (first_text.len == 0) { /* that many from the end */
		if (!has_last)
			return RANGE_ALL;
		*len = last < size ? last : size;
		*from = size - *len;
		return *len > 0 ? RANGE_PART : RANGE_NONE;
	}
	if (!read_number(first_text, from) || (last_text.len > 0 && (!has_last || last < *from))) {
		*from = 0;
		return RANGE_ALL;
	}
	if (*from >= size)
		return RANGE_NONE;
	*len = has_last && last < size - 1 ? last - *from + 1 : size - *from;
	return RANGE_PART;
}
