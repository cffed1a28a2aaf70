#include "store/archive/lineage.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void lineage_finish(struct lineage *l)
{
	free(l->lines);
	*l = (struct lineage){0};
}

bool lineage_append(struct lineage *l, const struct line *line)
{
	struct line *lines = realloc(l->lines, (l->count + 1) * sizeof *lines);
	if (lines == NULL)
		return false;
	l->lines = lines;
	l->lines[l->count++] = *line;
	return true;
}

bool lineage_copy(struct lineage *out, const struct line *lines, uint32_t count)
{
	*out = (struct lineage){0};
	for (uint32_t i = 0; i < count; i++)
		if (!lineage_append(out, &lines[i])) {
			lineage_finish(out);
			return false;
		}
	return true;
}

/* --- asking --- */

void lineage_write(struct buf *out, const struct line *lines, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		buf_printf(out, "%s{\"epoch\":\"%s\",\"first\":%" PRIu64 "}", i > 0 ? "," : "[", lines[i].epoch,
			   lines[i].first);
	buf_adds(out, count > 0 ? "]" : "[]");
}

bool lineage_end(const struct lineage *l, const char *epoch, uint64_t *end)
{
	for (uint32_t i = 0; i < l->count; i++)
		if (strcmp(l->lines[i].epoch, epoch) == 0) {
			*end = i + 1 < l->count ? l->lines[i + 1].first - 1 : UINT64_MAX;
			return true;
		}
	return false;
}

uint32_t lineage_span(const struct lineage *l, uint64_t first, uint64_t last, uint32_t *count)
{
	assert(first <= last);
	uint32_t from = 0;
	while (from + 1 < l->count && l->lines[from + 1].first <= first)
		from++;
	uint32_t end = from;
	while (end < l->count && l->lines[end].first <= last)
		end++;
	*count = end - from;
	return from;
}

bool lineage_is(const struct lineage *l, uint64_t first, uint64_t last, const struct line *lines, uint32_t count)
{
	uint32_t known;
	uint32_t from = lineage_span(l, first, last, &known);
	if (known != count)
		return false;
	for (uint32_t i = 0; i < count; i++)
		if (l->lines[from + i].first != lines[i].first || strcmp(l->lines[from + i].epoch, lines[i].epoch) != 0)
			return false;
	return true;
}

enum err lineage_join(struct lineage *l, uint64_t head, struct seq_range events, const struct line *lines, uint32_t count,
		      bool *same)
{
	uint64_t last = events.last;
	uint64_t known = last < head ? last : head;
	uint32_t old = 0; /* of `lines`: those that events up to `known` are on */
	while (old < count && lines[old].first <= known)
		old++;
	uint64_t from = events.first > 1 ? events.first - 1 : 1;
	*same = l->count == 0 || from > known || lineage_is(l, from, known, lines, old);
	if (!*same)
		return ERR_NONE;
	/* A line without events yet is replaced by the lines of the new events. */
	while (last > head && l->count > 0 && l->lines[l->count - 1].first > head)
		l->count--;
	for (uint32_t i = l->count == 0 ? 0 : old; i < count; i++)
		if (!lineage_append(l, &lines[i]))
			return ERR_NOMEM;
	return ERR_NONE;
}

enum err lineage_insert(struct lineage *l, const struct line *line, bool *same)
{
	uint32_t at = 0;
	while (at < l->count && l->lines[at].first < line->first)
		at++;
	bool there = at < l->count && l->lines[at].first == line->first;
	*same = !there || strcmp(l->lines[at].epoch, line->epoch) == 0;
	if (there)
		return ERR_NONE;
	if (!lineage_append(l, line))
		return ERR_NOMEM;
	memmove(l->lines + at + 1, l->lines + at, (l->count - 1 - at) * sizeof *l->lines);
	l->lines[at] = *line;
	assert(at + 1 == l->count || l->lines[at + 1].first > line->first);
	return ERR_NONE;
}
