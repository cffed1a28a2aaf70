/* The entries of the catalog: finding them, and their texts. */
#include <assert.h>

#include "base/data/hash.h"
#include "store/index/catalog_internal.h"

enum { STREAM_AT = 10 /* "stream":" */, TYPE_AFTER = 10 /* ","type":" */ };

struct topic_entry *catalog_topic_at(const struct catalog *c, uint32_t number)
{
	return sparse_array_at(&c->topics, number);
}

struct stream_entry *catalog_stream_at(const struct catalog *c, uint32_t number)
{
	return sparse_array_at(&c->streams, number);
}

bool catalog_is_plain(const struct topic_entry *e)
{
	return e->json_len == STREAM_AT + e->stream_len + TYPE_AFTER + e->type_len + 1;
}

struct topic_entry *catalog_heap_topic(const struct catalog *c, uint32_t entry)
{
	assert(entry > 0);
	return catalog_topic_at(c, entry - 1);
}

struct slice catalog_stream_of(const struct topic_entry *e)
{
	return (struct slice){catalog_is_plain(e) ? e->text + STREAM_AT : e->text, e->stream_len};
}

struct slice catalog_type_of(const struct topic_entry *e)
{
	return (struct slice){catalog_is_plain(e) ? e->text + STREAM_AT + e->stream_len + TYPE_AFTER
						  : e->text + e->stream_len,
			      e->type_len};
}

struct slice catalog_json_of(const struct topic_entry *e)
{
	return (struct slice){catalog_is_plain(e) ? e->text : e->text + e->stream_len + e->type_len, e->json_len};
}

const struct topic_entry *catalog_find_entry(const struct catalog *c, uint64_t hash, struct slice stream, struct slice type)
{
	MAP_EACH(link, &c->by_names, hash)
	{
		const struct topic_entry *e = MAP_ITEM(link, struct topic_entry, link);
		if (slice_eq(catalog_stream_of(e), stream) && slice_eq(catalog_type_of(e), type))
			return e;
	}
	return NULL;
}

/* Empty while several topics of the stream are being forgotten one after the other. */
struct slice catalog_name_of(const struct catalog *c, const struct stream_entry *s)
{
	const struct topic_entry *e = catalog_topic_at(c, s->named_by);
	return e != NULL ? catalog_stream_of(e) : (struct slice){0};
}

struct stream_entry *catalog_find_stream_entry(const struct catalog *c, uint64_t hash, struct slice name)
{
	MAP_EACH(link, &c->by_stream, hash)
	{
		struct stream_entry *e = MAP_ITEM(link, struct stream_entry, link);
		if (slice_eq(catalog_name_of(c, e), name))
			return e;
	}
	return NULL;
}
