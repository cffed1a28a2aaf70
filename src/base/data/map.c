#include "base/data/map.h"

#include <assert.h>
#include <stdlib.h>

enum {
	FEW_BITS = 4,
	SPLITS_AT_ONCE = 16, /* two lines of the processor's cache */
	LINE_BUCKETS = 8,
};

_Static_assert(MAP_FEW == 1 << FEW_BITS, "the first segment begins where the few end");

static unsigned log_of(size_t n)
{
	return 63 - (unsigned)__builtin_clzll(n);
}

static struct map_link **bucket_at(const struct map *m, size_t at)
{
	if (at < MAP_FEW)
		return (struct map_link **)&m->few[at];
	unsigned log = log_of(at);
	return &m->segments[log - FEW_BITS][at - ((size_t)1 << log)];
}

/* Buckets from `buckets` on are still part of those as far below them as a power of two is. */
static struct map_link **bucket_of(const struct map *m, uint64_t hash)
{
	size_t half = (size_t)1 << log_of(m->buckets);
	size_t at = (size_t)hash & (2 * half - 1);
	return bucket_at(m, at < m->buckets ? at : at - half);
}

void map_init(struct map *m)
{
	*m = (struct map){.buckets = MAP_FEW};
}

void map_finish(struct map *m, void (*destroy)(struct map_link *link))
{
	for (size_t at = 0; destroy != NULL && at < m->buckets; at++)
		for (struct map_link *link = *bucket_at(m, at), *next; link != NULL; link = next) {
			next = link->next;
			destroy(link);
		}
	for (int i = 0; i < MAP_SEGMENTS; i++)
		free(m->segments[i]);
	map_init(m);
}

/* Makes one more bucket out of another. */
static void split(struct map *m, size_t half)
{
	struct map_link **from = bucket_at(m, m->buckets - half);
	struct map_link **to = bucket_at(m, m->buckets);
	m->buckets++;
	while (*from != NULL) {
		struct map_link *link = *from;
		if ((link->hash & half) == 0) {
			from = &link->next;
			continue;
		}
		*from = link->next;
		link->next = *to;
		*to = link;
	}
}

/* Makes several buckets at once, so that the cache misses of their entries overlap. */
static void grow(struct map *m)
{
	size_t half = (size_t)1 << log_of(m->buckets);
	size_t from = m->buckets - half;
	size_t count = half - from < SPLITS_AT_ONCE ? half - from : SPLITS_AT_ONCE;
	struct map_link ***segment = &m->segments[log_of(m->buckets) - FEW_BITS];
	if (*segment == NULL)
		*segment = calloc(half, sizeof **segment);
	if (*segment == NULL)
		return;
	for (size_t i = 0; i < count; i++)
		__builtin_prefetch(*bucket_at(m, from + i));
	for (size_t i = 0; i < count; i++) {
		const struct map_link *first = *bucket_at(m, from + i);
		if (first != NULL)
			__builtin_prefetch(first->next);
	}
	for (size_t i = 0; i < count; i++)
		split(m, half);
	/* Those that are next. */
	if (from + count < half) {
		__builtin_prefetch(bucket_at(m, from + count));
		__builtin_prefetch(bucket_at(m, from + count + LINE_BUCKETS));
	}
}

void map_expect(struct map *m, size_t count)
{
	assert(m->count == 0);
	while (m->buckets < count) {
		size_t half = (size_t)1 << log_of(m->buckets);
		struct map_link ***segment = &m->segments[log_of(m->buckets) - FEW_BITS];
		if (*segment == NULL)
			*segment = calloc(half, sizeof **segment);
		if (*segment == NULL)
			return;
		m->buckets = 2 * half < count ? 2 * half : count;
	}
}

void map_add(struct map *m, uint64_t hash, struct map_link *link)
{
	if (m->count >= m->buckets)
		grow(m);
	struct map_link **bucket = bucket_of(m, hash);
	*link = (struct map_link){*bucket, hash};
	*bucket = link;
	m->count++;
}

void map_remove(struct map *m, struct map_link *link)
{
	struct map_link **at = bucket_of(m, link->hash);
	while (*at != NULL && *at != link)
		at = &(*at)->next;
	assert(*at == link && m->count > 0);
	*at = link->next;
	link->next = NULL;
	m->count--;
}

static struct map_link *skip_others(struct map_link *link, uint64_t hash)
{
	while (link != NULL && link->hash != hash)
		link = link->next;
	return link;
}

struct map_link *map_first(const struct map *m, uint64_t hash)
{
	return skip_others(*bucket_of(m, hash), hash);
}

struct map_link *map_next(const struct map_link *link)
{
	return skip_others(link->next, link->hash);
}

void map_fetch_bucket(const struct map *m, uint64_t hash)
{
	__builtin_prefetch(bucket_of(m, hash));
}

void map_fetch_entry(const struct map *m, uint64_t hash)
{
	__builtin_prefetch(*bucket_of(m, hash));
}

void map_fetch_next(const struct map *m, uint64_t hash)
{
	const struct map_link *first = *bucket_of(m, hash);
	if (first != NULL)
		__builtin_prefetch(first->next);
}

uint64_t map_steps(const struct map *m)
{
	uint64_t steps = 0;
	for (size_t at = 0; at < m->buckets; at++) {
		uint64_t depth = 0;
		for (const struct map_link *link = *bucket_at(m, at); link != NULL; link = link->next)
			steps += ++depth;
	}
	return steps;
}
