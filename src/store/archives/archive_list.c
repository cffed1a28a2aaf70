/* The sorted list of a set of archives. */
#include "base/system/path.h"
#include "store/archives/archive_set_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

const char *archive_set_dir(const struct archive_set *s)
{
	return s->dir;
}

bool archive_set_owns(const struct archive_set *s, const struct manifest *m)
{
	return manifest_is_on(m, s->lineage);
}

void archive_set_path(const struct archive_set *s, const char *name, char out[PATH_MAX])
{
	path_format(out, "%s/%s", s->dir, name);
}

void archive_list_set_reach(struct archive_set *s, uint32_t from)
{
	assert(from <= s->count);
	for (uint32_t i = from; i < s->count; i++)
		s->reach[i] = i > 0 && s->reach[i - 1] > s->items[i].last ? s->reach[i - 1] : s->items[i].last;
}

uint32_t archive_list_begins_after(const struct archive_set *s, uint64_t seq)
{
	uint32_t low = 0;
	uint32_t high = s->count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (s->items[middle].first <= seq)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool room(struct archive_set *s)
{
	if (s->count < s->cap)
		return true;
	uint32_t cap = s->cap ? s->cap * 2 : 16;
	struct manifest *items = realloc(s->items, cap * sizeof *items);
	if (items != NULL)
		s->items = items;
	uint64_t *reach = realloc(s->reach, cap * sizeof *reach);
	if (reach != NULL)
		s->reach = reach;
	bool *chained = realloc(s->chained, cap * sizeof *chained);
	if (chained != NULL)
		s->chained = chained;
	if (items == NULL || reach == NULL || chained == NULL)
		return false;
	s->cap = cap;
	return true;
}

int64_t archive_list_index(const struct archive_set *s, const char *file)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (strcmp(s->items[i].file, file) == 0)
			return i;
	return -1;
}

enum err archive_set_insert(struct archive_set *s, const struct manifest *m, struct fault *fault)
{
	pthread_mutex_lock(&s->lock);
	bool there = archive_list_index(s, m->file) >= 0;
	bool fine = there || room(s);
	if (!there && fine) {
		uint32_t at = archive_list_begins_after(s, m->first);
		while (at > 0 && s->items[at - 1].first == m->first && s->items[at - 1].last > m->last)
			at--;
		assert(at == 0 || s->items[at - 1].first < m->first || s->items[at - 1].last <= m->last);
		assert(at == s->count || s->items[at].first > m->first || s->items[at].last > m->last);
		memmove(s->items + at + 1, s->items + at, (s->count - at) * sizeof *s->items);
		memmove(s->chained + at + 1, s->chained + at, (s->count - at) * sizeof *s->chained);
		s->items[at] = *m;
		s->chained[at] = false;
		s->count++;
		archive_list_set_reach(s, at);
	}
	pthread_mutex_unlock(&s->lock);
	return fine ? ERR_NONE : fault_nomem(fault);
}

bool archive_set_named(struct archive_set *s, const char *file, struct manifest *out)
{
	pthread_mutex_lock(&s->lock);
	int64_t at = archive_list_index(s, file);
	if (at >= 0)
		*out = s->items[at];
	pthread_mutex_unlock(&s->lock);
	return at >= 0;
}
