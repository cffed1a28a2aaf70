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
	char *text; /* the patterns point into it */
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

void token_put_scopes(struct buf *out, unsigned scopes)
{
	const char *before = "";
	for (unsigned i = 0; i < SCOPES; i++) {
		if ((scopes & 1u << i) == 0)
			continue;
		buf_adds(out, before);
		buf_adds(out, scope_names[i]);
		before = ",";
	}
}

void token_add_scopes(struct doc to, unsigned scopes)
{
	for (unsigned i = 0; i < SCOPES; i++)
		if ((scopes & 1u << i) != 0)
			doc_string(to, NULL, scope_names[i]);
}

bool token_name_fits(struct slice name)
{
	bool fine = name.len > 0 && name.len <= TOKEN_NAME_MAX;
	for (size_t i = 0; fine && i < name.len; i++)
		fine = isalnum((unsigned char)name.p[i]) || (name.p[i] != '\0' && strchr("-_.", name.p[i]) != NULL);
	return fine;
}

/* --- parsing --- */

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

static bool read_name(struct doc value, struct token *t)
{
	struct slice name;
	if (!doc_get_text(value, &name) || !token_name_fits(name))
		return false;
	slice_copy(t->name, name);
	return true;
}

static bool read_scopes(struct doc value, struct token *t)
{
	if (!doc_is_array(value))
		return false;
	for (struct doc item = doc_first(value); item.at != NULL; item = doc_next(item)) {
		struct slice name;
		unsigned scope = doc_get_text(item, &name) ? token_scope(name) : 0;
		if (scope == 0)
			return false;
		t->scopes |= scope;
	}
	return t->scopes != 0;
}

/* Writes the patterns over the line: no decoded text is longer than its JSON. */
static bool read_patterns(struct doc value, struct token *t, char *memory)
{
	if (!doc_is_array(value))
		return false;
	for (struct doc item = doc_first(value); item.at != NULL; item = doc_next(item)) {
		struct slice pattern;
		if (t->pattern_count == TOKEN_PATTERNS_MAX || !doc_get_text(item, &pattern) || pattern.len == 0 ||
		    pattern.len > EVENT_NAME_MAX || !json_plain_text(pattern))
			return false;
		t->patterns[t->pattern_count++] = (struct slice){memory, pattern.len};
		memory = slice_copy(memory, pattern);
	}
	return t->pattern_count > 0;
}

/* An error text for the first invalid member; NULL: all are valid. An unknown member is an error, because it may be a
 * misspelt one that was meant to restrict the token. */
static const char *read_members(struct doc object, struct token *t, char *memory)
{
	bool hashed = false;
	for (struct doc value = doc_first(object); value.at != NULL; value = doc_next(value)) {
		struct slice key = slice_of(doc_key(value));
		struct slice text;
		if (slice_is(key, "name")) {
			if (t->name[0] != '\0' || !read_name(value, t))
				return "\"name\" must be 1 to 64 letters, digits, dots, dashes and underscores";
		} else if (slice_is(key, "scopes")) {
			if (t->scopes != 0 || !read_scopes(value, t))
				return "\"scopes\" must be an array of publish, read and admin";
		} else if (slice_is(key, "streams")) {
			if (t->pattern_count != 0 || !read_patterns(value, t, memory))
				return "\"streams\" must be an array of 1 to 64 names or name prefixes with a *";
		} else if (slice_is(key, "hash")) {
			if (hashed || !doc_get_text(value, &text) || !read_hash(text, t->hash))
				return "\"hash\" must be sha256: and 64 hex digits";
			hashed = true;
		} else {
			return "unknown member: a token has name, scopes, hash and optionally streams";
		}
	}
	if (t->name[0] == '\0' || t->scopes == 0 || !hashed)
		return "a token must have name, scopes and hash";
	return (t->scopes & SCOPE_ADMIN) != 0 && t->pattern_count > 0 ? "the scope admin cannot be limited to streams"
								      : NULL;
}

static const char *check_unique(const struct tokens *all, const struct token *t)
{
	for (int i = 0; i < all->count; i++) {
		if (strcmp(all->items[i].name, t->name) == 0)
			return "duplicate name: an earlier line has a token of this name";
		if (memcmp(all->items[i].hash, t->hash, SHA256_LEN) == 0)
			return "duplicate hash: an earlier line has a token with this hash";
	}
	return NULL;
}

/* Parses the token of a line, whose memory then holds its patterns. *wrong: the error; NULL: none. */
static enum err read_line(struct slice line, struct token *t, const char **wrong)
{
	struct document d;
	struct json_error error;
	char *text = (char *)line.p;
	*wrong = "a line must be one JSON object";
	if (!json_minify(text, line.len, text, &line.len, &error))
		return ERR_INVALID;
	enum err err = document_read(&d, line);
	if (!err && doc_is_object(document_root(&d)))
		*wrong = read_members(document_root(&d), t, text);
	document_finish(&d);
	return err ? err : *wrong != NULL ? ERR_INVALID : ERR_NONE;
}

static enum err add_line(struct tokens *all, struct slice line, size_t number, struct fault *fault)
{
	const char *wrong = NULL;
	struct token *items = realloc(all->items, (size_t)(all->count + 1) * sizeof *items);
	if (items == NULL)
		return fault_nomem(fault);
	all->items = items;
	struct token *t = &items[all->count];
	*t = (struct token){.line = number};
	if (all->count == TOKENS_MAX)
		wrong = "there are more than 1000 tokens";
	else if (read_line(line, t, &wrong) == ERR_NOMEM)
		return fault_nomem(fault);
	if (wrong == NULL)
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
		return fault_nomem(fault);
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

/* --- lookup --- */

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
	for (int i = 0; i < t->count; i++) /* no early exit: the time must not depend on the match */
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

/* --- creation --- */

bool token_make(const char *name, unsigned scopes, const struct slice *patterns, int pattern_count, char text[TOKEN_LEN],
		struct buf *line)
{
	unsigned char hash[SHA256_LEN];
	char hash_text[sizeof hash_prefix + SHA256_TEXT_LEN];
	struct document d;
	memcpy(text, "td_", 3);
	random_hex(text + 3, (TOKEN_LEN - 4) / 2);
	if (!sha256_of(slice_of(text), hash))
		return false;
	strcpy(hash_text, hash_prefix);
	sha256_text(hash, hash_text + sizeof hash_prefix - 1);
	struct doc root = document_begin(&d);
	doc_string(root, "name", name);
	token_add_scopes(doc_array(root, "scopes"), scopes);
	struct doc streams = pattern_count > 0 ? doc_array(root, "streams") : root;
	for (int i = 0; i < pattern_count; i++)
		doc_text(streams, NULL, patterns[i]);
	doc_string(root, "hash", hash_text);
	document_end(&d, line);
	buf_addc(line, '\n');
	return !buf_failed(line);
}
