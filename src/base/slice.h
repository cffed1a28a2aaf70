/* A borrowed run of bytes: never owns, never ends in NUL by promise. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
	const char *p;
	size_t len;
};

static inline struct slice slice_of(const char *text)
{
	return (struct slice){text, strlen(text)};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static inline bool slice_begins(struct slice a, struct slice with)
{
	return a.len >= with.len && (with.len == 0 || memcmp(a.p, with.p, with.len) == 0);
}

/* Negative, 0 or positive as `a` comes before, is, or comes after `b` in the order of their bytes. */
static inline int slice_compare(struct slice a, struct slice b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int order = n > 0 ? memcmp(a.p, b.p, n) : 0;
	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* Copies the bytes, which may be none (p is NULL then); returns what is behind the copy. */
static inline char *slice_copy(char *to, struct slice from)
{
	if (from.len > 0)
		memcpy(to, from.p, from.len);
	return to + from.len;
}

static inline bool slice_is(struct slice a, const char *text)
{
	return slice_eq(a, slice_of(text));
}

#endif
