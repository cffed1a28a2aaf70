/* The inside of the catalog, shared by catalog.c (adding and forgetting topics), catalog_entries.c and catalog_figures.c
 * (figures and queries). */
#ifndef STORE_INDEX_CATALOG_INTERNAL_H
#define STORE_INDEX_CATALOG_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/data/map.h"
#include "base/data/pairing_heap.h"
#include "base/data/rcu.h"
#include "base/data/slab.h"
#include "base/data/sparse_array.h"
#include "store/index/catalog.h"

/* There may be millions of both, so what can be computed is not stored. Entries do not move, so that readers may hold
 * pointers. Their links are used with the lock only, and by the RCU list once they are forgotten. */
struct stream_entry {
	struct map_link link; /* by name */
	uint32_t number;
	uint32_t named_by;  /* the topic whose text has its name */
	uint64_t open_last; /* used by the writer only */
	uint64_t last;
	uint64_t count;
	uint64_t bytes;
	uint32_t topics;
	uint32_t oldest; /* a heap of its topics with events, by their first one: number + 1 */
};

struct topic_entry {
	struct map_link link;              /* by both names */
	struct pairing_heap_link by_first; /* in its stream's `oldest` while it has events */
	uint32_t number;
	struct figures figures;
	uint64_t hash;
	uint64_t owner;  /* the client that it is counted for */
	uint32_t stream; /* number of its stream */
	uint16_t json_len;
	uint8_t stream_len;
	uint8_t type_len;
	char text[]; /* its JSON; before it the names, if the JSON has them escaped */
};

struct catalog {
	pthread_mutex_t lock; /* guards figures, maps, cells and counts */
	struct sparse_array topics;
	struct sparse_array streams;
	uint32_t end; /* of all topics, also pending ones; used by the writer only */
	uint32_t streams_end;
	uint32_t streams_visible;
	uint32_t streams_with_events;
	atomic_uint visible; /* end of the visible topics */
	atomic_ullong forgotten;
	struct map by_names;
	struct map by_stream;
	struct slab cells;
	struct buf json; /* scratch of make_topic */
	struct rcu grace;
	uint64_t set_steps;
};

/* Does the JSON of a topic have its names without escapes? */
bool catalog_is_plain(const struct topic_entry *e);
struct topic_entry *catalog_topic_at(const struct catalog *c, uint32_t number);
struct stream_entry *catalog_stream_at(const struct catalog *c, uint32_t number);
/* The topic of an entry of a stream's heap. */
struct topic_entry *catalog_heap_topic(const struct catalog *c, uint32_t entry);
struct slice catalog_stream_of(const struct topic_entry *e);
struct slice catalog_type_of(const struct topic_entry *e);
struct slice catalog_json_of(const struct topic_entry *e);
const struct topic_entry *catalog_find_entry(const struct catalog *c, uint64_t hash, struct slice stream, struct slice type);
/* The name of a stream. With the lock, or on the writing thread. */
struct slice catalog_name_of(const struct catalog *c, const struct stream_entry *s);
struct stream_entry *catalog_find_stream_entry(const struct catalog *c, uint64_t hash, struct slice name);

#endif
