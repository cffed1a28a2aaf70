/* Hashes (XXH3, 64 bits). Keyed ones are for tables in memory: they depend on a secret of 192 random bytes that is drawn
 * once in each process, so that clients cannot choose keys that collide. Fixed ones are the same everywhere, for what is
 * on disk (base/data/checksum.h). docs/decisions/0023-keyed-hash-tables.md. Any thread. */
#ifndef BASE_DATA_HASH_H
#define BASE_DATA_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* --- keyed: never store or send one --- */

uint64_t hash_text(struct slice text);
/* Of two texts: ("ab", "c") and ("a", "bc") differ. */
uint64_t hash_texts(struct slice a, struct slice b);
/* The same, by the hash of each. */
uint64_t hash_pair(uint64_t a, uint64_t b);
uint64_t hash_number(uint64_t n);

/* --- fixed --- */

uint64_t hash_fixed(const void *bytes, size_t len, uint64_t seed);
/* XXH64, as zstd has it. */
uint64_t hash_xxh64(const void *bytes, size_t len);

#endif
