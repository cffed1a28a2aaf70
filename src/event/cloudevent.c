#include "event/cloudevent.h"

#include <strings.h>

#include "base/system/clock.h"
#include "base/units.h"
#include "base/url.h"
#include "json/json.h"

enum { SHOWN_MAX = 40 };

/* Cut where it is longer; only for names, which are quoted in errors. */
static int shown(struct slice name)
{
	return (int)(name.len < SHOWN_MAX ? name.len : SHOWN_MAX);
}

/* --- the JSON format --- */

enum member {
	M_SPECVERSION,
	M_ID,
	M_SOURCE,
	M_TYPE, /* the last that is required */
	M_STREAM,
	M_SUBJECT,
	M_TIME,
	M_DATASCHEMA,
	M_DATACONTENTTYPE,
	M_DATA_BASE64,
	M_DATA,
	MEMBER_COUNT
};

static const char *const member_names[MEMBER_COUNT] = {"specversion",     "id",          "source", "type",
						       "stream",          "subject",     "time",   "dataschema",
						       "datacontenttype", "data_base64", "data"};

/* The known members of an event; what is absent or unset (null) has no text. */
struct json_body {
	struct slice value[MEMBER_COUNT];
	unsigned seen; /* a bit for each member that is present */
};

static bool is_name(struct slice name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!((name.p[i] >= 'a' && name.p[i] <= 'z') || (name.p[i] >= '0' && name.p[i] <= '9')))
			return false;
	return name.len > 0;
}

/* An attribute that only its publisher knows. */
static enum err check_extension(struct slice key, struct slice value, struct fault *fault)
{
	char decoded[6 * SHOWN_MAX];
	struct slice name = key;
	if (memchr(key.p, '\\', key.len) != NULL && key.len + 2 <= sizeof decoded &&
	    json_string((struct slice){key.p - 1, key.len + 2}, decoded, &name.len))
		name.p = decoded;
	if (!is_name(name))
		return fault_set(fault, ERR_INVALID, "\"%.*s\": attributes have names of lower-case letters and digits",
				 shown(key), key.p);
	if (json_kind(value) == JSON_OBJECT || json_kind(value) == JSON_ARRAY)
		return fault_set(fault, ERR_INVALID, "\"%.*s\" is an attribute, and not a string, number or boolean",
				 shown(key), key.p);
	return ERR_NONE;
}

static enum err take_known(struct json_body *m, enum member which, struct slice value, struct fault *fault)
{
	if ((m->seen & 1U << which) != 0)
		return fault_set(fault, ERR_INVALID, "duplicate member \"%s\"", member_names[which]);
	m->seen |= 1U << which;
	if (which != M_DATA && json_kind(value) == JSON_NULL)
		return ERR_NONE;
	if (which != M_DATA && json_kind(value) != JSON_STRING)
		return fault_set(fault, ERR_INVALID, "\"%s\" is not a string", member_names[which]);
	if (which < M_DATA_BASE64 && value.len == 2)
		return fault_set(fault, ERR_INVALID, "\"%s\" is empty", member_names[which]);
	m->value[which] = value;
	return ERR_NONE;
}

static enum err take_member(struct json_body *m, struct slice key, struct slice value, struct fault *fault)
{
	for (int i = 0; i < MEMBER_COUNT; i++)
		if (json_key_is(key, member_names[i]))
			return take_known(m, (enum member)i, value, fault);
	return check_extension(key, value, fault);
}

/* The next character of a JSON string of ASCII, behind which *at goes; 0 where it is not ASCII. */
static char next_char(const char **at)
{
	const char *p = *at;
	*at += p[0] != '\\' ? 1 : p[1] != 'u' ? 2 : 6;
	if (p[0] != '\\')
		return p[0];
	if (p[1] != 'u')
		return (char)(p[1] == '/' ? '/' : 0);
	return (char)(p[2] == '0' && p[3] == '0' && p[4] < '8' ? units_hex(p[4]) << 4 | units_hex(p[5]) : 0);
}

/* RFC 4648, 4, with the padding: `value` is a JSON string. */
static bool is_base64(struct slice value)
{
	size_t chars = 0;
	size_t padding = 0;
	const char *end = value.p + value.len - 1;
	for (const char *at = value.p + 1; at < end; chars++) {
		char c = next_char(&at);
		bool letter =
			(c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
		if (c == '=' ? ++padding > 2 : !letter || padding > 0)
			return false;
	}
	return chars % 4 == 0;
}

static bool is_time(struct slice value)
{
	char text[6 * SHOWN_MAX];
	struct slice time = {text, 0};
	int64_t ms;
	return value.len <= sizeof text && json_string(value, text, &time.len) && clock_parse(time, &ms);
}

static enum err check_members(const struct json_body *m, struct fault *fault)
{
	const struct slice *v = m->value;
	for (int i = 0; i <= M_TYPE; i++)
		if (v[i].p == NULL)
			return fault_set(fault, ERR_INVALID, "\"%s\" is missing: a CloudEvent has to have one",
					 member_names[i]);
	if (!json_key_is((struct slice){v[M_SPECVERSION].p + 1, v[M_SPECVERSION].len - 2}, "1.0"))
		return fault_set(fault, ERR_INVALID, "\"specversion\" is not \"1.0\"");
	if (v[M_TIME].p != NULL && !is_time(v[M_TIME]))
		return fault_set(fault, ERR_INVALID, "\"time\" is not a time of RFC 3339");
	if (v[M_DATA].p != NULL && v[M_DATA_BASE64].p != NULL)
		return fault_set(fault, ERR_INVALID, "\"data\" and \"data_base64\" exclude each other");
	if (v[M_DATA_BASE64].p != NULL && !is_base64(v[M_DATA_BASE64]))
		return fault_set(fault, ERR_INVALID, "\"data_base64\" is not base64");
	return ERR_NONE;
}

enum err cloudevent_read(struct slice text, struct cloudevent *out, struct fault *fault)
{
	struct json_body m = {0};
	enum err err = ERR_NONE;
	if (json_kind(text) != JSON_OBJECT)
		return fault_set(fault, ERR_INVALID, "a CloudEvent is a JSON object");
	for (struct json_walk w = json_walk(text); !err && json_next(&w);)
		err = take_member(&m, w.key, w.value, fault);
	if (!err)
		err = check_members(&m, fault);
	enum member stream = m.value[M_STREAM].p != NULL ? M_STREAM : M_SOURCE;
	*out = (struct cloudevent){m.value[M_ID], m.value[M_TYPE], m.value[stream], member_names[stream]};
	return err;
}

/* --- binary mode --- */

void cloudevent_add_header(struct cloudevent_headers *h, struct slice name, struct slice value)
{
	if (h->count < CLOUDEVENT_HEADERS_MAX) {
		h->items[h->count].name = name;
		h->items[h->count].value = value;
	}
	h->count++;
}

/* Does the media type say JSON (JSON format, 3.1.1)? */
static bool is_json(struct slice type)
{
	const char *end = memchr(type.p, ';', type.len);
	size_t len = end != NULL ? (size_t)(end - type.p) : type.len;
	while (len > 0 && (type.p[len - 1] == ' ' || type.p[len - 1] == '\t'))
		len--;
	return len > 5 && strncasecmp(type.p + len - 4, "json", 4) == 0 && strchr("/+", type.p[len - 5]) != NULL &&
	       memchr(type.p, '/', len) != NULL;
}

static enum err bad_header(struct slice name, const char *why, struct fault *fault)
{
	return fault_set(fault, ERR_INVALID, "ce-%.*s: %s", shown(name), name.p, why);
}

/* A byte of ISO-8859-1 as UTF-8. */
static void add_latin1(struct buf *out, char c)
{
	unsigned char byte = (unsigned char)c;
	if (byte >= 0x80)
		buf_addc(out, (char)(0xc0 | byte >> 6));
	buf_addc(out, (char)(byte < 0x80 ? byte : 0x80 | (byte & 0x3f)));
}

/* Copies a value without the quotes that older publishers put around it (RFC 9110, 5.6.4); false where one is missing. What
 * is not UTF-8 is ISO-8859-1, which Node.js and browsers write header values in (RFC 9110, 5.5). */
static bool unquote(struct slice value, struct buf *out)
{
	void (*add)(struct buf *, char) = json_utf8(value) ? buf_addc : add_latin1;
	bool quoted = value.len > 0 && value.p[0] == '"';
	size_t i = quoted;
	for (; i < value.len && !(quoted && value.p[i] == '"'); i++) {
		i += quoted && value.p[i] == '\\';
		if (i < value.len)
			add(out, value.p[i]);
	}
	return i == value.len - quoted;
}

/* Appends the value as a JSON string (HTTP binding, 3.1.3.2). */
static enum err put_value(struct buf *out, struct slice name, struct slice value, struct fault *fault)
{
	struct buf text;
	enum err err = ERR_NONE;
	buf_init(&text);
	if (!unquote(value, &text))
		err = bad_header(name, "a quoted string that does not end with its quote", fault);
	else if (buf_failed(&text))
		err = fault_nomem(fault);
	else if (!url_decode(text.data, text.len, false, &text.len))
		err = bad_header(name, "a broken percent-encoding", fault);
	struct slice decoded = text.len > 0 ? buf_slice(&text) : slice_of("");
	if (!err && !json_plain_text(decoded))
		err = bad_header(name, "not UTF-8, or a control character", fault);
	if (!err)
		buf_json(out, decoded);
	buf_finish(&text);
	return err;
}

static enum err put_header(struct buf *out, const struct cloudevent_headers *h, size_t which, struct fault *fault)
{
	struct slice name = h->items[which].name;
	size_t start = out->len + 1;
	buf_addc(out, '"');
	for (size_t i = 0; i < name.len; i++)
		buf_addc(out, (char)(name.p[i] >= 'A' && name.p[i] <= 'Z' ? name.p[i] + ('a' - 'A') : name.p[i]));
	if (buf_failed(out))
		return fault_nomem(fault);
	struct slice lower = {out->data + start, name.len};
	if (!is_name(lower))
		return bad_header(name, "attributes have names of letters and digits", fault);
	if (slice_is(lower, "data"))
		return bad_header(name, "the data must be the body", fault);
	if (slice_is(lower, "datacontenttype"))
		return bad_header(name, "use Content-Type instead", fault);
	for (size_t i = 0; i < which; i++)
		if (h->items[i].name.len == name.len && strncasecmp(h->items[i].name.p, name.p, name.len) == 0)
			return bad_header(name, "given more than once", fault);
	buf_adds(out, "\":");
	enum err err = put_value(out, name, h->items[which].value, fault);
	buf_addc(out, ',');
	return err;
}

static enum err put_data(struct buf *out, struct slice content_type, char *body, size_t len, size_t max, struct fault *fault)
{
	struct json_error error;
	bool json = is_json(content_type);
	if (json && !json_minify(body, len, body, &len, &error))
		return fault_set(fault, ERR_INVALID, "not JSON at byte %zu of the body: %s", error.offset, error.what);
	size_t size = json ? len : (len + 2) / 3 * 4;
	if (size > max)
		return fault_set(fault, ERR_TOO_LARGE, "the event's data is %zu bytes, the limit is %zu", size, max);
	if (json) {
		buf_adds(out, "\"data\":");
		buf_add(out, body, len);
		return ERR_NONE;
	}
	buf_adds(out, "\"data_base64\":\"");
	buf_base64(out, (struct slice){body, len});
	buf_addc(out, '"');
	return ERR_NONE;
}

enum err cloudevent_compose(const struct cloudevent_headers *h, char *body, size_t len, size_t max, struct buf *out,
			    struct fault *fault)
{
	struct slice content_type = h->content_type;
	enum err err = ERR_NONE;
	if (h->count > CLOUDEVENT_HEADERS_MAX)
		return fault_set(fault, ERR_INVALID, "more than %d headers that begin with ce-", CLOUDEVENT_HEADERS_MAX);
	buf_addc(out, '{');
	for (size_t i = 0; !err && i < h->count; i++)
		err = put_header(out, h, i, fault);
	if (!err && content_type.len > 0) {
		buf_adds(out, "\"datacontenttype\":");
		if (!json_plain_text(content_type))
			err = fault_set(fault, ERR_INVALID, "Content-Type: not UTF-8, or a control character");
		else
			buf_json(out, content_type);
		buf_addc(out, ',');
	}
	if (!err && len > 0)
		err = put_data(out, content_type, body, len, max, fault);
	else if (!buf_failed(out) && out->data[out->len - 1] == ',')
		out->len--;
	buf_addc(out, '}');
	return !err && buf_failed(out) ? fault_nomem(fault) : err;
}
