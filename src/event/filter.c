#include "event/filter.h"

#include <stdlib.h>

#include "base/buf.h"
#include "event/event.h"
#include "event/where.h"
#include "json/json.h"

struct names {
	size_t count;
	struct slice *items;
};

struct filter {
	struct names streams;
	struct names types;
	struct names patterns; /* of streams */
	struct where *where;   /* NULL: none */
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
	where_unref(f->where);
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

enum err filter_add_where(struct filter *f, struct slice condition)
{
	if (f->where == NULL && (f->where = where_create()) == NULL)
		return ERR_NOMEM;
	return where_add(f->where, condition);
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

bool filter_is_wide(const struct filter *f)
{
	return f == NULL || (f->streams.count == 0 && f->types.count == 0 && f->patterns.count == 0);
}

struct where *filter_where(const struct filter *f)
{
	return f != NULL && where_count(f->where) > 0 ? f->where : NULL;
}

bool filter_is_open(const struct filter *f)
{
	return filter_is_wide(f) && filter_where(f) == NULL;
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

/* The lists that a filter is made of; `where` is left out where it is empty, as older versions do not know it. */
struct list_kind {
	const char *name;
	enum err (*add)(struct filter *f, struct slice item);
	size_t item_max;
	bool optional;
};

static const struct list_kind kinds[] = {
	{"stream", filter_add_stream, EVENT_NAME_MAX, false},
	{"type", filter_add_type, EVENT_NAME_MAX, false},
	{"pattern", filter_add_pattern, EVENT_NAME_MAX, false},
	{"where", filter_add_where, WHERE_LEN_MAX, true},
};

enum { KINDS = sizeof kinds / sizeof *kinds };

static size_t list_count(const struct filter *f, int kind)
{
	const size_t counts[KINDS] = {f->streams.count, f->types.count, f->patterns.count, where_count(f->where)};
	return counts[kind];
}

static struct slice list_item(const struct filter *f, int kind, size_t index)
{
	const struct names *const lists[] = {&f->streams, &f->types, &f->patterns};
	return kind < KINDS - 1 ? lists[kind]->items[index] : where_text(f->where, index);
}

void filter_write(struct buf *out, const struct filter *f)
{
	if (filter_is_open(f))
		return;
	for (int i = 0; i < KINDS; i++) {
		size_t count = list_count(f, i);
		if (kinds[i].optional && count == 0)
			continue;
		buf_printf(out, "%s\"%s\":[", i == 0 ? "{" : ",", kinds[i].name);
		for (size_t k = 0; k < count; k++) {
			buf_adds(out, k > 0 ? "," : "");
			buf_json(out, list_item(f, i, k));
		}
		buf_addc(out, ']');
	}
	buf_addc(out, '}');
}

static enum err read_list(struct slice list, struct filter *f, const struct list_kind *kind)
{
	enum err err = json_kind(list) == JSON_ARRAY ? ERR_NONE : ERR_INVALID;
	struct json_walk w = json_walk(list);
	while (!err && json_next(&w)) {
		char item[WHERE_LEN_MAX * 6 + 2]; /* each byte may be an escape */
		size_t len;
		bool fine = json_kind(w.value) == JSON_STRING && w.value.len <= kind->item_max * 6 + 2 &&
			    json_string(w.value, item, &len);
		err = fine ? kind->add(f, (struct slice){item, len}) : ERR_INVALID;
	}
	return err;
}

enum err filter_read(struct slice text, struct filter **out)
{
	struct json_error error;
	struct slice value = {malloc(text.len + 1), 0};
	struct filter *f = *out = filter_create();
	enum err err = value.p != NULL && f != NULL ? ERR_NONE : ERR_NOMEM;
	if (!err && text.len > 0 &&
	    (!json_minify(text.p, text.len, (char *)value.p, &value.len, &error) || json_kind(value) != JSON_OBJECT))
		err = ERR_INVALID;
	for (int i = 0; !err && text.len > 0 && i < KINDS; i++) {
		struct slice list;
		if (json_member(value, kinds[i].name, &list))
			err = read_list(list, f, &kinds[i]);
		else if (!kinds[i].optional)
			err = ERR_INVALID;
	}
	free((char *)value.p);
	if (err) {
		filter_destroy(f);
		*out = NULL;
	}
	return err;
}
