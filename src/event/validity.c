#include "event/validity.h"

#include "event/json.h"

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

/* A second half of a surrogate pair, \uDC00 to \uDFFF, is no character of its own. */
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
	if (json_kind(value) == JSON_NULL)
		return 0;
	if (json_kind(value) != JSON_STRING)
		return 1u << kind;
	size_t count = characters((struct slice){value.p + 1, value.len - 2}, true);
	return count >= 1 && count <= max ? 0 : 1u << length;
}

static unsigned check_member(struct slice key, struct slice value)
{
	enum json_kind kind = json_kind(value);
	if (json_key_is(key, "type"))
		return check_text(value, TYPE_MAX, VALID_TYPE_KIND, VALID_TYPE_LENGTH);
	if (json_key_is(key, "script_name") || json_key_is(key, "script") || json_key_is(key, "source"))
		return check_text(value, SOURCE_MAX, VALID_SOURCE_KIND, VALID_SOURCE_LENGTH);
	if (json_key_is(key, "timestamp"))
		return kind == JSON_STRING || kind == JSON_NUMBER || kind == JSON_NULL ? 0 : 1u << VALID_TIMESTAMP;
	if (json_key_is(key, "metadata"))
		return kind == JSON_OBJECT || kind == JSON_NULL ? 0 : 1u << VALID_METADATA;
	return 0;
}

unsigned validity_check(struct slice type, bool is_json, struct slice data)
{
	unsigned broken = characters(type, is_json) <= TYPE_MAX ? 0 : 1u << VALID_TYPE_LENGTH;
	if (json_kind(data) != JSON_OBJECT)
		return broken | 1u << VALID_DATA;
	for (struct json_walk w = json_walk(data); json_next(&w);)
		broken |= check_member(w.key, w.value);
	return broken;
}
