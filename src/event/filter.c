#include "tidemark/filter.h"

#include <stdlib.h>

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
	memcpy(copy, name.p, name.len);
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

bool filter_pattern_fits(struct slice pattern, struct slice stream)
{
	if (pattern.len == 0 || pattern.p[pattern.len - 1] != '*')
		return slice_eq(pattern, stream);
	return stream.len >= pattern.len - 1 && memcmp(stream.p, pattern.p, pattern.len - 1) == 0;
}

bool filter_is_open(const struct filter *f)
{
	return f == NULL || (f->streams.count == 0 && f->types.count == 0 && f->patterns.count == 0);
}

static bool names_pass(const struct names *n, struct slice name)
{
	for (size_t i = 0; i < n->count; i++)
		if (slice_eq(n->items[i], name))
			return true;
	return n->count == 0;
}

static bool patterns_pass(const struct names *n, struct slice stream)
{
	for (size_t i = 0; i < n->count; i++)
		if (filter_pattern_fits(n->items[i], stream))
			return true;
	return n->count == 0;
}

bool filter_match(const struct filter *f, struct slice stream, struct slice type)
{
	return f == NULL ||
	       (names_pass(&f->streams, stream) && names_pass(&f->types, type) && patterns_pass(&f->patterns, stream));
}
