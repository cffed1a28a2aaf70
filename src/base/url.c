#include "base/url.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/units.h"

bool url_decode(char *text, size_t len, bool plus, size_t *out_len)
{
	size_t out = 0;
	for (size_t i = 0; i < len; i++) {
		char c = text[i];
		if (c == '%') {
			int high = i + 2 < len ? units_hex(text[i + 1]) : -1;
			int low = high >= 0 ? units_hex(text[i + 2]) : -1;
			if (low < 0)
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		text[out++] = c;
	}
	*out_len = out;
	return true;
}

static bool decode_param(char *from, size_t len, struct url_param *param)
{
	char *equals = memchr(from, '=', len);
	size_t name_len = equals != NULL ? (size_t)(equals - from) : len;
	char *value = from + (equals != NULL ? name_len + 1 : len);
	param->name.p = from;
	param->value.p = value;
	return url_decode(from, name_len, true, &param->name.len) &&
	       url_decode(value, (size_t)(from + len - value), true, &param->value.len);
}

static size_t count_params(const char *from, const char *end)
{
	size_t n = 1;
	for (; from < end; from++)
		n += *from == '&';
	return n;
}

static enum url_result parse_params(struct url *u, char *from, char *end)
{
	size_t most = count_params(from, end);
	if (most > URL_PARAMS_MAX)
		return URL_TOO_MANY_PARAMS;
	u->params = malloc(most * sizeof *u->params);
	if (u->params == NULL)
		return URL_NO_MEMORY;
	while (from < end) {
		char *amp = memchr(from, '&', (size_t)(end - from));
		char *to = amp != NULL ? amp : end;
		if (to > from && !decode_param(from, (size_t)(to - from), &u->params[u->param_count++]))
			return URL_MALFORMED;
		from = to + 1;
	}
	return URL_FINE;
}

/* The length of scheme and authority, where the target begins with them (RFC 9112, 3.2.2). */
static size_t take_authority(struct url *u, size_t len)
{
	static const char *const schemes[] = {"http://", "https://"};
	for (int i = 0; i < 2; i++) {
		size_t before = strlen(schemes[i]);
		if (len < before || strncasecmp(u->text, schemes[i], before) != 0)
			continue;
		size_t after = before;
		while (after < len && u->text[after] != '/' && u->text[after] != '?')
			after++;
		u->authority = (struct slice){u->text + before, after - before};
		return after;
	}
	return 0;
}

static bool authority_fits(struct slice a)
{
	return a.p == NULL || (a.len > 0 && memchr(a.p, '@', a.len) == NULL);
}

enum url_result url_parse(struct url *u, struct slice target)
{
	*u = (struct url){.text = malloc(target.len + 1)};
	if (u->text == NULL)
		return URL_NO_MEMORY;
	slice_copy(u->text, target);
	u->text[target.len] = '\0';
	char *end = u->text + target.len;
	char *from = u->text + take_authority(u, target.len);
	char *query = memchr(from, '?', (size_t)(end - from));
	u->path = (struct slice){from, (size_t)((query != NULL ? query : end) - from)};
	if (u->authority.p != NULL && u->path.len == 0)
		u->path = slice_of("/");
	if (!authority_fits(u->authority))
		return URL_MALFORMED;
	return query != NULL ? parse_params(u, query + 1, end) : URL_FINE;
}

void url_finish(struct url *u)
{
	free(u->text);
	free(u->params);
	*u = (struct url){0};
}

size_t url_take(struct url *u, const char *name, struct slice *value)
{
	size_t kept = 0;
	for (size_t i = 0; i < u->param_count; i++) {
		if (!slice_is(u->params[i].name, name)) {
			u->params[kept++] = u->params[i];
			continue;
		}
		*value = u->params[i].value;
	}
	size_t found = u->param_count - kept;
	u->param_count = kept;
	return found;
}

void url_encode(struct buf *out, struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.p[i];
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
			     c == '_' || c == '.' || c == '~';
		if (plain)
			buf_addc(out, (char)c);
		else
			buf_printf(out, "%%%02X", c);
	}
}
