#include "server/message/request_peek.h"

#include "base/url.h"
#include "server/message/field.h"

static bool is(struct slice value, const char *text)
{
	return field_is(value, slice_of(text));
}

/* Cuts the next line off the front; returns it without its end. */
static struct slice cut_line(struct slice *rest)
{
	const char *end = memchr(rest->p, '\n', rest->len);
	size_t len = end != NULL ? (size_t)(end - rest->p) : rest->len;
	struct slice line = {rest->p, len > 0 && rest->p[len - 1] == '\r' ? len - 1 : len};
	size_t used = end != NULL ? len + 1 : len;
	*rest = (struct slice){rest->p + used, rest->len - used};
	return line;
}

/* Is `token` in a comma-separated list? */
static bool has_token(struct slice list, const char *token)
{
	while (list.len > 0)
		if (is(field_cut(&list, ','), token))
			return true;
	return false;
}

/* 16 bytes in base64 (RFC 6455, 4.1). */
static bool is_key(struct slice s)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	bool fine = s.len == 24 && s.p[22] == '=' && s.p[23] == '=';
	for (size_t i = 0; fine && i < 22; i++)
		fine = memchr(digits, s.p[i], sizeof digits - 1) != NULL;
	return fine;
}

/* Only digits, and few enough for a number. */
static bool is_length(struct slice s)
{
	bool fine = s.len > 0 && s.len <= 18;
	for (size_t i = 0; fine && i < s.len; i++)
		fine = s.p[i] >= '0' && s.p[i] <= '9';
	return fine;
}

static bool is_zero(struct slice s)
{
	size_t zeros = 0;
	while (zeros < s.len && s.p[zeros] == '0')
		zeros++;
	return zeros == s.len;
}

/* Headers that define where the body ends. */
static bool add_framing(struct request_peek *h, struct slice name, struct slice value)
{
	if (is(name, "Content-Length")) {
		h->lengths++;
		h->bad_framing = h->bad_framing || !is_length(value);
		h->has_body = h->has_body || !is_zero(value);
	} else if (is(name, "Transfer-Encoding")) {
		h->codings++;
		h->bad_framing = h->bad_framing || !is(value, "chunked");
		h->has_body = true;
	} else {
		return false;
	}
	return true;
}

/* Names of subprotocols are case-sensitive (RFC 6455, 4.1). */
static void add_protocols(struct request_peek *h, struct slice list)
{
	static const char bearer[] = "bearer.";
	size_t before = sizeof bearer - 1;
	while (list.len > 0) {
		struct slice name = field_cut(&list, ',');
		if (name.len > before && memcmp(name.p, bearer, before) == 0) {
			h->bearers++;
			h->bearer = (struct slice){name.p + before, name.len - before};
		}
		h->protocol_v1 = h->protocol_v1 || slice_is(name, PEEK_SUBPROTOCOL);
		h->protocols += name.len > 0;
	}
}

/* Headers of a WebSocket upgrade. */
static bool add_upgrade(struct request_peek *h, struct slice name, struct slice value)
{
	if (is(name, "Upgrade")) {
		h->upgrades++;
		h->websocket = has_token(value, "websocket");
	} else if (is(name, "Connection")) {
		h->connection_upgrade = h->connection_upgrade || has_token(value, "upgrade");
	} else if (is(name, "Sec-WebSocket-Version")) {
		h->versions++;
		h->version_13 = is(value, "13");
	} else if (is(name, "Sec-WebSocket-Key")) {
		h->keys++;
		h->key = value;
	} else if (is(name, "Sec-WebSocket-Protocol")) {
		add_protocols(h, value);
	} else {
		return false;
	}
	return true;
}

/* RFC 9110, 5.6.2 */
static bool is_token(struct slice name)
{
	static const char marks[] = "!#$%&'*+-.^_`|~";
	bool fine = name.len > 0;
	for (size_t i = 0; fine && i < name.len; i++) {
		char c = name.p[i];
		fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		       memchr(marks, c, sizeof marks - 1) != NULL;
	}
	return fine;
}

static bool has_control(struct slice value)
{
	bool found = false;
	for (size_t i = 0; !found && i < value.len; i++)
		found = ((unsigned char)value.p[i] < ' ' && value.p[i] != '\t') || value.p[i] == 0x7f;
	return found;
}

void request_peek_add(struct request_peek *h, struct slice name, struct slice value)
{
	value = field_trim(value);
	h->bad_field = h->bad_field || !is_token(name) || has_control(value);
	if (is(name, "Host")) {
		h->hosts++;
		h->host = value;
	} else if (is(name, "Origin")) {
		h->origins++;
		h->origin = value;
	} else if (is(name, "Authorization")) {
		h->authorizations++;
		h->authorization = value;
	} else if (is(name, "X-Forwarded-For")) {
		forwarded_add(&h->forwarded, value);
	} else if (is(name, "Accept")) {
		h->stream = h->stream || field_names(value, "text/event-stream");
	} else if (!add_framing(h, name, value)) {
		add_upgrade(h, name, value);
	}
}

static void read_header(struct slice line, struct request_peek *out)
{
	const char *colon = memchr(line.p, ':', line.len);
	if (line.p[0] == ' ' || line.p[0] == '\t') /* continues the previous line (RFC 9112, 5.2) */
		return;
	out->bad_field = out->bad_field || colon == NULL;
	if (colon == NULL)
		return;
	size_t len = (size_t)(colon - line.p);
	request_peek_add(out, (struct slice){line.p, len}, (struct slice){colon + 1, line.len - len - 1});
}

/* "GET /target HTTP/1.1" */
static void read_request_line(struct slice line, struct request_peek *out)
{
	static const char version[] = "HTTP/1.";
	size_t n = sizeof version - 1;
	struct slice method = field_cut(&line, ' ');
	out->target = field_cut(&line, ' ');
	out->get = slice_is(method, "GET");
	out->http_1_1 = line.len == n + 1 && memcmp(line.p, version, n) == 0 && line.p[n] >= '1' && line.p[n] <= '9';
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

/* The length of the head with its blank line; 0: the head is incomplete. */
static size_t request_peek_len(struct slice bytes)
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

int request_peek_refusal(const struct request_peek *h, struct fault *fault)
{
	const char *why = NULL;
	if (h->bad_field) /* RFC 9112, 5 */
		why = "invalid header line: it must be NAME: VALUE, with a name of letters, digits and !#$%&'*+-.^_`|~ with "
		      "the colon "
		      "right behind it, the value without control characters";
	else if (h->bad_framing || h->lengths + h->codings > 1) /* RFC 9112, 6.3 */
		why = "Content-Length must be one number, Transfer-Encoding must be chunked, and not both";
	else if (h->hosts == 0 && h->http_1_1) /* RFC 9112, 3.2 */
		why = "the Host header is missing";
	else if (h->hosts > 1)
		why = "there must be one Host header only";
	else if (h->origins > 1)
		why = "there must be one Origin header only";
	else if (h->authorizations > 1)
		why = "there must be one Authorization header only";
	else if (h->bearers > 1)
		why = "there must be one subprotocol bearer.TOKEN only";
	if (why == NULL)
		return 0;
	fault_set(fault, ERR_INVALID, "%s", why);
	return 400;
}

int request_peek_upgrade(const struct request_peek *h, struct fault *fault)
{
	bool asked = h->get && h->http_1_1 && h->upgrades == 1 && h->websocket && h->connection_upgrade;
	bool current = h->versions == 1 && h->version_13;
	const char *why = NULL;
	if (!asked)
		why = "this is a WebSocket: connect with Upgrade: websocket and Connection: Upgrade";
	else if (!current)
		why = "Sec-WebSocket-Version must be 13";
	else if (h->keys != 1 || !is_key(h->key))
		why = "Sec-WebSocket-Key must be 16 bytes in base64, once";
	else if (h->has_body)
		why = "a request for a WebSocket must have no body";
	else if (h->protocols > 0 && !h->protocol_v1)
		why = "Sec-WebSocket-Protocol: the subprotocol here is " PEEK_SUBPROTOCOL
		      ": offer it, with bearer.TOKEN if a token is needed, or offer none";
	if (why == NULL)
		return 0;
	fault_set(fault, ERR_INVALID, "%s", why);
	return asked && current ? 400 : 426;
}

/* The length of empty lines before a request line (RFC 9112, 2.2). */
static size_t empty_lines(struct slice bytes)
{
	size_t n = 0;
	while (n < bytes.len && (bytes.p[n] == '\n' || (bytes.p[n] == '\r' && n + 1 < bytes.len && bytes.p[n + 1] == '\n')))
		n++;
	return n;
}

enum peek_kind request_peek_read(struct slice bytes, struct request_peek *out)
{
	*out = (struct request_peek){0};
	size_t before = empty_lines(bytes);
	bytes = (struct slice){bytes.p + before, bytes.len - before};
	if (bytes.len == 0 || slice_is(bytes, "\r"))
		return PEEK_INCOMPLETE;
	if (!begins_well(bytes))
		return PEEK_GARBAGE;
	struct slice rest = {bytes.p, request_peek_len(bytes)};
	if (rest.len == 0)
		return PEEK_INCOMPLETE;
	if (memchr(rest.p, '\0', rest.len) != NULL)
		return PEEK_GARBAGE;
	out->len = before + rest.len;
	if (count(rest, '\n') > PEEK_LINES_MAX || count(rest, '&') >= URL_PARAMS_MAX)
		return PEEK_TOO_LARGE;
	read_request_line(cut_line(&rest), out);
	for (struct slice line = cut_line(&rest); line.len > 0; line = cut_line(&rest))
		read_header(line, out);
	if (request_peek_refusal(out, NULL) != 0)
		return PEEK_REFUSED;
	if (request_peek_upgrade(out, NULL) == 0)
		return PEEK_WEBSOCKET;
	bool stream = out->get && out->stream && out->lengths + out->codings == 0;
	return stream && out->http_1_1 ? PEEK_STREAM : PEEK_HTTP;
}
