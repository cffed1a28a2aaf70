#include "server/message/entity.h"

#include <stdio.h>
#include <time.h>

#include "server/message/field.h"

/* Is the quoted tag in the list, or is the list `*`? `weak`: by weak comparison (RFC 9110, 8.8.3.2). */
static bool names_tag(struct slice list, const char *tag, bool weak)
{
	while (list.len > 0) {
		struct slice item = field_cut(&list, ',');
		if (weak && slice_begins(item, slice_of("W/")))
			item = (struct slice){item.p + 2, item.len - 2};
		if (slice_is(item, tag) || slice_is(item, "*"))
			return true;
	}
	return false;
}

/* The program runs in the C locale. */
bool entity_date(int64_t seconds, char out[ENTITY_DATE_LEN])
{
	struct tm tm;
	time_t when = seconds;
	return gmtime_r(&when, &tm) != NULL && strftime(out, ENTITY_DATE_LEN, "%a, %d %b %Y %H:%M:%S GMT", &tm) > 0;
}

/* Parses the three formats of RFC 9110, 5.6.7. False: not a date, and the header is ignored. */
static bool read_date(struct slice text, int64_t *seconds)
{
	static const char *const forms[] = {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT",
					    "%a %b %e %H:%M:%S %Y"};
	char copy[40];
	if (text.len == 0 || text.len >= sizeof copy)
		return false;
	snprintf(copy, sizeof copy, "%.*s", (int)text.len, text.p);
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		struct tm tm = {0};
		const char *end = strptime(copy, forms[i], &tm);
		if (end == NULL || *end != '\0')
			continue;
		*seconds = timegm(&tm);
		return true;
	}
	return false;
}

enum entity_verdict entity_check(const struct entity_conditions *c, const char *tag, int64_t modified_s)
{
	int64_t date;
	bool dated = modified_s != 0;
	if (c->if_match.len > 0) {
		if (!names_tag(c->if_match, tag, false))
			return ENTITY_FAILED;
	} else if (dated && read_date(c->if_unmodified_since, &date) && modified_s > date) {
		return ENTITY_FAILED;
	}
	if (c->if_none_match.len > 0)
		return names_tag(c->if_none_match, tag, true) ? ENTITY_KNOWN : ENTITY_GO_ON;
	return dated && read_date(c->if_modified_since, &date) && modified_s <= date ? ENTITY_KNOWN : ENTITY_GO_ON;
}

/* Parses digits; an empty text is invalid. Numbers beyond 64 bits are clamped. */
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
	if (first_text.len == 0) { /* the last N bytes */
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
