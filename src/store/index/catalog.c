#include "store/index/catalog.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/data/checksum.h"
#include "base/data/hash.h"
#include "base/data/map.h"
#include "base/data/rcu.h"
#include "base/data/slab.h"
#include "base/data/sparse_array.h"
#include "event/encoding.h"
#include "event/event.h"
#include "store/index/catalog_internal.h"

enum {
	FETCH_FROM = 64 * 1024, /* topics, from which on the maps exceed the processor's cache */
};

static size_t topic_size(const struct topic_entry *e)
{
	size_t names = catalog_is_plain(e) ? 0 : (size_t)e->stream_len + e->type_len;
	return offsetof(struct topic_entry, text) + names + e->json_len;
}

struct catalog *catalog_create(void)
{
	struct catalog *c = calloc(1, sizeof *c);
	if (c == NULL)
		return NULL;
	buf_init(&c->json);
	map_init(&c->by_names);
	map_init(&c->by_stream);
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

/* Entries are slab cells; stretches of the sparse arrays were allocated separately. */
static void free_retired(void *arg, void *item, size_t size)
{
	struct catalog *c = arg;
	if (size == sizeof(struct sparse_array_stretch))
		free(item);
	else
		slab_give(&c->cells, item, size);
}

void catalog_destroy(struct catalog *c)
{
	if (c == NULL)
		return;
	rcu_free(&c->grace, free_retired, c);
	sparse_array_finish(&c->topics);
	sparse_array_finish(&c->streams);
	map_finish(&c->by_names, NULL);
	map_finish(&c->by_stream, NULL);
	slab_finish(&c->cells);
	buf_finish(&c->json);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* Unlinks an entry; it is freed when no reader can hold it any more. */
static void retire(struct catalog *c, struct sparse_array *from, uint32_t number, size_t size)
{
	void *entry = sparse_array_at(from, number);
	assert(entry != NULL);
	struct sparse_array_stretch *stretch = sparse_array_take(from, number);
	if (stretch != NULL)
		rcu_retire(&c->grace, stretch, sizeof *stretch);
	rcu_retire(&c->grace, entry, size);
}

/* Makes an entry with its texts; NULL: no memory. */
static struct topic_entry *make_topic(struct catalog *c, struct slice stream, struct slice type)
{
	struct buf *b = &c->json;
	b->len = 0;
	encoding_topic(b, stream, type);
	struct topic_entry lens = {
		.json_len = (uint16_t)b->len, .stream_len = (uint8_t)stream.len, .type_len = (uint8_t)type.len};
	assert(buf_failed(b) || (b->len == lens.json_len && stream.len == lens.stream_len && type.len == lens.type_len));
	struct topic_entry *e = buf_failed(b) ? NULL : slab_take(&c->cells, topic_size(&lens));
	if (buf_failed(b)) { /* a failed buffer stays failed */
		buf_finish(b);
		buf_init(b);
	}
	if (e == NULL)
		return NULL;
	*e = lens;
	char *json = e->text;
	if (!catalog_is_plain(e))
		json = slice_copy(slice_copy(json, stream), type);
	slice_copy(json, buf_slice(b));
	return e;
}

/* Gives a topic its stream, creating it if it is new. False: no memory. */
static bool intern_stream(struct catalog *c, uint64_t hash, struct slice name, struct topic_entry *topic)
{
	struct stream_entry *e = catalog_find_stream_entry(c, hash, name);
	if (e == NULL) {
		e = sparse_array_reserve(&c->streams, c->streams_end) ? slab_take(&c->cells, sizeof *e) : NULL;
		if (e == NULL)
			return false;
		*e = (struct stream_entry){.number = c->streams_end++, .named_by = topic->number};
		sparse_array_put(&c->streams, e->number, e);
		map_add(&c->by_stream, hash, &e->link);
	}
	topic->stream = e->number;
	e->topics++;
	return true;
}

struct topic_hashes catalog_hashes(struct slice stream, struct slice type)
{
	uint64_t hash = hash_text(stream);
	return (struct topic_hashes){hash_pair(hash, hash_text(type)), hash};
}

static void fetch_buckets(const struct catalog *c, struct topic_hashes h)
{
	map_fetch_bucket(&c->by_names, h.names);
	map_fetch_bucket(&c->by_stream, h.stream);
}

/* Adds a topic with the next number. */
static enum err add_topic(struct catalog *c, struct topic_hashes hash, struct slice stream, struct slice type,
			  struct topic_entry **out)
{
	if (c->by_names.count >= CATALOG_TOPICS_MAX || c->end == UINT32_MAX)
		return ERR_BUSY;
	struct topic_entry *e = sparse_array_reserve(&c->topics, c->end) ? make_topic(c, stream, type) : NULL;
	if (e == NULL)
		return ERR_NOMEM;
	e->number = c->end;
	e->hash = checksum_names(stream, type);
	sparse_array_put(&c->topics, e->number, e);
	if (!intern_stream(c, hash.stream, stream, e)) {
		retire(c, &c->topics, e->number, topic_size(e));
		return ERR_NOMEM;
	}
	map_add(&c->by_names, hash.names, &e->link);
	c->end++;
	*out = e;
	return ERR_NONE;
}

void catalog_expect(struct catalog *c, uint32_t topics)
{
	pthread_mutex_lock(&c->lock);
	map_expect(&c->by_names, topics);
	map_expect(&c->by_stream, topics);
	pthread_mutex_unlock(&c->lock);
}

void catalog_hash(const struct catalog *c, const struct batch *batch, size_t from, struct topic_hashes *hashes)
{
	assert(from < batch_count(batch));
	size_t count = batch_count(batch) - from < CATALOG_LOAD_MAX ? batch_count(batch) - from : CATALOG_LOAD_MAX;
	for (size_t i = 0; i < count; i++) {
		const struct event *e = batch_event(batch, from + i);
		hashes[i] = catalog_hashes(e->stream, e->type);
	}
	if (c->by_names.count < FETCH_FROM)
		return;
	for (size_t i = 0; i < count; i++)
		fetch_buckets(c, hashes[i]);
	for (size_t i = 0; i < count; i++) {
		map_fetch_entry(&c->by_names, hashes[i].names);
		map_fetch_entry(&c->by_stream, hashes[i].stream);
	}
	for (size_t i = 0; i < count; i++) {
		map_fetch_next(&c->by_names, hashes[i].names);
		map_fetch_next(&c->by_stream, hashes[i].stream);
	}
}

void catalog_skip(struct catalog *c, uint32_t end)
{
	c->end = end > c->end ? end : c->end;
}

enum err catalog_intern(struct catalog *c, const struct topic_wanted *w, uint32_t *topic, bool *is_new)
{
	/* Only the writer changes the map, so it may search it without the lock. */
	const struct topic_entry *e = catalog_find_entry(c, w->hashes.names, w->stream, w->type);
	*is_new = false;
	if (e != NULL) {
		*topic = e->number;
		return ERR_NONE;
	}
	if (w->left != NULL && *w->left == 0)
		return ERR_RATE;
	struct topic_entry *added;
	pthread_mutex_lock(&c->lock);
	enum err err = add_topic(c, w->hashes, w->stream, w->type, &added);
	pthread_mutex_unlock(&c->lock);
	if (err)
		return err;
	added->owner = w->owner;
	*topic = added->number;
	*is_new = true;
	if (w->left != NULL)
		--*w->left;
	return ERR_NONE;
}

static enum err load(struct catalog *c, const struct topic_row *row, struct topic_hashes hash)
{
	struct topic_entry *e;
	if (row->number < c->end)
		return ERR_CORRUPT;
	c->end = row->number;
	enum err err = add_topic(c, hash, row->stream, row->type, &e);
	if (!err)
		catalog_set_figures(c, e->number, row->figures);
	return err;
}

enum err catalog_load(struct catalog *c, const struct topic_row *rows, uint32_t count)
{
	struct topic_hashes hashes[CATALOG_LOAD_MAX];
	enum err err = ERR_NONE;
	assert(count <= CATALOG_LOAD_MAX);
	pthread_mutex_lock(&c->lock);
	for (uint32_t i = 0; i < count; i++) {
		hashes[i] = catalog_hashes(rows[i].stream, rows[i].type);
		fetch_buckets(c, hashes[i]);
	}
	for (uint32_t i = 0; i < count; i++)
		map_fetch_entry(&c->by_stream, hashes[i].stream);
	for (uint32_t i = 0; !err && i < count; i++)
		err = load(c, &rows[i], hashes[i]);
	pthread_mutex_unlock(&c->lock);
	return err;
}

uint32_t catalog_all_end(const struct catalog *c)
{
	return c->end;
}

void catalog_commit(struct catalog *c)
{
	if (c->end == atomic_load(&c->visible))
		return;
	pthread_mutex_lock(&c->lock);
	assert(c->streams_visible <= c->streams_end);
	c->streams_visible = c->streams_end;
	pthread_mutex_unlock(&c->lock);
	atomic_store(&c->visible, c->end);
}

/* Removes a topic, and its stream if it was the last one. */
static void drop_topic(struct catalog *c, struct topic_entry *e)
{
	struct stream_entry *s = catalog_stream_at(c, e->stream);
	assert(s != NULL && s->topics > 0);
	map_remove(&c->by_names, &e->link);
	if (--s->topics == 0) {
		map_remove(&c->by_stream, &s->link);
		retire(c, &c->streams, s->number, sizeof *s);
	}
	retire(c, &c->topics, e->number, topic_size(e));
}

void catalog_rollback_to(struct catalog *c, uint32_t end)
{
	assert(end >= atomic_load(&c->visible) && end <= c->end);
	pthread_mutex_lock(&c->lock);
	for (uint32_t i = end; sparse_array_next(&c->topics, &i, c->end); i++)
		drop_topic(c, catalog_topic_at(c, i));
	c->end = end;
	rcu_free(&c->grace, free_retired, c);
	pthread_mutex_unlock(&c->lock);
}

void catalog_rollback(struct catalog *c)
{
	uint32_t visible = atomic_load(&c->visible);
	if (c->end == visible)
		return;
	catalog_rollback_to(c, visible);
	pthread_mutex_lock(&c->lock);
	c->streams_end = c->streams_visible;
	pthread_mutex_unlock(&c->lock);
}

uint64_t catalog_forget(struct catalog *c, uint32_t topic)
{
	pthread_mutex_lock(&c->lock);
	struct topic_entry *e = catalog_topic_at(c, topic);
	struct stream_entry *s = catalog_stream_at(c, e->stream);
	uint64_t owner = e->owner;
	assert(e->figures.count == 0 && topic < atomic_load(&c->visible));
	if (s->named_by == topic && s->oldest != 0)
		s->named_by = s->oldest - 1;
	drop_topic(c, e);
	rcu_free(&c->grace, free_retired, c);
	pthread_mutex_unlock(&c->lock);
	atomic_fetch_add(&c->forgotten, 1);
	return owner;
}

uint64_t catalog_stream_last(struct catalog *c, struct slice stream)
{
	struct figures f;
	return catalog_find_stream(c, stream, &f) ? f.last : 0;
}

uint64_t catalog_open_last(const struct catalog *c, struct slice stream)
{
	const struct stream_entry *e = catalog_find_stream_entry(c, hash_text(stream), stream);
	return e != NULL ? e->open_last : 0;
}

void catalog_set_open_last(struct catalog *c, uint32_t topic, uint64_t seq)
{
	catalog_stream_at(c, catalog_topic_at(c, topic)->stream)->open_last = seq;
}

void catalog_lock(struct catalog *c)
{
	pthread_mutex_lock(&c->lock);
}

void catalog_unlock(struct catalog *c)
{
	pthread_mutex_unlock(&c->lock);
}
