#include "net/head.h"

#include "base/url.h"
#include "net/field.h"

static bool is(struct slice value, const char *text)
{
	return field_is(value, slice_of(text));
}

/* Cuts the next line, without its end, off the front. */
static struct slice cut_line(struct slice *rest)
{
	const char *end = memchr(rest->p, '\n', rest->len);
	size_t len = end != NULL ? (size_t)(end - rest->p) : rest->len;
	struct slice line = {rest->p, len > 0 && rest->p[len - 1] == '\r' ? len - 1 : len};
	size_t used = end != NULL ? len + 1 : len;
	*rest = (struct slice){rest->p + used, rest->len - used};
	return line;
}

/* Is `token` one of a comma-separated list? */
static bool has_token(struct slice list, const char *token)
{
	while (list.len > 0)
		if (is(field_cut(&list, ','), token))
			return true;
	return false;
}

/* What the headers say about an upgrade. */
struct upgrade {
	int upgrades; /* Upgrade headers */
	bool websocket;
	bool connection;
	bool version;
	bool key;
	int lengths;    /* Content-Length headers */
	int codings;    /* Transfer-Encoding headers */
	bool malformed; /* one of the two makes no sense */
	bool stream;    /* wants text/event-stream */
};

/* 16 bytes in base64 (RFC 6455, 4.1). */
static bool is_key(struct slice s)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	bool fine = s.len == 24 && s.p[22] == '=' && s.p[23] == '=';
	for (size_t i = 0; fine && i < 22; i++)
		fine = memchr(digits, s.p[i], sizeof digits - 1) != NULL;
	return fine;
}

/* Digits, and few enough for a number. */
static bool is_length(struct slice s)
{
	bool fine = s.len > 0 && s.len <= 18;
	for (size_t i = 0; fine && i < s.len; i++)
		fine = s.p[i] >= '0' && s.p[i] <= '9';
	return fine;
}

static void read_header(struct slice line, struct upgrade *u, struct head *out)
{
	const char *colon = memchr(line.p, ':', line.len);
	if (colon == NULL)
		return;
	struct slice name = {line.p, (size_t)(colon - line.p)};
	struct slice value = field_trim((struct slice){colon + 1, line.len - name.len - 1});
	if (is(name, "Upgrade")) {
		u->upgrades++;
		u->websocket = is(value, "websocket");
	} else if (is(name, "Connection")) {
		u->connection = u->connection || has_token(value, "upgrade");
	} else if (is(name, "Sec-WebSocket-Version")) {
		u->version = is(value, "13");
	} else if (is(name, "Sec-WebSocket-Key")) {
		u->key = is_key(value);
		out->key = value;
	} else if (is(name, "Content-Length")) {
		u->lengths++;
		u->malformed = u->malformed || !is_length(value);
	} else if (is(name, "Transfer-Encoding")) {
		u->codings++;
		u->malformed = u->malformed || !is(value, "chunked");
	} else if (is(name, "Accept")) {
		u->stream = u->stream || field_quality(value, "text/event-stream") > 0;
	} else if (is(name, "Origin")) {
		out->origin = value;
	} else if (is(name, "Authorization")) {
		out->authorization = value;
	} else if (is(name, "Host")) {
		out->host = value;
	} else if (is(name, "X-Forwarded-For")) {
		out->forwarded = value;
	}
}

/* "GET /target HTTP/1.1" */
static bool read_request_line(struct slice line, struct slice *target)
{
	static const char method[] = "GET ";
	static const char version[] = " HTTP/1.1";
	size_t before = sizeof method - 1;
	size_t after = sizeof version - 1;
	if (line.len <= before + after || memcmp(line.p, method, before) != 0 ||
	    memcmp(line.p + line.len - after, version, after) != 0)
		return false;
	*target = (struct slice){line.p + before, line.len - before - after};
	return memchr(target->p, ' ', target->len) == NULL;
}

/* Can this be the beginning of a request line: a method in capitals, a space, a printable target? */
static bool begins_well(struct slice bytes)
{
	enum { METHOD_MAX = 16 };
	size_t i = 0;
	while (i < bytes.len && i < METHOD_MAX && bytes.p[i] >= 'A' && bytes.p[i] <= 'Z')
		i++;
	if (i == bytes.len)
		return true;
	return i > 0 && bytes.p[i] == ' ' && (i + 1 == bytes.len || (unsigned char)bytes.p[i + 1] > ' ');
}

/* The length of the head with its blank line; 0 while that has not come. */
static size_t head_len(struct slice bytes)
{
	const char *crlf = memmem(bytes.p, bytes.len, "\n\r\n", 3);
	const char *lf = memmem(bytes.p, bytes.len, "\n\n", 2);
	if (crlf != NULL && (lf == NULL || crlf < lf))
		return (size_t)(crlf - bytes.p) + 3;
	return lf != NULL ? (size_t)(lf - bytes.p) + 2 : 0;
}

static size_t count(struct slice bytes, char c)
{
	size_t n = 0;
	for (size_t i = 0; i < bytes.len; i++)
		n += bytes.p[i] == c;
	return n;
}

enum head_kind head_read(struct slice bytes, struct head *out)
{
	*out = (struct head){0};
	if (!begins_well(bytes))
		return HEAD_GARBAGE;
	struct slice rest = {bytes.p, head_len(bytes)};
	if (rest.len == 0)
		return HEAD_INCOMPLETE;
	if (memchr(rest.p, '\0', rest.len) != NULL)
		return HEAD_GARBAGE;
	out->len = rest.len;
	if (count(rest, '\n') > HEAD_LINES_MAX || count(rest, '&') >= URL_PARAMS_MAX)
		return HEAD_TOO_LARGE;
	bool get = read_request_line(cut_line(&rest), &out->target);
	struct upgrade u = {0};
	for (struct slice line = cut_line(&rest); line.len > 0; line = cut_line(&rest))
		read_header(line, &u, out);
	/* Where the body ends must be beyond doubt: whoever stands between may see it otherwise (RFC 9112, 6.3). */
	int bodies = u.lengths + u.codings;
	if (u.malformed || bodies > 1)
		return HEAD_BAD_BODY;
	bool upgrades = u.upgrades == 1 && u.websocket && u.connection && u.version && u.key;
	if (get && upgrades && bodies == 0 && out->host.len > 0)
		return HEAD_WEBSOCKET;
	return get && u.stream && bodies == 0 ? HEAD_STREAM : HEAD_HTTP;
}
