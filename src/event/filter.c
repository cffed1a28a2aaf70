#include "tidemark/filter.h"

#include <stdlib.h>

#include "base/buf.h"
#include "event/json.h"
#include "tidemark/event.h"

struct names {
	size_t count;
	struct slice *items;
};

struct filter {
	struct names streams;
	struct names types;
	struct names patterns; /* of streams */
};

struct filter *filter_create(void)
{
	return calloc(1, sizeof(struct filter));
}

static void names_finish(struct names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free((char *)n->items[i].p);
	free(n->items);
}

void filter_destroy(struct filter *f)
{
	if (f == NULL)
		return;
	names_finish(&f->streams);
	names_finish(&f->types);
	names_finish(&f->patterns);
	free(f);
}

static enum err names_add(struct names *n, struct slice name)
{
	if (n->count == FILTER_NAMES_MAX)
		return ERR_TOO_LARGE;
	struct slice *items = realloc(n->items, (n->count + 1) * sizeof *items);
	if (items == NULL)
		return ERR_NOMEM;
	n->items = items;
	char *copy = malloc(name.len + 1);
	if (copy == NULL)
		return ERR_NOMEM;
	slice_copy(copy, name);
	n->items[n->count++] = (struct slice){copy, name.len};
	return ERR_NONE;
}

enum err filter_add_stream(struct filter *f, struct slice name)
{
	return names_add(&f->streams, name);
}

enum err filter_add_type(struct filter *f, struct slice name)
{
	return names_add(&f->types, name);
}

enum err filter_add_pattern(struct filter *f, struct slice pattern)
{
	return names_add(&f->patterns, pattern);
}

bool filter_pattern_fits(struct slice pattern, struct slice name)
{
	if (pattern.len == 0 || pattern.p[pattern.len - 1] != '*')
		return slice_eq(pattern, name);
	return slice_begins(name, (struct slice){pattern.p, pattern.len - 1});
}

bool filter_is_open(const struct filter *f)
{
	return f == NULL || (f->streams.count == 0 && f->types.count == 0 && f->patterns.count == 0);
}

static bool names_pass(const struct names *n, struct slice name)
{
	for (size_t i = 0; i < n->count; i++)
		if (filter_pattern_fits(n->items[i], name))
			return true;
	return n->count == 0;
}

bool filter_match(const struct filter *f, struct slice stream, struct slice type)
{
	return f == NULL ||
	       (names_pass(&f->streams, stream) && names_pass(&f->types, type) && names_pass(&f->patterns, stream));
}

/* --- as text --- */

static const char *const list_names[] = {"stream", "type", "pattern"};

static const struct names *list_at(const struct filter *f, int i)
{
	return i == 0 ? &f->streams : i == 1 ? &f->types : &f->patterns;
}

void filter_write(struct buf *out, const struct filter *f)
{
	if (filter_is_open(f))
		return;
	for (int i = 0; i < 3; i++) {
		const struct names *n = list_at(f, i);
		buf_printf(out, "%s\"%s\":[", i == 0 ? "{" : ",", list_names[i]);
		for (size_t k = 0; k < n->count; k++) {
			buf_adds(out, k > 0 ? "," : "");
			buf_json(out, n->items[k]);
		}
		buf_addc(out, ']');
	}
	buf_addc(out, '}');
}

static enum err read_list(struct slice list, struct filter *f, enum err (*add)(struct filter *f, struct slice name))
{
	enum err err = json_kind(list) == JSON_ARRAY ? ERR_NONE : ERR_INVALID;
	struct json_walk w = json_walk(list);
	while (!err && json_next(&w)) {
		char name[EVENT_NAME_MAX * 6 + 2]; /* each byte may be an escape */
		size_t len;
		bool fine =
			json_kind(w.value) == JSON_STRING && w.value.len <= sizeof name && json_string(w.value, name, &len);
		err = fine ? add(f, (struct slice){name, len}) : ERR_INVALID;
	}
	return err;
}

enum err filter_read(struct slice text, struct filter **out)
{
	static enum err (*const add[])(struct filter * f, struct slice name) = {filter_add_stream, filter_add_type,
										filter_add_pattern};
	struct json_error error;
	struct slice value = {malloc(text.len + 1), 0};
	struct filter *f = *out = filter_create();
	enum err err = value.p != NULL && f != NULL ? ERR_NONE : ERR_NOMEM;
	if (!err && text.len > 0 &&
	    (!json_minify(text.p, text.len, (char *)value.p, &value.len, &error) || json_kind(value) != JSON_OBJECT))
		err = ERR_INVALID;
	for (int i = 0; !err && text.len > 0 && i < 3; i++) {
		struct slice list;
		err = json_member(value, list_names[i], &list) ? read_list(list, f, add[i]) : ERR_INVALID;
	}
	free((char *)value.p);
	if (err) {
		filter_destroy(f);
		*out = NULL;
	}
	return err;
}
