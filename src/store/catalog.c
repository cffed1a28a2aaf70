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
#include "tidemark/event.h"

/* Topics and streams live in blocks that never move, so that readers may hold pointers without a lock. */
enum {
	BLOCK = 1024,
	BLOCKS = CATALOG_TOPICS_MAX / BLOCK,
	CHUNK = 64 * 1024 - 64, /* a few texts at least */
	STREAM_AT = 10,         /* "stream":" */
	TYPE_AFTER = 10,        /* ","type":" */
	FETCH_FROM = 64 * 1024, /* topics */
};

/* There may be millions of both: what can be worked out is not kept. */
struct stream_entry {
	struct map_link link; /* by name */
	uint32_t number;
	uint32_t first_topic; /* whose text has the name */
	uint64_t open_last;   /* the writer's alone */
	uint64_t last;
	uint64_t count;
	uint64_t bytes;
	struct heap_link *oldest; /* of its topics with events, by their first one */
};

struct topic_entry {
	struct map_link link;      /* by both names */
	struct heap_link by_first; /* in its stream's `oldest` while it has events */
	struct figures figures;
	uint64_t hash;
	const char *text; /* its JSON; before it the names, where the JSON has them in another form */
	uint32_t number;
	uint32_t stream_id;
	uint16_t json_len;
	uint8_t stream_len;
	uint8_t type_len;
};

/* Texts, one behind the other. */
struct chunk {
	struct chunk *next; /* the one before */
	size_t used;
	size_t cap;
	char bytes[];
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
	struct chunk *texts;
	struct chunk *texts_visible; /* what they were at the last commit, with so many bytes used */
	size_t texts_used;
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

static bool is_plain(const struct topic_entry *e)
{
	return e->json_len == STREAM_AT + e->stream_len + TYPE_AFTER + e->type_len + 1;
}

static struct slice stream_name(const struct topic_entry *e)
{
	return (struct slice){is_plain(e) ? e->text + STREAM_AT : e->text, e->stream_len};
}

static struct slice type_name(const struct topic_entry *e)
{
	return (struct slice){is_plain(e) ? e->text + STREAM_AT + e->stream_len + TYPE_AFTER : e->text + e->stream_len,
			      e->type_len};
}

static struct slice json_text(const struct topic_entry *e)
{
	return (struct slice){is_plain(e) ? e->text : e->text + e->stream_len + e->type_len, e->json_len};
}

/* Gives back the texts behind the first `used` bytes of `last`. */
static void drop_texts(struct catalog *c, struct chunk *last, size_t used)
{
	while (c->texts != last) {
		struct chunk *next = c->texts->next;
		free(c->texts);
		c->texts = next;
	}
	if (last != NULL)
		last->used = used;
}

/* Room for a text; NULL: no memory. */
static char *add_text(struct catalog *c, size_t len)
{
	if (c->texts == NULL || c->texts->cap - c->texts->used < len) {
		struct chunk *chunk = malloc(sizeof *chunk + CHUNK);
		if (chunk == NULL)
			return NULL;
		*chunk = (struct chunk){.next = c->texts, .cap = CHUNK};
		c->texts = chunk;
	}
	char *text = c->texts->bytes + c->texts->used;
	c->texts->used += len;
	return text;
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
	drop_texts(c, NULL, 0);
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
		if (slice_eq(stream_name(e), stream) && slice_eq(type_name(e), type))
			return e;
	}
	return NULL;
}

static struct slice name_of(const struct catalog *c, const struct stream_entry *s)
{
	return stream_name(topic_at(c, s->first_topic));
}

static struct stream_entry *find_stream(const struct catalog *c, uint64_t hash, struct slice name)
{
	MAP_EACH(link, &c->by_stream, hash)
	{
		struct stream_entry *e = MAP_ITEM(link, struct stream_entry, link);
		if (slice_eq(name_of(c, e), name))
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

static enum err topic_text(struct catalog *c, struct topic_entry *e, struct slice stream, struct slice type)
{
	struct buf b;
	buf_init(&b);
	wire_topic(&b, stream, type);
	e->json_len = (uint16_t)b.len;
	e->stream_len = (uint8_t)stream.len;
	e->type_len = (uint8_t)type.len;
	assert(buf_failed(&b) || (b.len == e->json_len && stream.len == e->stream_len && type.len == e->type_len));
	size_t names = is_plain(e) ? 0 : stream.len + type.len;
	char *text = buf_failed(&b) ? NULL : add_text(c, names + b.len);
	if (text != NULL && names > 0) {
		slice_copy(text, stream);
		slice_copy(text + stream.len, type);
	}
	if (text != NULL)
		slice_copy(text + names, buf_slice(&b));
	e->text = text;
	buf_finish(&b);
	return text != NULL ? ERR_NONE : ERR_NOMEM;
}

/* The stream of that name, made where it is new. */
static uint32_t intern_stream(struct catalog *c, uint64_t hash, struct slice name, uint32_t topic)
{
	struct stream_entry *e = find_stream(c, hash, name);
	if (e == NULL) {
		e = stream_at(c, c->stream_count);
		*e = (struct stream_entry){.number = c->stream_count++, .first_topic = topic};
		map_add(&c->by_stream, hash, &e->link);
	}
	return e->number;
}

/* What a topic is found by. */
struct topic_hashes {
	uint64_t names;
	uint64_t stream;
};

static struct topic_hashes fetch_buckets(const struct catalog *c, struct slice stream, struct slice type)
{
	struct topic_hashes h = {hash_texts(stream, type), hash_text(stream)};
	map_fetch_bucket(&c->by_names, h.names);
	map_fetch_bucket(&c->by_stream, h.stream);
	return h;
}

static enum err add_topic(struct catalog *c, struct topic_hashes hash, struct slice stream, struct slice type, uint32_t *out)
{
	uint32_t i = c->topic_count;
	if (i == CATALOG_TOPICS_MAX)
		return ERR_BUSY;
	if (!block_room((void **)c->topics, i, sizeof(struct topic_entry)) ||
	    !block_room((void **)c->streams, c->stream_count, sizeof(struct stream_entry)))
		return ERR_NOMEM;
	struct topic_entry *e = topic_at(c, i);
	*e = (struct topic_entry){.number = i};
	enum err err = topic_text(c, e, stream, type);
	if (err)
		return err;
	e->hash = sum_names(stream, type);
	e->stream_id = intern_stream(c, hash.stream, stream, i);
	map_add(&c->by_names, hash.names, &e->link);
	c->topic_count++;
	*out = i;
	return ERR_NONE;
}

void catalog_expect(struct catalog *c, uint32_t topics)
{
	pthread_mutex_lock(&c->lock);
	map_expect(&c->by_names, topics);
	map_expect(&c->by_stream, topics);
	pthread_mutex_unlock(&c->lock);
}

/* One for each event, where the map is too large for the processor's cache. */
void catalog_fetch(const struct catalog *c, const struct batch *batch, size_t from)
{
	struct topic_hashes hashes[CATALOG_LOAD_MAX];
	size_t count = batch_count(batch) - from < CATALOG_LOAD_MAX ? batch_count(batch) - from : CATALOG_LOAD_MAX;
	if (c->topic_count < FETCH_FROM)
		return;
	for (size_t i = 0; i < count; i++) {
		const struct event *e = batch_event(batch, from + i);
		hashes[i] = fetch_buckets(c, e->stream, e->type);
	}
	for (size_t i = 0; i < count; i++) {
		map_fetch_entry(&c->by_names, hashes[i].names);
		map_fetch_entry(&c->by_stream, hashes[i].stream);
	}
}

enum err catalog_intern(struct catalog *c, struct slice stream, struct slice type, uint64_t *left, uint32_t *topic,
			bool *is_new)
{
	uint64_t hash = hash_texts(stream, type);
	const struct topic_entry *e =
		find_topic(c, hash, stream, type); /* only the writer changes the map: no lock to look */
	*is_new = false;
	if (e != NULL) {
		*topic = e->number;
		return ERR_NONE;
	}
	if (left != NULL && *left == 0)
		return ERR_RATE;
	pthread_mutex_lock(&c->lock);
	enum err err = add_topic(c, (struct topic_hashes){hash, hash_text(stream)}, stream, type, topic);
	pthread_mutex_unlock(&c->lock);
	*is_new = !err;
	if (!err && left != NULL)
		--*left;
	return err;
}

static enum err load(struct catalog *c, const struct topic_row *row, struct topic_hashes hash)
{
	uint32_t topic;
	enum err err = add_topic(c, hash, row->stream, row->type, &topic);
	if (!err)
		catalog_set_figures(c, topic, row->figures);
	return err;
}

enum err catalog_load(struct catalog *c, const struct topic_row *rows, uint32_t count)
{
	struct topic_hashes hashes[CATALOG_LOAD_MAX];
	enum err err = ERR_NONE;
	pthread_mutex_lock(&c->lock);
	for (uint32_t i = 0; i < count; i++)
		hashes[i] = fetch_buckets(c, rows[i].stream, rows[i].type);
	for (uint32_t i = 0; i < count; i++)
		map_fetch_entry(&c->by_stream, hashes[i].stream);
	for (uint32_t i = 0; !err && i < count; i++)
		err = load(c, &rows[i], hashes[i]);
	pthread_mutex_unlock(&c->lock);
	return err;
}

uint32_t catalog_all_topics(const struct catalog *c)
{
	return c->topic_count;
}

void catalog_commit(struct catalog *c)
{
	if (c->topic_count == atomic_load(&c->visible))
		return;
	pthread_mutex_lock(&c->lock);
	c->streams_visible = c->stream_count;
	c->texts_visible = c->texts;
	c->texts_used = c->texts != NULL ? c->texts->used : 0;
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
		map_remove(&c->by_names, &topic_at(c, i)->link);
	drop_texts(c, c->texts_visible, c->texts_used);
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
	stream_at(c, topic_at(c, topic)->stream_id)->open_last = seq;
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
	struct stream_entry *s = stream_at(c, e->stream_id);
	bool had = s->oldest != NULL;
	if (e->figures.first == first)
		return;
	if (e->figures.first != 0)
		c->set_steps += heap_remove(&s->oldest, &e->by_first, is_older);
	e->figures.first = first;
	if (first != 0)
		heap_add(&s->oldest, &e->by_first, is_older);
	c->streams_with_events += (uint32_t)(s->oldest != NULL) - (uint32_t)had;
}

void catalog_count(struct catalog *c, uint32_t topic, uint64_t seq, uint64_t bytes)
{
	struct topic_entry *e = topic_at(c, topic);
	struct stream_entry *s = stream_at(c, e->stream_id);
	if (e->figures.first == 0 || seq < e->figures.first)
		set_first(c, e, seq);
	e->figures.last = seq > e->figures.last ? seq : e->figures.last;
	e->figures.count++;
	e->figures.bytes += bytes;
	s->last = seq > s->last ? seq : s->last;
	s->count++;
	s->bytes += bytes;
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
	struct stream_entry *s = stream_at(c, e->stream_id);
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

struct topic catalog_topic(const struct catalog *c, uint32_t topic)
{
	const struct topic_entry *e = topic_at(c, topic);
	return (struct topic){stream_name(e), type_name(e), json_text(e), e->hash, e->stream_id};
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
	return name_of(c, stream_at(c, stream));
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
	bool there = e != NULL && e->number < c->streams_visible && e->count > 0;
	if (there)
		*out = (struct figures){by_first_item(e->oldest)->figures.first, e->last, e->count, e->bytes, 0};
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
