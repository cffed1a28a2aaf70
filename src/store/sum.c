#include "store/sum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t sum_name(struct slice name)
{
	return XXH3_64bits(name.p, name.len);
}

/* The first hash seeds the second, so that ("ab", "c") and ("a", "bc") differ. */
uint64_t sum_names(struct slice stream, struct slice type)
{
	return XXH3_64bits_withSeed(type.p, type.len, XXH3_64bits(stream.p, stream.len));
}

int64_t sum_key(struct slice stream, struct slice id)
{
	return (int64_t)sum_names(stream, id);
}

int64_t sum_tag(struct slice stream, struct slice id)
{
	return (int64_t)XXH3_64bits_withSeed(id.p, id.len, ~XXH3_64bits(stream.p, stream.len));
}

int32_t sum_event(uint64_t seq, int64_t time_ms, uint64_t topic_hash, struct slice id, struct slice data)
{
	uint64_t head[4] = {seq, (uint64_t)time_ms, topic_hash, id.len > 0 ? sum_name(id) : 0};
	return (int32_t)XXH3_64bits_withSeed(data.p, data.len, XXH3_64bits(head, sizeof head));
}

uint32_t sum_frame(struct slice raw)
{
	return (uint32_t)XXH64(raw.p, raw.len, 0);
}
