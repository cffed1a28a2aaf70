#include "event/where.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/data/hash.h"
#include "json/json.h"

enum { ESCAPE_MAX = 6 /* bytes that stand for one: \u0041 */ };

struct condition {
	char *text; /* owned: as it was added, then the tokens of the pointer, one after another */
	size_t len; /* of the first */
	struct slice value;
	size_t token_count;
	struct slice *tokens; /* owned */
	int wanted;           /* of a named_kind kind, what its value stands for; negative: it is a pointer */
};

struct where {
	atomic_uint refs;
	size_t count;
	struct condition conditions[WHERE_MAX + 1];
};

static const struct where_kind *named_kind; /* NULL: there is none */

void where_add_kind(const struct where_kind *kind)
{
	named_kind = kind;
}

struct where *where_create(void)
{
	struct where *w = calloc(1, sizeof *w);
	if (w != NULL)
		w->refs = 1;
	return w;
}

struct where *where_ref(struct where *w)
{
	if (w != NULL)
		atomic_fetch_add(&w->refs, 1);
	return w;
}

void where_unref(struct where *w)
{
	if (w == NULL || atomic_fetch_sub(&w->refs, 1) != 1)
		return;
	for (size_t i = 0; i < w->count; i++) {
		free(w->conditions[i].text);
		free(w->conditions[i].tokens);
	}
	free(w);
}

/* --- reading a condition --- */

/* Decodes a token of a pointer to `*out`; false where a ~ stands for nothing. */
static bool decode(struct slice raw, char **out)
{
	for (size_t i = 0; i < raw.len; i++) {
		bool escaped = raw.p[i] == '~';
		if (escaped && (++i == raw.len || (raw.p[i] != '0' && raw.p[i] != '1')))
			return false;
		char c = raw.p[i];
		if (escaped)
			c = "~/"[c - '0'];
		*(*out)++ = c;
	}
	return true;
}

/* The tokens between the slashes of `pointer`. */
static bool read_tokens(struct condition *c, struct slice pointer)
{
	char *out = c->text + c->len;
	const char *end = pointer.p + pointer.len;
	for (const char *p = pointer.p; p < end; c->token_count++) {
		const char *slash = memchr(p + 1, '/', (size_t)(end - p - 1));
		const char *stop = slash != NULL ? slash : end;
		const char *from = out;
		if (!decode((struct slice){p + 1, (size_t)(stop - p - 1)}, &out))
			return false;
		c->tokens[c->token_count] = (struct slice){from, (size_t)(out - from)};
		p = stop;
	}
	return true;
}

/* The pointer before `equals`. ERR_INVALID, ERR_NOMEM. */
static enum err read_pointer(struct condition *c, size_t equals)
{
	c->tokens = malloc(c->len * sizeof *c->tokens);
	if (c->tokens == NULL)
		return ERR_NOMEM;
	return c->text[0] == '/' && read_tokens(c, (struct slice){c->text, equals}) ? ERR_NONE : ERR_INVALID;
}

/* How many there are of the same kind. */
static size_t count_like(const struct where *w, bool pointers)
{
	size_t count = 0;
	for (size_t i = 0; i < w->count; i++)
		count += (w->conditions[i].wanted < 0) == pointers;
	return count;
}

enum err where_add(struct where *w, struct slice condition)
{
	const char *equals = memchr(condition.p, '=', condition.len);
	bool pointer = condition.len > 0 && condition.p[0] == '/';
	if (count_like(w, pointer) == (pointer ? WHERE_MAX : 1) || condition.len > WHERE_LEN_MAX)
		return ERR_TOO_LARGE;
	if (condition.len == 0 || equals == NULL || !json_utf8(condition))
		return ERR_INVALID;
	struct condition c = {.text = malloc(2 * condition.len), .len = condition.len, .wanted = -1};
	if (c.text == NULL)
		return ERR_NOMEM;
	slice_copy(c.text, condition);
	size_t at = (size_t)(equals - condition.p);
	c.value = (struct slice){c.text + at + 1, c.len - at - 1};
	if (!pointer && named_kind != NULL && slice_is((struct slice){c.text, at}, named_kind->name))
		c.wanted = named_kind->read(c.value);
	enum err err = pointer ? read_pointer(&c, at) : c.wanted >= 0 ? ERR_NONE : ERR_INVALID;
	if (!err) {
		w->conditions[w->count++] = c;
		return ERR_NONE;
	}
	free(c.text);
	free(c.tokens);
	return err;
}

size_t where_count(const struct where *w)
{
	return w != NULL ? w->count : 0;
}

struct slice where_text(const struct where *w, size_t index)
{
	return (struct slice){w->conditions[index].text, w->conditions[index].len};
}

bool where_same(const struct where *a, const struct where *b)
{
	bool same = a->count == b->count;
	for (size_t i = 0; same && a != b && i < a->count; i++)
		same = slice_eq(where_text(a, i), where_text(b, i));
	return same;
}

uint64_t where_hash(const struct where *w)
{
	uint64_t hash = 0;
	for (size_t i = 0; i < w->count; i++)
		hash = hash * 31 + hash_text(where_text(w, i));
	return hash;
}

/* --- looking at a payload --- */

/* Is a string of JSON (with its quotes) this text? */
static bool is_text(struct slice string, struct slice text)
{
	struct slice inside = {string.p + 1, string.len - 2};
	char decoded[ESCAPE_MAX * WHERE_LEN_MAX + 2];
	size_t len;
	if (memchr(inside.p, '\\', inside.len) == NULL)
		return slice_eq(inside, text);
	return inside.len <= ESCAPE_MAX * text.len && json_string(string, decoded, &len) &&
	       slice_eq((struct slice){decoded, len}, text);
}

/* The element of an array that a token names: digits, without a zero before others. */
static bool element(struct slice array, struct slice token, struct slice *out)
{
	uint64_t index;
	bool named = token.len > 0 && (token.len == 1 || token.p[0] != '0') && json_sequence(token, &index);
	struct json_walk walk = json_walk(array);
	while (named && json_next(&walk))
		if (index-- == 0) {
			*out = walk.value;
			return true;
		}
	return false;
}

/* The last one counts where there are several, as for JSON.parse. */
static bool member(struct slice object, struct slice token, struct slice *out)
{
	bool found = false;
	for (struct json_walk walk = json_walk(object); json_next(&walk);)
		if (is_text((struct slice){walk.key.p - 1, walk.key.len + 2}, token)) {
			*out = walk.value;
			found = true;
		}
	return found;
}

static bool holds(const struct condition *c, struct slice value)
{
	bool there = true;
	for (size_t i = 0; there && i < c->token_count; i++) {
		enum json_kind kind = json_kind(value);
		there = kind == JSON_OBJECT  ? member(value, c->tokens[i], &value)
			: kind == JSON_ARRAY ? element(value, c->tokens[i], &value)
					     : false;
	}
	if (!there || json_kind(value) == JSON_OBJECT || json_kind(value) == JSON_ARRAY)
		return false;
	return json_kind(value) == JSON_STRING ? is_text(value, c->value) : slice_eq(value, c->value);
}

bool where_holds(const struct where *w, struct slice type, struct slice data)
{
	bool all = true;
	for (size_t i = 0; all && i < w->count; i++) {
		const struct condition *c = &w->conditions[i];
		all = c->wanted < 0 ? holds(c, data) : named_kind->holds(c->wanted, type, data);
	}
	return all;
}
