#include "profiles/monitoring/event/validity.h"

#include "json/json.h"

enum { TYPE_MAX = 50, SOURCE_MAX = 100 /* characters */ };

const char *validity_rule(enum validity rule)
{
	static const char *const names[VALIDITIES] = {"data",   "event_type", "event_type", "source",
						      "source", "timestamp",  "metadata"};
	return names[rule];
}

const char *validity_reason(enum validity rule)
{
	static const char *const texts[VALIDITIES] = {
		"data: the payload is no object",
		"event_type: the type is no text",
		"event_type: the type has not 1 to 50 characters",
		"source: script_name, script or source is no text",
		"source: script_name, script or source has not 1 to 100 characters",
		"timestamp: it is neither a text nor a number",
		"metadata: it is no object",
	};
	return texts[rule];
}

/* The second half of a surrogate pair, \uDC00 to \uDFFF, is not a character of its own. */
static bool is_second_half(const char *escape)
{
	return (escape[2] == 'd' || escape[2] == 'D') &&
	       ((escape[3] >= 'c' && escape[3] <= 'f') || (escape[3] >= 'C' && escape[3] <= 'F'));
}

static size_t characters(struct slice text, bool is_json)
{
	size_t count = 0;
	for (size_t i = 0; i < text.len; count++) {
		if (is_json && text.p[i] == '\\') {
			bool unicode = i + 6 <= text.len && text.p[i + 1] == 'u';
			count -= unicode && is_second_half(text.p + i);
			i += unicode ? 6 : 2;
			continue;
		}
		i++;
		while (i < text.len && ((unsigned char)text.p[i] & 0xc0) == 0x80)
			i++;
	}
	return count;
}

static unsigned check_text(struct slice value, size_t max, enum validity kind, enum validity length)
{
	if (value.p == NULL || json_kind(value) == JSON_NULL)
		return 0;
	if (json_kind(value) != JSON_STRING)
		return 1u << kind;
	size_t count = characters((struct slice){value.p + 1, value.len - 2}, true);
	return count >= 1 && count <= max ? 0 : 1u << length;
}

static unsigned check_source(struct slice value)
{
	return check_text(value, SOURCE_MAX, VALID_SOURCE_KIND, VALID_SOURCE_LENGTH);
}

static unsigned check_members(const struct flat_more *m)
{
	enum json_kind time = m->timestamp.p != NULL ? json_kind(m->timestamp) : JSON_NULL;
	enum json_kind metadata = m->metadata.p != NULL ? json_kind(m->metadata) : JSON_NULL;
	unsigned broken = check_text(m->type, TYPE_MAX, VALID_TYPE_KIND, VALID_TYPE_LENGTH) | check_source(m->script_name) |
			  check_source(m->script) | check_source(m->source);
	if (time != JSON_STRING && time != JSON_NUMBER && time != JSON_NULL)
		broken |= 1u << VALID_TIMESTAMP;
	if (metadata != JSON_OBJECT && metadata != JSON_NULL)
		broken |= 1u << VALID_METADATA;
	return broken;
}

unsigned validity_of(const struct flat *f, const struct flat_more *more)
{
	unsigned broken = characters(f->type, true) <= TYPE_MAX ? 0 : 1u << VALID_TYPE_LENGTH;
	return broken | (json_kind(f->data) == JSON_OBJECT ? check_members(more) : 1u << VALID_DATA);
}

unsigned validity_check(struct slice type, struct slice data)
{
	struct flat_more more = {0};
	unsigned broken = characters(type, false) <= TYPE_MAX ? 0 : 1u << VALID_TYPE_LENGTH;
	if (json_kind(data) != JSON_OBJECT)
		return broken | 1u << VALID_DATA;
	json_member(data, "type", &more.type);
	json_member(data, "script_name", &more.script_name);
	json_member(data, "script", &more.script);
	json_member(data, "source", &more.source);
	json_member(data, "timestamp", &more.timestamp);
	json_member(data, "metadata", &more.metadata);
	return broken | check_members(&more);
}
