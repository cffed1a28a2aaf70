#include "json/json.h"

#include <string.h>

#include "base/units.h"

/* The first byte from p on that a string needs a look at: a quote, a backslash, a control character or a byte that is not
 * ASCII. Eight at a time: each term leaves the top bit of a byte set where that byte is one of them (and perhaps of a byte
 * behind it, which costs no more than the look). */
static const char *plain_end(const char *p, const char *end)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	const uint64_t tops = UINT64_C(0x8080808080808080);
	for (; end - p >= 8; p += 8) {
		uint64_t x;
		memcpy(&x, p, sizeof x);
		uint64_t quote = x ^ ones * '"';
		uint64_t backslash = x ^ ones * '\\';
		if (((x | (x - ones * ' ') | (quote - ones) | (backslash - ones)) & tops) != 0)
			break;
	}
	while (p < end && (unsigned char)*p >= ' ' && (unsigned char)*p < 0x80 && *p != '"' && *p != '\\')
		p++;
	return p;
}

struct scan {
	const char *at;
	const char *end;
	const char *run; /* start of the bytes that were accepted but not yet copied */
	char *out;
	const char *what;
	size_t element;
	unsigned depth;
	unsigned char stack[JSON_DEPTH_MAX]; /* '{' or '[' */
};

static bool fail(struct scan *s, const char *what)
{
	s->what = what;
	return false;
}

/* Copies what was accepted since the last gap. Nothing moves as long as there was no white space to remove. */
static void flush(struct scan *s)
{
	size_t n = (size_t)(s->at - s->run);
	if (s->out != s->run)
		memmove(s->out, s->run, n);
	s->out += n;
}

static void skip_space(struct scan *s)
{
	if (s->at == s->end || (unsigned char)*s->at > ' ')
		return;
	flush(s);
	while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
		s->at++;
	s->run = s->at;
}

/* The length of the UTF-8 sequence at p (RFC 3629), 0 when it is none. */
static size_t utf8_length(const unsigned char *p, const unsigned char *end)
{
	size_t left = (size_t)(end - p);
	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		return left >= 2 && (p[1] & 0xc0) == 0x80 ? 2 : 0;
	if ((p[0] & 0xf0) == 0xe0) {
		unsigned char low = p[0] == 0xe0 ? 0xa0 : 0x80;
		unsigned char high = p[0] == 0xed ? 0x9f : 0xbf;
		return left >= 3 && p[1] >= low && p[1] <= high && (p[2] & 0xc0) == 0x80 ? 3 : 0;
	}
	if (p[0] >= 0xf0 && p[0] <= 0xf4) {
		unsigned char low = p[0] == 0xf0 ? 0x90 : 0x80;
		unsigned char high = p[0] == 0xf4 ? 0x8f : 0xbf;
		bool fine = left >= 4 && p[1] >= low && p[1] <= high && (p[2] & 0xc0) == 0x80 && (p[3] & 0xc0) == 0x80;
		return fine ? 4 : 0;
	}
	return 0;
}

static bool scan_escape(struct scan *s)
{
	if (s->end - s->at < 2)
		return fail(s, "the text ends inside a string");
	char c = s->at[1];
	s->at += 2;
	if (c == 'u') {
		for (int i = 0; i < 4; i++, s->at++)
			if (s->at == s->end || units_hex(*s->at) < 0)
				return fail(s, "\\u is not followed by four hex digits");
		return true;
	}
	if (c != '\0' && strchr("\"\\/bfnrt", c) != NULL)
		return true;
	s->at--;
	return fail(s, "an unknown escape in a string");
}

/* At a byte that is not ASCII: passes all that follow. */
static bool scan_utf8(struct scan *s)
{
	while (s->at < s->end && (unsigned char)*s->at >= 0x80) {
		size_t n = utf8_length((const unsigned char *)s->at, (const unsigned char *)s->end);
		if (n == 0)
			return false;
		s->at += n;
	}
	return true;
}

/* At the opening quote. */
static bool scan_string(struct scan *s)
{
	s->at++;
	for (;;) {
		s->at = plain_end(s->at, s->end);
		if (s->at == s->end)
			return fail(s, "the text ends inside a string");
		unsigned char c = (unsigned char)*s->at;
		if (c == '"') {
			s->at++;
			return true;
		}
		if (c == '\\') {
			if (!scan_escape(s))
				return false;
		} else if (c < 0x20) {
			return fail(s, "a control character in a string must be escaped");
		} else {
			if (!scan_utf8(s))
				return fail(s, "not valid UTF-8");
		}
	}
}

static bool is_digit(const struct scan *s)
{
	return s->at < s->end && *s->at >= '0' && *s->at <= '9';
}

static bool scan_digits(struct scan *s)
{
	if (!is_digit(s))
		return fail(s, "a number is missing a digit");
	while (is_digit(s))
		s->at++;
	return true;
}

static bool scan_number(struct scan *s)
{
	if (*s->at == '-')
		s->at++;
	if (s->at < s->end && *s->at == '0') {
		s->at++;
		if (is_digit(s))
			return fail(s, "a number must not begin with 0");
	} else if (!scan_digits(s)) {
		return false;
	}
	if (s->at < s->end && *s->at == '.') {
		s->at++;
		if (!scan_digits(s))
			return false;
	}
	if (s->at < s->end && (*s->at == 'e' || *s->at == 'E')) {
		s->at++;
		if (s->at < s->end && (*s->at == '+' || *s->at == '-'))
			s->at++;
		return scan_digits(s);
	}
	return true;
}

static bool scan_word(struct scan *s, const char *word)
{
	size_t n = strlen(word);
	if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0)
		return fail(s, "a value was expected");
	s->at += n;
	return true;
}

static bool scan_scalar(struct scan *s)
{
	switch (*s->at) {
	case '"': return scan_string(s);
	case 't': return scan_word(s, "true");
	case 'f': return scan_word(s, "false");
	case 'n': return scan_word(s, "null");
	default:
		if (*s->at == '-' || is_digit(s))
			return scan_number(s);
		return fail(s, "a value was expected");
	}
}

/* At a member's key: the key, the colon, and the space up to the value. */
static bool scan_key(struct scan *s)
{
	if (s->at == s->end || *s->at != '"')
		return fail(s, "a member name in quotes was expected");
	if (!scan_string(s))
		return false;
	skip_space(s);
	if (s->at == s->end || *s->at != ':')
		return fail(s, "a colon was expected");
	s->at++;
	skip_space(s);
	return true;
}

/* At '{' or '['. *empty when it is closed at once, and then nothing is open. */
static bool open_container(struct scan *s, bool *empty)
{
	char open = *s->at++;
	if (s->depth == JSON_DEPTH_MAX)
		return fail(s, "nested deeper than 1000");
	skip_space(s);
	*empty = s->at < s->end && *s->at == open + 2; /* ASCII: '{' + 2 is '}', '[' + 2 is ']' */
	if (*empty) {
		s->at++;
		return true;
	}
	s->stack[s->depth++] = (unsigned char)open;
	return open == '[' || scan_key(s);
}

/* After a value: closes what ends here. *more when another value follows in the same container. */
static bool close_containers(struct scan *s, bool *more)
{
	for (*more = false; s->depth > 0;) {
		skip_space(s);
		if (s->at == s->end)
			return fail(s, "the text ends before its last bracket");
		unsigned char open = s->stack[s->depth - 1];
		if (*s->at == ',') {
			s->at++;
			s->element += s->depth == 1;
			skip_space(s);
			*more = true;
			return open == '[' || scan_key(s);
		}
		if (*s->at != open + 2)
			return fail(s, open == '{' ? "a comma or } was expected" : "a comma or ] was expected");
		s->at++;
		s->depth--;
	}
	return true;
}

static bool scan_document(struct scan *s)
{
	skip_space(s);
	for (bool more = true; more;) {
		if (s->at == s->end)
			return fail(s, s->depth > 0 ? "the text ends before its last bracket" : "the text is empty");
		bool whole = true;
		if (*s->at == '{' || *s->at == '[') {
			if (!open_container(s, &whole))
				return false;
		} else if (!scan_scalar(s)) {
			return false;
		}
		if (whole && !close_containers(s, &more))
			return false;
	}
	skip_space(s);
	return s->at == s->end || fail(s, "text after the end of the value");
}

bool json_minify(const char *text, size_t len, char *out, size_t *out_len, struct json_error *error)
{
	struct scan s;
	s.at = s.run = text;
	s.end = text + len;
	s.out = out;
	s.element = 0;
	s.depth = 0;
	s.what = NULL;
	if (!scan_document(&s)) {
		*error = (struct json_error){(size_t)(s.at - text), s.element, s.what};
		return false;
	}
	flush(&s);
	*out_len = (size_t)(s.out - out);
	return true;
}

enum json_kind json_kind(struct slice value)
{
	switch (value.p[0]) {
	case '{': return JSON_OBJECT;
	case '[': return JSON_ARRAY;
	case '"': return JSON_STRING;
	case 't': return JSON_TRUE;
	case 'f': return JSON_FALSE;
	case 'n': return JSON_NULL;
	default: return JSON_NUMBER;
	}
}

/* Past the closing quote of the string that opens at p. */
static const char *skip_string(const char *p, const char *end)
{
	for (p = plain_end(p + 1, end); p < end && *p != '"'; p = plain_end(p, end)) {
		if (*p == '\\')
			p += 2;
		while (p < end && (unsigned char)*p >= 0x80)
			p++;
	}
	return p + 1;
}

/* Past the value that begins at p. */
static const char *skip_value(const char *p, const char *end)
{
	if (*p == '"')
		return skip_string(p, end);
	if (*p != '{' && *p != '[') {
		while (p < end && *p != ',' && *p != '}' && *p != ']')
			p++;
		return p;
	}
	for (unsigned depth = 0; p < end;) {
		if (*p == '"') {
			p = skip_string(p, end);
			continue;
		}
		depth += *p == '{' || *p == '[';
		depth -= *p == '}' || *p == ']';
		p++;
		if (depth == 0)
			break;
	}
	return p;
}

struct json_walk json_walk(struct slice container)
{
	return (struct json_walk){
		.at = container.p + 1, .end = container.p + container.len - 1, .object = container.p[0] == '{'};
}

bool json_next(struct json_walk *w)
{
	if (w->at >= w->end)
		return false;
	if (w->object) {
		const char *after = skip_string(w->at, w->end);
		w->key = (struct slice){w->at + 1, (size_t)(after - w->at) - 2};
		w->at = after + 1; /* the colon */
	}
	const char *after = skip_value(w->at, w->end);
	w->value = (struct slice){w->at, (size_t)(after - w->at)};
	w->at = after + 1; /* the comma, or past the end */
	return true;
}

bool json_member(struct slice object, const char *key, struct slice *value)
{
	bool found = false;
	for (struct json_walk w = json_walk(object); json_next(&w);) {
		if (!json_key_is(w.key, key))
			continue;
		*value = w.value;
		found = true;
	}
	return found;
}

static unsigned hex4(const char *p)
{
	return (unsigned)(units_hex(p[0]) << 12 | units_hex(p[1]) << 8 | units_hex(p[2]) << 4 | units_hex(p[3]));
}

static size_t put_utf8(char *out, unsigned c)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* At the backslash of a \u escape; a surrogate pair is one character. */
static bool decode_unicode(const char **at, const char *end, char *out, size_t *n)
{
	unsigned c = hex4(*at + 2);
	*at += 6;
	if (c >= 0xdc00 && c <= 0xdfff)
		return false;
	if (c >= 0xd800 && c <= 0xdbff) {
		if (end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u')
			return false;
		unsigned low = hex4(*at + 2);
		if (low < 0xdc00 || low > 0xdfff)
			return false;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		*at += 6;
	}
	*n += put_utf8(out + *n, c);
	return true;
}

bool json_string(struct slice value, char *out, size_t *out_len)
{
	static const char names[] = "\"\\/bfnrt";
	static const char means[] = "\"\\/\b\f\n\r\t";
	const char *end = value.p + value.len - 1;
	size_t n = 0;
	for (const char *p = value.p + 1; p < end;) {
		if (*p != '\\') {
			out[n++] = *p++;
		} else if (p[1] == 'u') {
			if (!decode_unicode(&p, end, out, &n))
				return false;
		} else {
			out[n++] = means[strchr(names, p[1]) - names];
			p += 2;
		}
	}
	*out_len = n;
	return true;
}

bool json_key_is(struct slice key, const char *name)
{
	if (memchr(key.p, '\\', key.len) == NULL)
		return slice_is(key, name);
	char decoded[64 * 6];
	size_t len;
	if (key.len > sizeof decoded - 2)
		return false;
	struct slice quoted = {key.p - 1, key.len + 2};
	return json_string(quoted, decoded, &len) && slice_is((struct slice){decoded, len}, name);
}

bool json_sequence(struct slice value, uint64_t *out)
{
	uint64_t v = 0;
	for (size_t i = 0; i < value.len; i++) {
		if (value.p[i] < '0' || value.p[i] > '9' || v > (UINT64_C(1) << 53) / 10)
			return false;
		v = v * 10 + (uint64_t)(value.p[i] - '0');
	}
	*out = v;
	return value.len > 0 && v < UINT64_C(1) << 53;
}

bool json_utf8(struct slice text)
{
	const unsigned char *p = (const unsigned char *)text.p;
	const unsigned char *end = p + text.len;
	size_t n = 1;
	while (p < end && n > 0) {
		n = utf8_length(p, end);
		p += n;
	}
	return n > 0;
}

bool json_plain_text(struct slice text)
{
	const unsigned char *p = (const unsigned char *)text.p;
	const unsigned char *end = p + text.len;
	while (p < end) {
		size_t n = utf8_length(p, end);
		bool control = *p < 0x20 || *p == 0x7f || (*p == 0xc2 && n == 2 && p[1] < 0xa0);
		if (n == 0 || control)
			return false;
		p += n;
	}
	return true;
}
