#include "store/selection.h"

#include <stdlib.h>

struct selection {
	struct filter *filter;
	const struct catalog *catalog;
	uint32_t seen; /* topics below this were looked at */
	uint32_t count;
	uint32_t cap;
	uint32_t *topics;
	bool open;
};

struct selection *selection_create_take(struct filter *f, const struct catalog *c)
{
	struct selection *s = calloc(1, sizeof *s);
	if (s == NULL) {
		filter_destroy(f);
		return NULL;
	}
	s->filter = f;
	s->catalog = c;
	s->open = filter_is_open(f);
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

static bool add(struct selection *s, uint32_t topic)
{
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

enum err selection_refresh(struct selection *s)
{
	if (selection_is_open(s))
		return ERR_NONE;
	for (uint32_t end = catalog_topics(s->catalog); s->seen < end; s->seen++) {
		struct topic t = catalog_topic(s->catalog, s->seen);
		if (filter_match(s->filter, t.stream, t.type) && !add(s, s->seen))
			return ERR_NOMEM;
	}
	return ERR_NONE;
}

bool selection_has(const struct selection *s, uint32_t topic)
{
	if (selection_is_open(s))
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
	return s->count;
}

uint32_t selection_topic(const struct selection *s, uint32_t index)
{
	return s->topics[index];
}
