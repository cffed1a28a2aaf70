/* Hashes (XXH3, 64 bits) that are the same everywhere: the keys of ids, and the sums that guard events and pages. Their
 * values are on disk: changing a function here is a migration. Clients can make texts that collide, so tables in memory use
 * keyed hashes (base/data/hash.h). */
#ifndef BASE_DATA_CHECKSUM_H
#define BASE_DATA_CHECKSUM_H

#include <stdint.h>

#include "base/slice.h"

uint64_t checksum_name(struct slice name);
uint64_t checksum_names(struct slice stream, struct slice type);
/* The key of an id within its stream. */
int64_t checksum_key(struct slice stream, struct slice id);
/* A second key, independent of the first. */
int64_t checksum_tag(struct slice stream, struct slice id);
/* Covers everything about an event; `topic_hash` is checksum_names of its stream and type. */
int32_t checksum_event(uint64_t seq, int64_t time_ms, uint64_t topic_hash, struct slice id, struct slice data);
/* The content checksum that zstd gives a frame: the lower half of XXH64. */
uint32_t checksum_frame(struct slice raw);

#endif
