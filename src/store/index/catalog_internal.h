/* The inside of the catalog: catalog.c (topics come and go) and catalog_figures.c (what is counted of them, and asking)
 * share it. */
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

/* There may be millions of both: what can be worked out is not kept. They stay where they are, so that readers may hold
 * pointers; their links are for those with the lock only, and for grace once they are forgotten. */
struct stream_entry {
	struct map_link link; /* by name */
	uint32_t number;
	uint32_t named_by;  /* one of its topics, whose text has the name */
	uint64_t open_last; /* the writer's alone */
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
	uint64_t owner;  /* whom it is counted for */
	uint32_t stream; /* its number */
	uint16_t json_len;
	uint8_t stream_len;
	uint8_t type_len;
	char text[]; /* its JSON; before it the names, where the JSON has them in another form */
};

struct catalog {
	pthread_mutex_t lock; /* guards figures, maps, cells and counts */
	struct sparse_array topics;
	struct sparse_array streams;
	uint32_t end; /* of all topics, with pending ones; the writer's alone */
	uint32_t streams_end;
	uint32_t streams_visible;
	uint32_t streams_with_events;
	atomic_uint visible; /* end of the topics that are */
	atomic_ullong forgotten;
	struct map by_names;
	struct map by_stream;
	struct slab cells;
	struct buf json; /* of the topic that is being made */
	struct rcu grace;
	uint64_t set_steps;
};

/* Do the names of a topic stand in its JSON as they are? */
bool catalog_is_plain(const struct topic_entry *e);
struct topic_entry *catalog_topic_at(const struct catalog *c, uint32_t number);
struct stream_entry *catalog_stream_at(const struct catalog *c, uint32_t number);
/* What the heap of a stream knows as `entry`. */
struct topic_entry *catalog_heap_topic(const struct catalog *c, uint32_t entry);
struct slice catalog_stream_of(const struct topic_entry *e);
struct slice catalog_type_of(const struct topic_entry *e);
struct slice catalog_json_of(const struct topic_entry *e);
const struct topic_entry *catalog_find_entry(const struct catalog *c, uint64_t hash, struct slice stream, struct slice type);
/* The name of a stream; the writer forgets none of its topics meanwhile. */
struct slice catalog_name_of(const struct catalog *c, const struct stream_entry *s);
struct stream_entry *catalog_find_stream_entry(const struct catalog *c, uint64_t hash, struct slice name);

#endif
