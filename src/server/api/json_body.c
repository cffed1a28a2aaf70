#include "server/api/json_body.h"

#include <stdio.h>
#include <stdlib.h>

#include "json/json.h"

enum { KEY_SHOWN = 64, LIST_LEN = 200 };

/* Writes the names as "a", "b" and "c". */
static void list_names(const struct member *members, size_t count, char out[LIST_LEN])
{
	size_t len = 0;
	out[0] = '\0';
	for (size_t i = 0; i < count && len < LIST_LEN; i++)
		len += (size_t)snprintf(out + len, LIST_LEN - len, "%s\"%s\"",
					i == 0          ? ""
					: i + 1 < count ? ", "
							: " and ",
					members[i].name);
}

/* Length of the part of a key that is shown_len; never splits a character. */
static int shown_len(struct slice key)
{
	size_t len = key.len < KEY_SHOWN ? key.len : KEY_SHOWN;
	while (len > 0 && len < key.len && (key.p[len] & 0xc0) == 0x80)
		len--;
	return (int)len;
}

static enum err unknown(struct slice key, const struct member *members, size_t count, struct fault *fault)
{
	char names[LIST_LEN];
	list_names(members, count, names);
	return fault_set(fault, ERR_INVALID, "unknown member \"%.*s\" in the body; allowed: %s", shown_len(key), key.p,
			 count > 0 ? names : "none");
}

static enum err read_object(struct slice object, struct member *members, size_t count, struct fault *fault)
{
	for (struct json_walk w = json_walk(object); json_next(&w);) {
		size_t i = 0;
		while (i < count && !json_key_is(w.key, members[i].name))
			i++;
		if (i == count)
			return unknown(w.key, members, count, fault);
		if (members[i].value.p != NULL)
			return fault_set(fault, ERR_INVALID, "duplicate member \"%s\" in the body", members[i].name);
		members[i].value = w.value;
	}
	return ERR_NONE;
}

static enum err read_members(char *text, size_t len, struct member *members, size_t count, struct fault *fault)
{
	static const char bom[] = "\xef\xbb\xbf"; /* the byte order mark is not part of JSON */
	size_t skip = len >= sizeof bom - 1 && memcmp(text, bom, sizeof bom - 1) == 0 ? sizeof bom - 1 : 0;
	struct slice value = {text + skip, 0};
	struct json_error error;
	if (!json_minify(text + skip, len - skip, text + skip, &value.len, &error))
		return fault_set(fault, ERR_INVALID, "the body is not a JSON object: %s at byte %zu", error.what,
				 error.offset + skip);
	if (json_kind(value) != JSON_OBJECT)
		return fault_set(fault, ERR_INVALID, "the body is not a JSON object");
	return read_object(value, members, count, fault);
}

enum err json_body_take(struct http_request *x, struct member *members, size_t count, char **text, struct fault *fault)
{
	size_t len;
	*text = request_body_take(x, &len);
	return *text != NULL && len > 0 ? read_members(*text, len, members, count, fault) : ERR_NONE;
}

bool json_body_refuse(struct http_request *x)
{
	struct fault fault;
	char *text;
	enum err err = json_body_take(x, NULL, 0, &text, &fault);
	free(text);
	if (!err)
		return false;
	request_fault(x, &fault);
	request_done(x);
	return true;
}
