/* The hash table for keys that clients choose: names, ids, addresses. Intrusive: an entry has a
 * `struct map_link` in it and stays where it is while it is in a map. The map knows hashes only; they come from the keyed
 * functions of base/data/hash.h, and the caller compares keys.
 *
 * It grows with its entries, a few buckets at a time (linear hashing): no add is slow because others came before it. Adding
 * cannot fail: without memory for more buckets the chains become longer, and later adds catch up. It does not shrink before
 * map_finish; a bucket takes 8 bytes, and there are as many as there ever were entries.
 *
 * The map owns its buckets, not the entries. Not locked: finds may run concurrently with each other only. */
#ifndef BASE_DATA_MAP_H
#define BASE_DATA_MAP_H

#include <stddef.h>
#include <stdint.h>

enum { MAP_FEW = 16, MAP_SEGMENTS = 44 };

struct map_link {
	struct map_link *next; /* in the same bucket */
	uint64_t hash;
};

struct map {
	size_t count;
	size_t buckets;                           /* in use */
	struct map_link *few[MAP_FEW];            /* the first buckets */
	struct map_link **segments[MAP_SEGMENTS]; /* of 16 buckets, 32, 64, …; each as many as all before it */
};

#define MAP_ITEM(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

/* Walks the entries with a hash: that of the key, and rarely of others. The current entry must not be removed if the walk
 * goes on. */
#define MAP_EACH(link, map, wanted) for (struct map_link *link = map_first(map, wanted); link != NULL; link = map_next(link))

void map_init(struct map *m);
/* Gives the buckets back; `destroy` (NULL: none) gets each entry. The map is empty then, and may be used again. */
void map_finish(struct map *m, void (*destroy)(struct map_link *link));

/* Makes an empty map ready for `count` entries. Without memory it grows as it would have. */
void map_expect(struct map *m, size_t count);
void map_add(struct map *m, uint64_t hash, struct map_link *link);
/* An entry that is in it. */
void map_remove(struct map *m, struct map_link *link);

struct map_link *map_first(const struct map *m, uint64_t hash);
struct map_link *map_next(const struct map_link *link);

/* Hints for what is added or looked for soon, one for each hash and then the others: at first its bucket comes into the
 * processor's cache, then the first entry in it, then the one after that. */
void map_fetch_bucket(const struct map *m, uint64_t hash);
void map_fetch_entry(const struct map *m, uint64_t hash);
void map_fetch_next(const struct map *m, uint64_t hash);

/* How many entries are looked at when each is looked for once: what tests compare. Walks all. */
uint64_t map_steps(const struct map *m);

#endif
