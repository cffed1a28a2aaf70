/* From pages to the chunks that are sent. */
#include "engine/read/cursor.h"

#include <assert.h>
#include <stdlib.h>

#include "base/system/clock.h"
#include "engine/read/cursor_internal.h"

void cursor_note_aged(struct cursor *c)
{
	if (!c->aged)
		c->aged_from = c->after;
	c->aged = true;
}

static enum err no_memory(struct cursor *c)
{
	static const struct fault fault = {.code = ERR_NOMEM, .place = -1, .text = "out of memory"};
	c->fault = &fault;
	return ERR_NOMEM;
}

static bool is_full(const struct filling *f)
{
	return f->count == f->max || f->bytes >= f->bytes_max;
}

/* Adds the records [from, to) of the page, joined to the chunk before where they follow it. */
static void add_run(struct cursor *c, struct filling *f, uint32_t from, uint32_t to)
{
	struct page *page = f->page;
	assert(from < to && to <= page_count(page));
	size_t start = from > 0 ? f->encoding->ends[from - 1] : 0;
	size_t skip = f->count == 0 ? c->skip : 0;
	struct chunk *last = f->count > 0 ? &f->chunks[f->count - 1] : NULL;
	assert(start + skip < f->encoding->ends[to - 1]);
	size_t len = f->encoding->ends[to - 1] - start - skip;
	f->bytes += len;
	if (last != NULL && last->page == page && last->index + last->count == from) {
		last->len += len;
		last->count += to - from;
		last->done_after = page_entry(page, to - 1).seq;
		return;
	}
	assert(f->count < f->max);
	f->chunks[f->count++] = (struct chunk){page_ref(page), f->encoding->bytes + start + skip, len, from,
					       to - from,      page_entry(page, to - 1).seq};
}

static int ascending(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

/* The indexes in [from, to) whose topics pass, ascending. The cost grows with what passes where the filter is narrow. NULL
 * when there is no memory. */
static uint32_t *topic_matches(const struct selection *s, struct page *page, uint32_t from, uint32_t to, uint32_t *count)
{
	uint32_t *indexes = malloc((to - from + 1) * sizeof *indexes);
	*count = 0;
	if (indexes == NULL)
		return NULL;
	if (selection_is_wide(s) || selection_count(s) > CURSOR_NARROW_TOPICS) {
		for (uint32_t i = from; i < to; i++)
			if (selection_has(s, page_entry(page, i).topic))
				indexes[(*count)++] = i;
		return indexes;
	}
	for (uint32_t t = 0; t < selection_count(s); t++) {
		enum err err;
		uint32_t n;
		const uint32_t *of_topic = page_topic(page, selection_topic(s, t), &n, &err);
		if (err) {
			free(indexes);
			return NULL;
		}
		for (uint32_t i = 0; i < n; i++)
			if (of_topic[i] >= from && of_topic[i] < to)
				indexes[(*count)++] = of_topic[i];
	}
	if (selection_count(s) > 1)
		qsort(indexes, *count, sizeof *indexes, ascending);
	return indexes;
}

/* The same, with the selection's conditions on payloads. */
static uint32_t *matches(const struct selection *s, struct page *page, uint32_t from, uint32_t to, uint32_t *count)
{
	uint32_t *indexes = topic_matches(s, page, from, to, count);
	struct where *where = selection_where(s);
	if (indexes != NULL && where != NULL)
		*count = page_sift(page, where, indexes, *count);
	return indexes;
}

/* Adds what matches; *whole is true when all events up to `to` were examined. */
static enum err add_matches(struct cursor *c, struct filling *f, uint32_t from, uint32_t to, bool *whole)
{
	uint32_t count;
	enum err err = selection_refresh(c->select);
	uint32_t *indexes = err ? NULL : matches(c->select, f->page, from, to, &count);
	if (indexes == NULL)
		return no_memory(c);
	uint32_t i = 0;
	for (; i < count && !is_full(f); i++)
		add_run(c, f, indexes[i], indexes[i] + 1);
	*whole = i == count;
	free(indexes);
	return ERR_NONE;
}

/* Adds the rest of a page. *whole as above. */
static enum err add_page(struct cursor *c, struct filling *f, struct page *page, uint64_t after, bool *whole)
{
	const struct page_encoding *encoding = page_encoding(page, c->encoding);
	if (encoding == NULL)
		return no_memory(c);
	f->page = page;
	f->encoding = encoding;
	uint32_t from = page_index(page, after);
	uint32_t to = c->before != 0 ? page_index(page, c->before - 1) : page_count(page);
	*whole = true;
	if (from >= to)
		return ERR_NONE;
	if (c->filtered)
		return add_matches(c, f, from, to, whole);
	/* A page may be larger than bytes_max: stop at the record that reaches it. */
	uint32_t end = from;
	size_t start = from > 0 ? encoding->ends[from - 1] : 0;
	while (end < to && f->bytes + (encoding->ends[end] - start) < f->bytes_max)
		end++;
	end += end < to;
	*whole = end == to;
	assert(end > from);
	add_run(c, f, from, end);
	return ERR_NONE;
}

/* Skips the events of a page that are too old. */
static enum err pass_old_in(struct cursor *c, struct page *page, int64_t oldest_ms)
{
	uint32_t from = page_index(page, c->after);
	uint32_t to = from;
	uint32_t count = page_count(page);
	while (to < count && page_entry(page, to).time_ms < oldest_ms)
		to++;
	uint32_t passed = to - from;
	if (passed > 0 && c->filtered) {
		uint32_t *indexes = selection_refresh(c->select) ? NULL : matches(c->select, page, from, to, &passed);
		if (indexes == NULL)
			return no_memory(c);
		free(indexes);
	}
	if (passed > 0)
		cursor_note_aged(c);
	if (to == count && page_last(page) > c->after)
		c->after = page_last(page);
	else if (to > from)
		c->after = page_entry(page, to - 1).seq;
	return ERR_NONE;
}

enum err cursor_pass_old(struct cursor *c, struct page **pages, int count, bool *young)
{
	int64_t oldest_ms = clock_wall_ms() - c->max_age_ms;
	enum err err = ERR_NONE;
	*young = c->max_age_ms == 0 || c->skip > 0;
	for (int i = 0; !err && !*young && i < count; i++) {
		err = pass_old_in(c, pages[i], oldest_ms);
		*young = !err && c->after < page_last(pages[i]);
	}
	return err;
}

bool cursor_tell_aged(struct cursor *c)
{
	bool aged = c->aged;
	assert(!aged || c->aged_from <= c->after);
	c->aged = false;
	if (aged)
		c->gap = (struct gap){c->aged_from, c->after + 1, GAP_AGE};
	return aged;
}

enum err cursor_add_pages(struct cursor *c, struct filling *f, struct page **pages, int count)
{
	uint64_t after = c->after;
	for (int i = 0; i < count && !is_full(f); i++) {
		bool whole = false;
		enum err err = add_page(c, f, pages[i], after, &whole);
		if (err)
			return err;
		if (!whole)
			break;
		if (page_last(pages[i]) > after)
			after = page_last(pages[i]);
		if (f->count == 0)
			c->after = after;
		else
			f->chunks[f->count - 1].done_after = after;
	}
	return ERR_NONE;
}
