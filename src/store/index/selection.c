#include "store/index/selection.h"

#include <assert.h>
#include <stdlib.h>

struct selection {
	struct filter *filter;
	struct catalog *catalog;
	uint32_t seen;      /* topics below this were tested */
	uint64_t forgotten; /* catalog_forgotten when forgotten topics were last dropped */
	uint32_t count;
	uint32_t cap;
	uint32_t *topics;
	bool open;
	bool wide;
};

struct selection *selection_create_take(struct filter *f, struct catalog *c)
{
	struct selection *s = calloc(1, sizeof *s);
	if (s == NULL) {
		filter_destroy(f);
		return NULL;
	}
	s->filter = f;
	s->catalog = c;
	s->open = filter_is_open(f);
	s->wide = filter_is_wide(f);
	return s;
}

void selection_destroy(struct selection *s)
{
	if (s == NULL)
		return;
	filter_destroy(s->filter);
	free(s->topics);
	free(s);
}

bool selection_is_open(const struct selection *s)
{
	return s == NULL || s->open;
}

bool selection_is_wide(const struct selection *s)
{
	return s == NULL || s->wide;
}

struct where *selection_where(const struct selection *s)
{
	return s != NULL ? filter_where(s->filter) : NULL;
}

static bool add(struct selection *s, uint32_t topic)
{
	assert(s->count == 0 || s->topics[s->count - 1] < topic);
	if (s->count == s->cap) {
		uint32_t cap = s->cap ? s->cap * 2 : 8;
		uint32_t *topics = realloc(s->topics, cap * sizeof *topics);
		if (topics == NULL)
			return false;
		s->topics = topics;
		s->cap = cap;
	}
	s->topics[s->count++] = topic;
	return true;
}

/* Only when half of the topics may be forgotten, so that the cost per forgotten topic is constant. */
static void drop_forgotten(struct selection *s)
{
	uint64_t forgotten = catalog_forgotten(s->catalog);
	assert(forgotten >= s->forgotten);
	if (forgotten - s->forgotten < s->count / 2 || forgotten == s->forgotten)
		return;
	uint32_t kept = 0;
	for (uint32_t i = 0; i < s->count; i++)
		if (catalog_topic(s->catalog, s->topics[i]).stream.p != NULL)
			s->topics[kept++] = s->topics[i];
	s->count = kept;
	s->forgotten = forgotten;
}

static enum err add_new(struct selection *s)
{
	uint32_t end = catalog_end(s->catalog);
	for (; s->seen < end && catalog_next(s->catalog, &s->seen); s->seen++) {
		struct topic t = catalog_topic(s->catalog, s->seen);
		if (t.stream.p != NULL && filter_match(s->filter, t.stream, t.type) && !add(s, s->seen))
			return ERR_NOMEM;
	}
	s->seen = end > s->seen ? end : s->seen;
	return ERR_NONE;
}

enum err selection_refresh(struct selection *s)
{
	if (selection_is_wide(s))
		return ERR_NONE;
	unsigned entered = catalog_enter(s->catalog);
	drop_forgotten(s);
	enum err err = add_new(s);
	catalog_leave(s->catalog, entered);
	return err;
}

bool selection_has(const struct selection *s, uint32_t topic)
{
	if (selection_is_wide(s))
		return true;
	uint32_t low = 0;
	uint32_t high = s->count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (s->topics[middle] < topic)
			low = middle + 1;
		else
			high = middle;
	}
	return low < s->count && s->topics[low] == topic;
}

uint32_t selection_count(const struct selection *s)
{
	assert(!selection_is_wide(s));
	return s->count;
}

uint32_t selection_topic(const struct selection *s, uint32_t index)
{
	assert(index < s->count);
	return s->topics[index];
}

bool selection_fits(const struct selection *s, struct slice stream, struct slice type)
{
	return selection_is_open(s) || filter_match(s->filter, stream, type);
}
