/* Figures of topics and streams, and queries. */
#include "store/index/catalog.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/data/hash.h"
#include "base/data/map.h"
#include "base/data/pairing_heap.h"
#include "base/data/rcu.h"
#include "base/data/sparse_array.h"
#include "store/index/catalog_internal.h"

static struct pairing_heap_link *by_first(const void *arg, uint32_t entry)
{
	return &catalog_heap_topic(arg, entry)->by_first;
}

static bool is_older(const void *arg, uint32_t a, uint32_t b)
{
	return catalog_heap_topic(arg, a)->figures.first < catalog_heap_topic(arg, b)->figures.first;
}

/* Sets the first event of a topic (0: it has none), and its position in the heap of the stream. */
static void set_first(struct catalog *c, struct topic_entry *e, uint64_t first)
{
	const struct pairing_heap_order order = {by_first, is_older, c};
	struct stream_entry *s = catalog_stream_at(c, e->stream);
	bool had = s->oldest != 0;
	assert(e->figures.first == 0 || had); /* the topic is in the heap of its stream */
	if (e->figures.first == first)
		return;
	if (e->figures.first != 0)
		c->set_steps += pairing_heap_remove(&s->oldest, e->number + 1, &order);
	e->figures.first = first;
	if (first != 0)
		pairing_heap_add(&s->oldest, e->number + 1, &order);
	c->streams_with_events += (uint32_t)(s->oldest != 0) - (uint32_t)had;
}

void catalog_count(struct catalog *c, uint32_t topic, uint64_t seq, uint64_t bytes)
{
	struct topic_entry *e = catalog_topic_at(c, topic);
	struct stream_entry *s = catalog_stream_at(c, e->stream);
	assert(seq > 0);
	if (e->figures.first == 0 || seq < e->figures.first)
		set_first(c, e, seq);
	e->figures.last = seq > e->figures.last ? seq : e->figures.last;
	e->figures.count++;
	e->figures.bytes += bytes;
	s->last = seq > s->last ? seq : s->last;
	s->count++;
	s->bytes += bytes;
}

void catalog_note_lost(struct catalog *c, uint32_t topic, uint64_t seq)
{
	pthread_mutex_lock(&c->lock);
	catalog_topic_at(c, topic)->figures.lost = seq;
	pthread_mutex_unlock(&c->lock);
}

void catalog_set_figures(struct catalog *c, uint32_t topic, struct figures f)
{
	struct topic_entry *e = catalog_topic_at(c, topic);
	struct stream_entry *s = catalog_stream_at(c, e->stream);
	set_first(c, e, f.count > 0 ? f.first : 0);
	s->count = s->count - e->figures.count + f.count;
	s->bytes = s->bytes - e->figures.bytes + f.bytes;
	s->last = s->count == 0 ? 0 : f.count > 0 && f.last > s->last ? f.last : s->last;
	f.first = e->figures.first;
	e->figures = f;
	c->set_steps++;
}

unsigned catalog_enter(struct catalog *c)
{
	return rcu_enter(&c->grace);
}

void catalog_leave(struct catalog *c, unsigned entered)
{
	rcu_leave(&c->grace, entered);
}

uint32_t catalog_end(const struct catalog *c)
{
	return atomic_load(&c->visible);
}

uint32_t catalog_topics(struct catalog *c)
{
	pthread_mutex_lock(&c->lock);
	uint32_t n = (uint32_t)c->by_names.count;
	pthread_mutex_unlock(&c->lock);
	return n;
}

uint64_t catalog_forgotten(const struct catalog *c)
{
	return atomic_load(&c->forgotten);
}

bool catalog_next(const struct catalog *c, uint32_t *topic)
{
	return sparse_array_next(&c->topics, topic, atomic_load(&c->visible));
}

struct topic catalog_topic(const struct catalog *c, uint32_t topic)
{
	const struct topic_entry *e = catalog_topic_at(c, topic);
	return e != NULL ? (struct topic){catalog_stream_of(e), catalog_type_of(e), catalog_json_of(e), e->hash}
			 : (struct topic){0};
}

void catalog_topic_figures(struct catalog *c, uint32_t topic, struct figures *out)
{
	pthread_mutex_lock(&c->lock);
	const struct topic_entry *e = catalog_topic_at(c, topic);
	*out = e != NULL ? e->figures : (struct figures){0};
	pthread_mutex_unlock(&c->lock);
}

bool catalog_find_topic(struct catalog *c, struct slice stream, struct slice type, uint32_t *topic)
{
	uint64_t hash = hash_texts(stream, type);
	pthread_mutex_lock(&c->lock);
	const struct topic_entry *e = catalog_find_entry(c, hash, stream, type);
	bool there = e != NULL && e->number < atomic_load(&c->visible);
	if (there)
		*topic = e->number;
	pthread_mutex_unlock(&c->lock);
	return there;
}

uint32_t catalog_streams_end(struct catalog *c)
{
	pthread_mutex_lock(&c->lock);
	uint32_t n = c->streams_visible;
	pthread_mutex_unlock(&c->lock);
	return n;
}

bool catalog_next_stream(struct catalog *c, uint32_t *stream)
{
	return sparse_array_next(&c->streams, stream, catalog_streams_end(c));
}

struct slice catalog_stream_name(struct catalog *c, uint32_t stream)
{
	pthread_mutex_lock(&c->lock);
	const struct stream_entry *s = catalog_stream_at(c, stream);
	struct slice name = s != NULL ? catalog_name_of(c, s) : (struct slice){0};
	pthread_mutex_unlock(&c->lock);
	return name;
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
	const struct stream_entry *e = catalog_find_stream_entry(c, hash, name);
	bool there = e != NULL && e->number < c->streams_visible && e->count > 0;
	if (there)
		*out = (struct figures){catalog_heap_topic(c, e->oldest)->figures.first, e->last, e->count, e->bytes, 0};
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
