#include "store/catalog.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/buf.h"
#include "event/wire.h"
#include "store/sum.h"

/* Topics and streams live in blocks that never move, so that readers may hold pointers without a lock. */
enum { BLOCK = 1024, BLOCKS = CATALOG_TOPICS_MAX / BLOCK, FIRST_SLOTS = 1024 };

struct stream_entry {
	struct slice name; /* points into the JSON-free part of its first topic's text */
	uint64_t hash;
	struct figures figures;
};

struct topic_entry {
	struct topic topic;
	struct figures figures;
	char *text; /* stream, type and JSON, one behind the other */
};

/* Open addressing; a slot holds number + 1, 0 is free. */
struct table {
	uint32_t *slots;
	uint32_t mask;
	uint32_t used;
};

struct catalog {
	pthread_mutex_t lock; /* guards figures, tables and stream_count */
	struct topic_entry *topics[BLOCKS];
	struct stream_entry *streams[BLOCKS];
	uint32_t topic_count; /* with pending ones; the writer's alone */
	uint32_t stream_count;
	uint32_t streams_visible;
	atomic_uint visible;
	struct table by_names;
	struct table by_stream;
};

static struct topic_entry *topic_at(const struct catalog *c, uint32_t i)
{
	return &c->topics[i / BLOCK][i % BLOCK];
}

static struct stream_entry *stream_at(const struct catalog *c, uint32_t i)
{
	return &c->streams[i / BLOCK][i % BLOCK];
}

static bool table_init(struct table *t, uint32_t slots)
{
	t->slots = calloc(slots, sizeof *t->slots);
	t->mask = slots - 1;
	t->used = 0;
	return t->slots != NULL;
}

static void table_put(struct table *t, uint64_t hash, uint32_t number)
{
	uint32_t at = (uint32_t)hash & t->mask;
	while (t->slots[at] != 0)
		at = (at + 1) & t->mask;
	t->slots[at] = number + 1;
	t->used++;
}

static uint64_t topic_hash_at(const struct catalog *c, uint32_t i)
{
	return topic_at(c, i)->topic.hash;
}

static uint64_t stream_hash_at(const struct catalog *c, uint32_t i)
{
	return stream_at(c, i)->hash;
}

/* Fills a fresh table with the first `count` entries; keeps the old one where there is no memory. */
static bool table_rebuild(struct catalog *c, struct table *t, uint32_t slots, uint32_t count,
			  uint64_t (*hash_at)(const struct catalog *, uint32_t))
{
	struct table fresh;
	if (!table_init(&fresh, slots))
		return false;
	for (uint32_t i = 0; i < count; i++)
		table_put(&fresh, hash_at(c, i), i);
	free(t->slots);
	*t = fresh;
	return true;
}

static bool table_room(struct catalog *c, struct table *t, uint32_t count,
		       uint64_t (*hash_at)(const struct catalog *, uint32_t))
{
	if (t->used < (t->mask + 1) / 2)
		return true;
	return table_rebuild(c, t, (t->mask + 1) * 2, count, hash_at);
}

struct catalog *catalog_create(void)
{
	struct catalog *c = calloc(1, sizeof *c);
	if (c == NULL)
		return NULL;
	if (!table_init(&c->by_names, FIRST_SLOTS) || !table_init(&c->by_stream, FIRST_SLOTS)) {
		free(c->by_names.slots);
		free(c);
		return NULL;
	}
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
	free(c->by_names.slots);
	free(c->by_stream.slots);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static bool find_topic(const struct catalog *c, uint64_t hash, struct slice stream, struct slice type, uint32_t *out)
{
	for (uint32_t at = (uint32_t)hash & c->by_names.mask; c->by_names.slots[at] != 0; at = (at + 1) & c->by_names.mask) {
		uint32_t i = c->by_names.slots[at] - 1;
		const struct topic *t = &topic_at(c, i)->topic;
		if (t->hash != hash || !slice_eq(t->stream, stream) || !slice_eq(t->type, type))
			continue;
		*out = i;
		return true;
	}
	return false;
}

static bool find_stream(const struct catalog *c, struct slice name, uint32_t *out)
{
	uint64_t hash = sum_name(name);
	for (uint32_t at = (uint32_t)hash & c->by_stream.mask; c->by_stream.slots[at] != 0;
	     at = (at + 1) & c->by_stream.mask) {
		uint32_t i = c->by_stream.slots[at] - 1;
		if (!slice_eq(stream_at(c, i)->name, name))
			continue;
		*out = i;
		return true;
	}
	return false;
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

static enum err add_topic(struct catalog *c, uint64_t hash, struct slice stream, struct slice type, uint32_t *out)
{
	uint32_t i = c->topic_count;
	if (i == CATALOG_TOPICS_MAX)
		return ERR_BUSY;
	if (!block_room((void **)c->topics, i, sizeof(struct topic_entry)) ||
	    !block_room((void **)c->streams, c->stream_count, sizeof(struct stream_entry)) ||
	    !table_room(c, &c->by_names, i, topic_hash_at) || !table_room(c, &c->by_stream, c->stream_count, stream_hash_at))
		return ERR_NOMEM;
	struct topic_entry *e = topic_at(c, i);
	*e = (struct topic_entry){0};
	if (!topic_text(e, stream, type))
		return ERR_NOMEM;
	e->topic.hash = hash;
	if (!find_stream(c, stream, &e->topic.stream_id)) {
		e->topic.stream_id = c->stream_count++;
		*stream_at(c, e->topic.stream_id) = (struct stream_entry){e->topic.stream, sum_name(stream), {0}};
		table_put(&c->by_stream, sum_name(stream), e->topic.stream_id);
	}
	table_put(&c->by_names, hash, i);
	c->topic_count++;
	*out = i;
	return ERR_NONE;
}

enum err catalog_intern(struct catalog *c, struct slice stream, struct slice type, uint32_t *topic, bool *is_new)
{
	uint64_t hash = sum_names(stream, type);
	*is_new = false;
	if (find_topic(c, hash, stream, type, topic)) /* only the writer changes the table: no lock to look */
		return ERR_NONE;
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
	for (uint32_t i = visible; i < c->topic_count; i++)
		free(topic_at(c, i)->text);
	c->topic_count = visible;
	c->stream_count = c->streams_visible;
	/* Without memory for fresh tables the old ones are emptied and filled in place. */
	struct table *tables[] = {&c->by_names, &c->by_stream};
	uint32_t counts[] = {c->topic_count, c->stream_count};
	for (int t = 0; t < 2; t++) {
		memset(tables[t]->slots, 0, ((size_t)tables[t]->mask + 1) * sizeof *tables[t]->slots);
		tables[t]->used = 0;
		for (uint32_t i = 0; i < counts[t]; i++)
			table_put(tables[t], t == 0 ? topic_hash_at(c, i) : stream_hash_at(c, i), i);
	}
	pthread_mutex_unlock(&c->lock);
}

uint64_t catalog_stream_last(struct catalog *c, struct slice stream)
{
	struct figures f;
	return catalog_find_stream(c, stream, &f) ? f.last : 0;
}

void catalog_lock(struct catalog *c)
{
	pthread_mutex_lock(&c->lock);
}

void catalog_unlock(struct catalog *c)
{
	pthread_mutex_unlock(&c->lock);
}

static void count_one(struct figures *f, uint64_t seq, uint64_t bytes)
{
	f->first = f->first == 0 || seq < f->first ? seq : f->first;
	f->last = seq > f->last ? seq : f->last;
	f->count++;
	f->bytes += bytes;
}

void catalog_count(struct catalog *c, uint32_t topic, uint64_t seq, uint64_t bytes)
{
	struct topic_entry *e = topic_at(c, topic);
	count_one(&e->figures, seq, bytes);
	count_one(&stream_at(c, e->topic.stream_id)->figures, seq, bytes);
}

void catalog_note_gone(struct catalog *c, uint32_t topic, uint64_t seq)
{
	pthread_mutex_lock(&c->lock);
	topic_at(c, topic)->figures.gone = seq;
	pthread_mutex_unlock(&c->lock);
}

void catalog_reduce(struct catalog *c, uint32_t topic, struct figures f)
{
	struct topic_entry *e = topic_at(c, topic);
	struct figures *s = &stream_at(c, e->topic.stream_id)->figures;
	s->count -= e->figures.count - f.count;
	s->bytes -= e->figures.bytes - f.bytes;
	e->figures = f;
	/* The stream's range is that of all its topics. */
	s->first = s->last = 0;
	for (uint32_t i = 0; i < c->topic_count; i++) {
		const struct topic_entry *other = topic_at(c, i);
		if (other->topic.stream_id != e->topic.stream_id || other->figures.count == 0)
			continue;
		s->first = s->first == 0 || other->figures.first < s->first ? other->figures.first : s->first;
		s->last = other->figures.last > s->last ? other->figures.last : s->last;
	}
}

void catalog_restore(struct catalog *c, uint32_t topic, struct figures f)
{
	struct topic_entry *e = topic_at(c, topic);
	struct figures *s = &stream_at(c, e->topic.stream_id)->figures;
	e->figures = f;
	if (f.count == 0)
		return;
	s->first = s->count == 0 || f.first < s->first ? f.first : s->first;
	s->last = f.last > s->last ? f.last : s->last;
	s->count += f.count;
	s->bytes += f.bytes;
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
	pthread_mutex_lock(&c->lock);
	bool there = find_topic(c, sum_names(stream, type), stream, type, topic) && *topic < atomic_load(&c->visible);
	pthread_mutex_unlock(&c->lock);
	return there;
}

uint32_t catalog_streams(struct catalog *c)
{
	pthread_mutex_lock(&c->lock);
	uint32_t n = c->streams_visible;
	pthread_mutex_unlock(&c->lock);
	return n;
}

bool catalog_stream(struct catalog *c, uint32_t stream, struct slice *name, struct figures *out)
{
	pthread_mutex_lock(&c->lock);
	bool there = stream < c->streams_visible && stream_at(c, stream)->figures.count > 0;
	if (there) {
		*name = stream_at(c, stream)->name;
		*out = stream_at(c, stream)->figures;
	}
	pthread_mutex_unlock(&c->lock);
	return there;
}

bool catalog_find_stream(struct catalog *c, struct slice name, struct figures *out)
{
	uint32_t i;
	pthread_mutex_lock(&c->lock);
	bool there = find_stream(c, name, &i) && i < c->streams_visible && stream_at(c, i)->figures.count > 0;
	if (there)
		*out = stream_at(c, i)->figures;
	pthread_mutex_unlock(&c->lock);
	return there;
}
