#include "base/data/checksum.h"

#include "base/data/hash.h"

uint64_t checksum_name(struct slice name)
{
	return hash_fixed(name.p, name.len, 0);
}

/* The first hash seeds the second, so that ("ab", "c") and ("a", "bc") differ. */
uint64_t checksum_names(struct slice stream, struct slice type)
{
	return hash_fixed(type.p, type.len, checksum_name(stream));
}

int64_t checksum_key(struct slice stream, struct slice id)
{
	return (int64_t)checksum_names(stream, id);
}

int64_t checksum_tag(struct slice stream, struct slice id)
{
	return (int64_t)hash_fixed(id.p, id.len, ~checksum_name(stream));
}

int32_t checksum_event(uint64_t seq, int64_t time_ms, uint64_t topic_hash, struct slice id, struct slice data)
{
	uint64_t head[4] = {seq, (uint64_t)time_ms, topic_hash, id.len > 0 ? checksum_name(id) : 0};
	return (int32_t)hash_fixed(data.p, data.len, hash_fixed(head, sizeof head, 0));
}

uint32_t checksum_frame(struct slice raw)
{
	return (uint32_t)hash_xxh64(raw.p, raw.len);
}
