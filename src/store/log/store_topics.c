/* Topics: created with their first event, forgotten with their last. */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "store/log/store_internal.h"

struct topic store_topic(const struct store *s, int64_t number)
{
	return number >= 0 && number < UINT32_MAX ? catalog_topic(s->catalog, (uint32_t)number) : (struct topic){0};
}

enum err store_intern(struct store *s, const struct topic_wanted *wanted, uint32_t *topic, bool *is_new, struct fault *fault)
{
	enum err err = catalog_intern(s->catalog, wanted, topic, is_new);
	if (err == ERR_RATE)
		return fault_set(fault, err, "too many new topics (pairs of stream and type)");
	if (err == ERR_BUSY)
		return fault_set(fault, err, "the store has %d topics (pairs of stream and type), the limit",
				 CATALOG_TOPICS_MAX);
	return err ? fault_set(fault, err, "out of memory") : ERR_NONE;
}

enum err store_topic_of(struct store *s, const struct event *e, uint32_t *topic, struct fault *fault)
{
	bool is_new;
	struct topic_wanted wanted = {e->stream, e->type, catalog_hashes(e->stream, e->type), 0, NULL};
	enum err err = store_intern(s, &wanted, topic, &is_new, fault);
	if (err || !is_new)
		return err;
	sqlite3_bind_int64(s->statements[S_TOPIC], 1, *topic);
	store_bind(s->statements[S_TOPIC], 2, e->stream);
	store_bind(s->statements[S_TOPIC], 3, e->type);
	return store_run(s, S_TOPIC, "storing a topic", fault);
}

/* --- topics without events --- */

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

enum err store_removed_room(struct store *s, size_t count, struct fault *fault)
{
	if (count <= s->removed_cap)
		return ERR_NONE;
	uint32_t *removed = realloc(s->removed, count * sizeof *removed);
	if (removed == NULL)
		return fault_nomem(fault);
	s->removed = removed;
	s->removed_cap = count;
	return ERR_NONE;
}

/* Finds topics that have lost all their events, and new ones that got none. Ascending. */
static enum err find_empty(struct store *s, struct fault *fault)
{
	uint32_t end = catalog_end(s->catalog);
	uint32_t unused = s->unused_topics ? catalog_all_end(s->catalog) - end : 0;
	enum err err = store_removed_room(s, s->reduced_count + unused, fault);
	if (err)
		return err;
	assert(s->removed_count == 0);
	for (size_t i = 0; i < s->reduced_count; i++) /* ascending */
		if (s->reduced[i].figures.count == 0)
			s->removed[s->removed_count++] = s->reduced[i].topic;
	for (uint32_t i = 0; i < unused; i++)
		s->removed[s->removed_count++] = end + i;
	assert(s->removed_count <= s->removed_cap);
	return ERR_NONE;
}

/* Topics that get events in this transaction stay. */
static void keep_pending(struct store *s)
{
	for (size_t i = 0; s->removed_count > 0 && i < s->pending_count; i++) {
		uint32_t topic = s->pending[i].topic;
		uint32_t *found = bsearch(&topic, s->removed, s->removed_count, sizeof topic, by_number);
		if (found != NULL)
			memmove(found, found + 1, (size_t)(s->removed + --s->removed_count - found) * sizeof *found);
	}
}

static enum err remove_topic(struct store *s, uint32_t topic, struct fault *fault)
{
	struct figures f;
	struct topic t = catalog_topic(s->catalog, topic);
	catalog_topic_figures(s->catalog, topic, &f);
	sqlite3_bind_int64(s->statements[S_TOPIC_DELETE], 1, topic);
	enum err err = store_run(s, S_TOPIC_DELETE, "removing a topic", fault);
	if (err || f.lost == 0)
		return err;
	if (forgotten_add(&s->forgotten, t.stream, t.type, f.lost) != ERR_NONE)
		return fault_nomem(fault);
	sqlite3_bind_int64(s->statements[S_FORGOTTEN_PUT], 1, (sqlite3_int64)f.lost);
	store_bind(s->statements[S_FORGOTTEN_PUT], 2, t.stream);
	store_bind(s->statements[S_FORGOTTEN_PUT], 3, t.type);
	return store_run(s, S_FORGOTTEN_PUT, "noting a topic that is forgotten", fault);
}

/* Drops the oldest forgotten topics over the limit: only a seq up to which there were some is kept. */
static enum err drop_forgotten(struct store *s, struct fault *fault)
{
	uint64_t excess = forgotten_excess(&s->forgotten);
	if (excess == 0)
		return ERR_NONE;
	sqlite3_bind_int64(s->statements[S_FORGOTTEN_DROP], 1, (sqlite3_int64)excess);
	sqlite3_bind_int64(s->statements[S_LOST_UNKNOWN], 1, (sqlite3_int64)excess);
	enum err err = store_run(s, S_FORGOTTEN_DROP, "dropping forgotten topics", fault);
	return err ? err : store_run(s, S_LOST_UNKNOWN, "noting lost topics", fault);
}

enum err store_remove_all(struct store *s, struct fault *fault)
{
	enum err err = ERR_NONE;
	for (size_t i = 0; !err && i < s->removed_count; i++)
		err = remove_topic(s, s->removed[i], fault);
	if (err || s->removed_count == 0)
		return err;
	sqlite3_bind_int64(s->statements[S_TOPICS_END], 1, catalog_all_end(s->catalog));
	err = store_run(s, S_TOPICS_END, "noting how many topics there were", fault);
	return err ? err : drop_forgotten(s, fault);
}

enum err store_remove_topics(struct store *s, struct fault *fault)
{
	if (s->reduced_count == 0 && !s->unused_topics)
		return ERR_NONE;
	enum err err = find_empty(s, fault);
	if (err)
		return err;
	keep_pending(s);
	return store_remove_all(s, fault);
}

void store_forget_topics(struct store *s)
{
	uint64_t excess = s->removed_count > 0 ? forgotten_excess(&s->forgotten) : 0;
	for (size_t i = 0; i < s->removed_count; i++) {
		if (catalog_topic(s->catalog, s->removed[i]).stream.p == NULL)
			continue; /* new in a transaction that turned out to be committed */
		uint64_t owner = catalog_forget(s->catalog, s->removed[i]);
		if (s->options.on_forgotten != NULL)
			s->options.on_forgotten(s->options.arg, owner);
	}
	s->removed_count = 0;
	if (excess == 0)
		return;
	if (excess > atomic_load(&s->unknown)) /* before they are dropped: readers check `unknown` last */
		atomic_store(&s->unknown, excess);
	forgotten_drop(&s->forgotten, excess);
}
