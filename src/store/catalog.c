#include "store/catalog.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/heap.h"
#include "base/map.h"
#include "event/wire.h"
#include "store/sum.h"

/* Topics and streams live in blocks that never move, so that readers may hold pointers without a lock. */
enum { BLOCK = 1024, BLOCKS = CATALOG_TOPICS_MAX / BLOCK };

struct stream_entry {
	struct map_link link; /* by name */
	uint32_t number;
	struct slice name;  /* points into the JSON-free part of its first topic's text */
	uint64_t open_last; /* the writer's alone */
	struct figures figures;
	struct heap_link *oldest; /* of its topics with events, by their first one */
};

struct topic_entry {
	struct map_link link; /* by both names */
	uint32_t number;
	struct topic topic;
	struct figures figures;
	struct heap_link by_first; /* in its stream's `oldest` while it has events */
	char *text;                /* stream, type and JSON, one behind the other */
};

struct catalog {
	pthread_mutex_t lock; /* guards figures, maps and stream_count */
	struct topic_entry *topics[BLOCKS];
	struct stream_entry *streams[BLOCKS];
	uint32_t topic_count; /* with pending ones; the writer's alone */
	uint32_t stream_count;
	uint32_t streams_visible;
	uint32_t streams_with_events;
	atomic_uint visible;
	struct map by_names;
	struct map by_stream;
	uint64_t set_steps;
};

static struct topic_entry *topic_at(const struct catalog *c, uint32_t i)
{
	return &c->topics[i / BLOCK][i % BLOCK];
}

static struct stream_entry *stream_at(const struct catalog *c, uint32_t i)
{
	return &c->streams[i / BLOCK][i % BLOCK];
}

struct catalog *catalog_create(void)
{
	struct catalog *c = calloc(1, sizeof *c);
	if (c == NULL)
		return NULL;
	map_init(&c->by_names);
	map_init(&c->by_stream);
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

void catalog_destroy(struct catalog *c)
{
	if (c == NULL)
		return;
	for (uint32_t i = 0; i < c->topic_count; i++)
		free(topic_at(c, i)->text);
	for (int i = 0; i < BLOCKS; i++) {
		free(c->topics[i]);
		free(c->streams[i]);
	}
	map_finish(&c->by_names, NULL);
	map_finish(&c->by_stream, NULL);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static const struct topic_entry *find_topic(const struct catalog *c, uint64_t hash, struct slice stream, struct slice type)
{
	MAP_EACH(link, &c->by_names, hash)
	{
		const struct topic_entry *e = MAP_ITEM(link, struct topic_entry, link);
		if (slice_eq(e->topic.stream, stream) && slice_eq(e->topic.type, type))
			return e;
	}
	return NULL;
}

static struct stream_entry *find_stream(const struct catalog *c, uint64_t hash, struct slice name)
{
	MAP_EACH(link, &c->by_stream, hash)
	{
		struct stream_entry *e = MAP_ITEM(link, struct stream_entry, link);
		if (slice_eq(e->name, name))
			return e;
	}
	return NULL;
}

/* Makes the block of the next entry. */
static bool block_room(void **blocks, uint32_t count, size_t size)
{
	if (blocks[count / BLOCK] == NULL)
		blocks[count / BLOCK] = calloc(BLOCK, size);
	return blocks[count / BLOCK] != NULL;
}

static bool topic_text(struct topic_entry *e, struct slice stream, struct slice type)
{
	struct buf b;
	buf_init(&b);
	buf_add(&b, stream.p, stream.len);
	buf_add(&b, type.p, type.len);
	wire_topic(&b, stream, type);
	if (buf_failed(&b)) {
		buf_finish(&b);
		return false;
	}
	e->text = b.data;
	e->topic.stream = (struct slice){b.data, stream.len};
	e->topic.type = (struct slice){b.data + stream.len, type.len};
	e->topic.json = (struct slice){b.data + stream.len + type.len, b.len - stream.len - type.len};
	return true;
}

/* The stream of that name, made where it is new. */
static uint32_t intern_stream(struct catalog *c, struct slice name)
{
	uint64_t hash = hash_text(name);
	struct stream_entry *e = find_stream(c, hash, name);
	if (e == NULL) {
		e = stream_at(c, c->stream_count);
		*e = (struct stream_entry){.number = c->stream_count++, .name = name};
		map_add(&c->by_stream, hash, &e->link);
	}
	return e->number;
}

static enum err add_topic(struct catalog *c, uint64_t hash, struct slice stream, struct slice type, uint32_t *out)
{
	uint32_t i = c->topic_count;
	if (i == CATALOG_TOPICS_MAX)
		return ERR_BUSY;
	if (!block_room((void **)c->topics, i, sizeof(struct topic_entry)) ||
	    !block_room((void **)c->streams, c->stream_count, sizeof(struct stream_entry)))
		return ERR_NOMEM;
	struct topic_entry *e = topic_at(c, i);
	*e = (struct topic_entry){.number = i};
	if (!topic_text(e, stream, type))
		return ERR_NOMEM;
	e->topic.hash = sum_names(stream, type);
	e->topic.stream_id = intern_stream(c, e->topic.stream);
	map_add(&c->by_names, hash, &e->link);
	c->topic_count++;
	*out = i;
	return ERR_NONE;
}

enum err catalog_intern(struct catalog *c, struct slice stream, struct slice type, uint32_t *topic, bool *is_new)
{
	uint64_t hash = hash_texts(stream, type);
	const struct topic_entry *e =
		find_topic(c, hash, stream, type); /* only the writer changes the map: no lock to look */
	*is_new = false;
	if (e != NULL) {
		*topic = e->number;
		return ERR_NONE;
	}
	pthread_mutex_lock(&c->lock);
	enum err err = add_topic(c, hash, stream, type, topic);
	pthread_mutex_unlock(&c->lock);
	*is_new = !err;
	return err;
}

void catalog_commit(struct catalog *c)
{
	if (c->topic_count == atomic_load(&c->visible))
		return;
	pthread_mutex_lock(&c->lock);
	c->streams_visible = c->stream_count;
	pthread_mutex_unlock(&c->lock);
	atomic_store(&c->visible, c->topic_count);
}

void catalog_rollback(struct catalog *c)
{
	uint32_t visible = atomic_load(&c->visible);
	if (c->topic_count == visible)
		return;
	pthread_mutex_lock(&c->lock);
	for (uint32_t i = visible; i < c->topic_count; i++) {
		map_remove(&c->by_names, &topic_at(c, i)->link);
		free(topic_at(c, i)->text);
	}
	for (uint32_t i = c->streams_visible; i < c->stream_count; i++)
		map_remove(&c->by_stream, &stream_at(c, i)->link);
	c->topic_count = visible;
	c->stream_count = c->streams_visible;
	pthread_mutex_unlock(&c->lock);
}

uint64_t catalog_stream_last(struct catalog *c, struct slice stream)
{
	struct figures f;
	return catalog_find_stream(c, stream, &f) ? f.last : 0;
}

uint64_t catalog_open_last(const struct catalog *c, struct slice stream)
{
	const struct stream_entry *e = find_stream(c, hash_text(stream), stream);
	return e != NULL ? e->open_last : 0;
}

void catalog_set_open_last(struct catalog *c, uint32_t topic, uint64_t seq)
{
	stream_at(c, topic_at(c, topic)->topic.stream_id)->open_last = seq;
}

void catalog_lock(struct catalog *c)
{
	pthread_mutex_lock(&c->lock);
}

void catalog_unlock(struct catalog *c)
{
	pthread_mutex_unlock(&c->lock);
}

static struct topic_entry *by_first_item(const struct heap_link *link)
{
	return HEAP_ITEM(link, struct topic_entry, by_first);
}

static bool is_older(const struct heap_link *a, const struct heap_link *b)
{
	return by_first_item(a)->figures.first < by_first_item(b)->figures.first;
}

/* Sets the first event of a topic; 0: it has none. */
static void set_first(struct catalog *c, struct topic_entry *e, uint64_t first)
{
	struct stream_entry *s = stream_at(c, e->topic.stream_id);
	bool had = s->oldest != NULL;
	if (e->figures.first == first)
		return;
	if (e->figures.first != 0)
		c->set_steps += heap_remove(&s->oldest, &e->by_first, is_older);
	e->figures.first = first;
	if (first != 0)
		heap_add(&s->oldest, &e->by_first, is_older);
	c->streams_with_events += (uint32_t)(s->oldest != NULL) - (uint32_t)had;
	s->figures.first = s->oldest != NULL ? by_first_item(s->oldest)->figures.first : 0;
}

static void count_one(struct figures *f, uint64_t seq, uint64_t bytes)
{
	f->last = seq > f->last ? seq : f->last;
	f->count++;
	f->bytes += bytes;
}

void catalog_count(struct catalog *c, uint32_t topic, uint64_t seq, uint64_t bytes)
{
	struct topic_entry *e = topic_at(c, topic);
	if (e->figures.first == 0 || seq < e->figures.first)
		set_first(c, e, seq);
	count_one(&e->figures, seq, bytes);
	count_one(&stream_at(c, e->topic.stream_id)->figures, seq, bytes);
}

void catalog_note_gone(struct catalog *c, uint32_t topic, uint64_t seq)
{
	pthread_mutex_lock(&c->lock);
	topic_at(c, topic)->figures.gone = seq;
	pthread_mutex_unlock(&c->lock);
}

void catalog_set_figures(struct catalog *c, uint32_t topic, struct figures f)
{
	struct topic_entry *e = topic_at(c, topic);
	struct figures *s = &stream_at(c, e->topic.stream_id)->figures;
	set_first(c, e, f.count > 0 ? f.first : 0);
	s->count = s->count - e->figures.count + f.count;
	s->bytes = s->bytes - e->figures.bytes + f.bytes;
	s->last = s->count == 0 ? 0 : f.count > 0 && f.last > s->last ? f.last : s->last;
	f.first = e->figures.first;
	e->figures = f;
	c->set_steps++;
}

uint32_t catalog_topics(const struct catalog *c)
{
	return atomic_load(&c->visible);
}

const struct topic *catalog_topic(const struct catalog *c, uint32_t topic)
{
	return &topic_at(c, topic)->topic;
}

void catalog_topic_figures(struct catalog *c, uint32_t topic, struct figures *out)
{
	pthread_mutex_lock(&c->lock);
	*out = topic_at(c, topic)->figures;
	pthread_mutex_unlock(&c->lock);
}

bool catalog_find_topic(struct catalog *c, struct slice stream, struct slice type, uint32_t *topic)
{
	uint64_t hash = hash_texts(stream, type);
	pthread_mutex_lock(&c->lock);
	const struct topic_entry *e = find_topic(c, hash, stream, type);
	bool there = e != NULL && e->number < atomic_load(&c->visible);
	if (there)
		*topic = e->number;
	pthread_mutex_unlock(&c->lock);
	return there;
}

uint32_t catalog_streams_known(struct catalog *c)
{
	pthread_mutex_lock(&c->lock);
	uint32_t n = c->streams_visible;
	pthread_mutex_unlock(&c->lock);
	return n;
}

struct slice catalog_stream_name(const struct catalog *c, uint32_t stream)
{
	return stream_at(c, stream)->name;
}

uint32_t catalog_streams(struct catalog *c)
{
	pthread_mutex_lock(&c->lock);
	uint32_t n = c->streams_with_events;
	pthread_mutex_unlock(&c->lock);
	return n;
}

bool catalog_find_stream(struct catalog *c, struct slice name, struct figures *out)
{
	uint64_t hash = hash_text(name);
	pthread_mutex_lock(&c->lock);
	const struct stream_entry *e = find_stream(c, hash, name);
	bool there = e != NULL && e->number < c->streams_visible && e->figures.count > 0;
	if (there)
		*out = e->figures;
	pthread_mutex_unlock(&c->lock);
	return there;
}

uint64_t catalog_steps(struct catalog *c)
{
	pthread_mutex_lock(&c->lock);
	uint64_t steps = map_steps(&c->by_names) + map_steps(&c->by_stream);
	pthread_mutex_unlock(&c->lock);
	return steps;
}

uint64_t catalog_set_steps(struct catalog *c)
{
	pthread_mutex_lock(&c->lock);
	uint64_t steps = c->set_steps;
	pthread_mutex_unlock(&c->lock);
	return steps;
}
