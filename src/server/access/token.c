#include "server/access/token.h"

#include <ctype.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/system/random.h"
#include "base/units.h"
#include "event/event.h"
#include "json/json.h"

static const char hash_prefix[] = "sha256:";
static const char *const scope_names[] = {"publish", "read", "admin"};

enum { SCOPES = sizeof scope_names / sizeof *scope_names };

struct tokens {
	atomic_uint refs;
	char *text; /* patterns point into it */
	int count;
	struct token *items;
};

unsigned token_scope(struct slice name)
{
	for (unsigned i = 0; i < SCOPES; i++)
		if (slice_is(name, scope_names[i]))
			return 1u << i;
	return 0;
}

void token_put_scopes(struct buf *out, unsigned scopes, const char *between)
{
	const char *before = "";
	for (unsigned i = 0; i < SCOPES; i++) {
		if ((scopes & 1u << i) == 0)
			continue;
		buf_adds(out, before);
		buf_adds(out, scope_names[i]);
		before = between;
	}
}

bool token_name_fits(struct slice name)
{
	bool fine = name.len > 0 && name.len <= TOKEN_NAME_MAX;
	for (size_t i = 0; fine && i < name.len; i++)
		fine = isalnum((unsigned char)name.p[i]) || (name.p[i] != '\0' && strchr("-_.", name.p[i]) != NULL);
	return fine;
}

/* --- reading --- */

static bool read_hash(struct slice text, unsigned char out[SHA256_LEN])
{
	size_t before = sizeof hash_prefix - 1;
	if (text.len != before + 2 * SHA256_LEN || memcmp(text.p, hash_prefix, before) != 0)
		return false;
	for (size_t i = 0; i < SHA256_LEN; i++) {
		int high = units_hex(text.p[before + 2 * i]);
		int low = units_hex(text.p[before + 2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		out[i] = (unsigned char)(high << 4 | low);
	}
	return true;
}

/* Decodes a string where it lies: the value is never longer than its JSON text. */
static bool read_text(struct slice value, struct slice *out)
{
	char *memory = (char *)value.p;
	if (json_kind(value) != JSON_STRING || !json_string(value, memory, &out->len))
		return false;
	out->p = memory;
	return true;
}

static bool read_name(struct slice value, struct token *t)
{
	struct slice name;
	if (!read_text(value, &name) || !token_name_fits(name))
		return false;
	slice_copy(t->name, name);
	return true;
}

static bool read_scopes(struct slice value, struct token *t)
{
	if (json_kind(value) != JSON_ARRAY)
		return false;
	for (struct json_walk w = json_walk(value); json_next(&w);) {
		struct slice name;
		unsigned scope = read_text(w.value, &name) ? token_scope(name) : 0;
		if (scope == 0)
			return false;
		t->scopes |= scope;
	}
	return t->scopes != 0;
}

static bool read_patterns(struct slice value, struct token *t)
{
	if (json_kind(value) != JSON_ARRAY)
		return false;
	for (struct json_walk w = json_walk(value); json_next(&w);) {
		struct slice pattern;
		if (t->pattern_count == TOKEN_PATTERNS_MAX || !read_text(w.value, &pattern) || pattern.len == 0 ||
		    pattern.len > EVENT_NAME_MAX || !json_plain_text(pattern))
			return false;
		t->patterns[t->pattern_count++] = pattern;
	}
	return t->pattern_count > 0;
}

/* The first member that makes no sense, as it should be; NULL where all do. A member that nobody knows may be one that was
 * to narrow the rights, misspelt. */
static const char *read_members(struct slice object, struct token *t)
{
	bool hashed = false;
	for (struct json_walk w = json_walk(object); json_next(&w);) {
		if (json_key_is(w.key, "name")) {
			if (t->name[0] != '\0' || !read_name(w.value, t))
				return "\"name\" wants 1 to 64 letters, digits, dots, dashes and underscores";
		} else if (json_key_is(w.key, "scopes")) {
			if (t->scopes != 0 || !read_scopes(w.value, t))
				return "\"scopes\" wants an array out of publish, read and admin";
		} else if (json_key_is(w.key, "streams")) {
			if (t->pattern_count != 0 || !read_patterns(w.value, t))
				return "\"streams\" wants an array of 1 to 64 names, or beginnings of names and a *";
		} else if (json_key_is(w.key, "hash")) {
			struct slice text;
			if (hashed || !read_text(w.value, &text) || !read_hash(text, t->hash))
				return "\"hash\" wants sha256: and 64 hex digits";
			hashed = true;
		} else {
			return "a token has name, scopes, hash and perhaps streams, and no other member";
		}
	}
	if (t->name[0] == '\0' || t->scopes == 0 || !hashed)
		return "a token wants name, scopes and hash";
	return (t->scopes & SCOPE_ADMIN) != 0 && t->pattern_count > 0 ? "the scope admin cannot be limited to streams"
								      : NULL;
}

static const char *check_unique(const struct tokens *all, const struct token *t)
{
	for (int i = 0; i < all->count; i++) {
		if (strcmp(all->items[i].name, t->name) == 0)
			return "a token of this name stands further up";
		if (memcmp(all->items[i].hash, t->hash, SHA256_LEN) == 0)
			return "a token with this hash stands further up";
	}
	return NULL;
}

static enum err add_line(struct tokens *all, struct slice line, size_t number, struct fault *fault)
{
	struct json_error error;
	char *text = (char *)line.p;
	const char *wrong = NULL;
	struct token *items = realloc(all->items, (size_t)(all->count + 1) * sizeof *items);
	if (items == NULL)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	all->items = items;
	struct token *t = &items[all->count];
	*t = (struct token){.line = number};
	if (all->count == TOKENS_MAX)
		wrong = "there are more than 1000 tokens";
	else if (!json_minify(text, line.len, text, &line.len, &error) || json_kind(line) != JSON_OBJECT)
		wrong = "a line is one JSON object";
	else if ((wrong = read_members(line, t)) == NULL)
		wrong = check_unique(all, t);
	if (wrong != NULL) {
		fault_set(fault, ERR_INVALID, "%s", wrong);
		fault->place = (long)number;
		return ERR_INVALID;
	}
	all->count++;
	return ERR_NONE;
}

static struct slice trim(struct slice line)
{
	while (line.len > 0 && isspace((unsigned char)line.p[0]))
		line = (struct slice){line.p + 1, line.len - 1};
	while (line.len > 0 && isspace((unsigned char)line.p[line.len - 1]))
		line.len--;
	return line;
}

enum err tokens_parse(struct slice text, struct tokens **out, struct fault *fault)
{
	struct tokens *t = calloc(1, sizeof *t);
	*out = NULL;
	if (t == NULL || (t->text = malloc(text.len + 1)) == NULL) {
		free(t);
		return fault_set(fault, ERR_NOMEM, "out of memory");
	}
	slice_copy(t->text, text);
	atomic_store(&t->refs, 1);
	struct slice rest = {t->text, text.len};
	enum err err = ERR_NONE;
	for (size_t number = 1; !err && rest.len > 0; number++) {
		const char *end = memchr(rest.p, '\n', rest.len);
		size_t len = end != NULL ? (size_t)(end - rest.p) : rest.len;
		struct slice line = trim((struct slice){rest.p, len});
		rest = (struct slice){rest.p + len + (end != NULL), rest.len - len - (end != NULL)};
		if (line.len > 0 && line.p[0] != '#')
			err = add_line(t, line, number, fault);
	}
	if (err)
		tokens_unref(t);
	else
		*out = t;
	return err;
}

struct tokens *tokens_ref(struct tokens *t)
{
	atomic_fetch_add(&t->refs, 1);
	return t;
}

void tokens_unref(struct tokens *t)
{
	if (t == NULL || atomic_fetch_sub(&t->refs, 1) > 1)
		return;
	free(t->items);
	free(t->text);
	free(t);
}

/* --- finding --- */

int tokens_count(const struct tokens *t)
{
	return t->count;
}

const struct token *tokens_at(const struct tokens *t, int index)
{
	return &t->items[index];
}

const struct token *tokens_find(const struct tokens *t, struct slice text)
{
	unsigned char hash[SHA256_LEN];
	const struct token *found = NULL;
	if (text.len == 0 || text.len > TOKEN_TEXT_MAX || !sha256_of(text, hash))
		return NULL;
	for (int i = 0; i < t->count; i++) /* to the end in any case */
		found = sha256_same(t->items[i].hash, hash) ? &t->items[i] : found;
	return found;
}

static bool same_rights(const struct token *a, const struct token *b)
{
	bool same = strcmp(a->name, b->name) == 0 && a->scopes == b->scopes && a->pattern_count == b->pattern_count;
	for (int i = 0; same && i < a->pattern_count; i++)
		same = slice_eq(a->patterns[i], b->patterns[i]);
	return same;
}

const struct token *tokens_again(const struct tokens *t, const struct token *old)
{
	for (int i = 0; i < t->count; i++)
		if (sha256_same(t->items[i].hash, old->hash))
			return same_rights(&t->items[i], old) ? &t->items[i] : NULL;
	return NULL;
}

/* --- making --- */

bool token_make(const char *name, unsigned scopes, const struct slice *patterns, int pattern_count, char text[TOKEN_LEN],
		struct buf *line)
{
	unsigned char hash[SHA256_LEN];
	char digits[SHA256_TEXT_LEN + 1];
	memcpy(text, "td_", 3);
	random_hex(text + 3, (TOKEN_LEN - 4) / 2);
	if (!sha256_of(slice_of(text), hash))
		return false;
	buf_printf(line, "{\"name\":\"%s\",\"scopes\":[\"", name);
	token_put_scopes(line, scopes, "\",\"");
	buf_adds(line, "\"]");
	for (int i = 0; i < pattern_count; i++) {
		buf_adds(line, i == 0 ? ",\"streams\":[" : ",");
		buf_json(line, patterns[i]);
	}
	sha256_text(hash, digits);
	buf_printf(line, "%s,\"hash\":\"%s%s\"}\n", pattern_count > 0 ? "]" : "", hash_prefix, digits);
	return !buf_failed(line);
}
