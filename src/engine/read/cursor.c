#include "engine/read/cursor.h"

#include <assert.h>
#include <stdlib.h>

#include "base/system/clock.h"
#include "engine/read/feed_internal.h"
#include "store/read/history.h"

enum { PAGES_AT_ONCE = 16 };

struct cursor {
	struct feed *feed;
	uint64_t after;  /* everything up to here is sent, or does not match */
	uint64_t sent;   /* the last event that was sent whole */
	uint64_t before; /* where it ends; 0: never */
	size_t skip;     /* bytes of the next record that are sent already */
	enum encoding form;
	struct selection *select; /* NULL while it is lent to a load */
	bool filtered;
	bool has_gap;
	struct gap gap;
	int64_t max_age_ms; /* 0: none */
	bool aged;          /* what follows `aged_from` was passed over for its age, and that is not told yet */
	uint64_t aged_from;
	const struct fault *fault; /* why it has failed; there are many cursors, and hardly any has */
	struct load_waiter waiter;
};

static enum err no_memory(struct cursor *c)
{
	static const struct fault fault = {.code = ERR_NOMEM, .place = -1, .text = "out of memory"};
	c->fault = &fault;
	return ERR_NOMEM;
}

enum err cursor_create(struct feed *f, struct position start, uint64_t before, struct selection *select, enum encoding form,
		       cursor_wake *wake, void *arg, struct cursor **out)
{
	struct cursor *c = calloc(1, sizeof *c);
	*out = c;
	if (c == NULL) {
		selection_destroy(select);
		return ERR_NOMEM;
	}
	c->feed = f;
	c->before = before;
	c->form = form;
	c->filtered = !selection_is_open(select);
	c->select = select;
	c->waiter.wake = wake;
	c->waiter.arg = arg;
	list_init(&c->waiter.link);
	c->has_gap = position_resolve(feed_store(f), feed_head(f), start, select, &c->after, &c->gap);
	return ERR_NONE;
}

static void note_aged(struct cursor *c)
{
	if (!c->aged)
		c->aged_from = c->after;
	c->aged = true;
}

void cursor_set_max_age(struct cursor *c, int64_t max_age_ms, uint64_t older)
{
	c->max_age_ms = max_age_ms;
	if (c->filtered || older <= c->after) /* of what passes a filter it is found out on the way whether any is */
		return;
	note_aged(c);
	c->after = older;
}

void cursor_destroy(struct cursor *c)
{
	if (c == NULL)
		return;
	pthread_mutex_lock(feed_lock(c->feed));
	list_remove(&c->waiter.link); /* a load that runs goes on without us */
	pthread_mutex_unlock(feed_lock(c->feed));
	page_unref(c->waiter.page);
	selection_destroy(c->waiter.select);
	selection_destroy(c->select);
	free(c);
}

/* --- from a page to chunks --- */

/* What cursor_fill is putting together. */
struct filling {
	struct chunk *chunks;
	int count;
	int max;
	size_t bytes;
	size_t bytes_max;
};

static bool is_full(const struct filling *f)
{
	return f->count == f->max || f->bytes >= f->bytes_max;
}

/* Adds the records [from, to) of a page, joined to the chunk before where they follow it. */
static void add_run(struct cursor *c, struct filling *f, struct page *page, const struct page_encoding *form, uint32_t from,
		    uint32_t to)
{
	size_t start = from > 0 ? form->ends[from - 1] : 0;
	size_t skip = f->count == 0 ? c->skip : 0;
	struct chunk *last = f->count > 0 ? &f->chunks[f->count - 1] : NULL;
	size_t len = form->ends[to - 1] - start - skip;
	f->bytes += len;
	if (last != NULL && last->page == page && last->index + last->count == from) {
		last->len += len;
		last->count += to - from;
		last->done_after = page_entry(page, to - 1).seq;
		return;
	}
	f->chunks[f->count++] = (struct chunk){page_ref(page), form->bytes + start + skip,  len, from,
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

/* The same for all that the selection asks for. */
static uint32_t *matches(const struct selection *s, struct page *page, uint32_t from, uint32_t to, uint32_t *count)
{
	uint32_t *indexes = topic_matches(s, page, from, to, count);
	struct where *where = selection_where(s);
	if (indexes != NULL && where != NULL)
		*count = page_sift(page, where, indexes, *count);
	return indexes;
}

/* Adds what matches; *whole when everything up to `to` was looked at. */
static enum err add_matches(struct cursor *c, struct filling *f, struct page *page, const struct page_encoding *form,
			    uint32_t from, uint32_t to, bool *whole)
{
	uint32_t count;
	enum err err = selection_refresh(c->select);
	uint32_t *indexes = err ? NULL : matches(c->select, page, from, to, &count);
	if (indexes == NULL)
		return no_memory(c);
	uint32_t i = 0;
	for (; i < count && !is_full(f); i++)
		add_run(c, f, page, form, indexes[i], indexes[i] + 1);
	*whole = i == count;
	free(indexes);
	return ERR_NONE;
}

/* Adds what is left of a page for this cursor. *whole as above. */
static enum err add_page(struct cursor *c, struct filling *f, struct page *page, uint64_t after, bool *whole)
{
	const struct page_encoding *form = page_encoding(page, c->form);
	if (form == NULL)
		return no_memory(c);
	uint32_t from = page_index(page, after);
	uint32_t to = c->before != 0 ? page_index(page, c->before - 1) : page_count(page);
	*whole = true;
	if (from >= to)
		return ERR_NONE;
	if (c->filtered)
		return add_matches(c, f, page, form, from, to, whole);
	/* A page that was published whole may be larger than a socket takes: stop at the record that reaches the limit. */
	uint32_t end = from;
	size_t start = from > 0 ? form->ends[from - 1] : 0;
	while (end < to && f->bytes + (form->ends[end] - start) < f->bytes_max)
		end++;
	end += end < to;
	*whole = end == to;
	add_run(c, f, page, form, from, end);
	return ERR_NONE;
}

/* Goes past what is too old in a page. */
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
		note_aged(c);
	if (to == count && page_last(page) > c->after)
		c->after = page_last(page);
	else if (to > from)
		c->after = page_entry(page, to - 1).seq;
	return ERR_NONE;
}

/* Goes past what is too old; *young: something that is not follows in these pages. */
static enum err pass_old(struct cursor *c, struct page **pages, int count, bool *young)
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

/* Makes a gap of what was passed over for its age. */
static bool tell_aged(struct cursor *c)
{
	bool aged = c->aged;
	c->aged = false;
	if (aged)
		c->gap = (struct gap){c->aged_from, c->after + 1, GAP_AGE};
	return aged;
}

/* Goes through consecutive pages. What was looked at in vain is behind the cursor at once; what follows a chunk is
 * behind it when the chunk is sent. */
static enum err add_pages(struct cursor *c, struct filling *f, struct page **pages, int count)
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

/* --- where the next pages are --- */

/* What a load has given back. */
static void take_back(struct cursor *c)
{
	struct load_waiter *w = &c->waiter;
	if (w->select == NULL)
		return;
	c->select = w->select;
	w->select = NULL;
}

/* The page that was loaded for this cursor, while it still serves. */
static struct page *loaded_page(struct cursor *c)
{
	struct load_waiter *w = &c->waiter;
	take_back(c);
	if (w->page != NULL && (page_after(w->page) > c->after || page_last(w->page) <= c->after)) {
		page_unref(w->page);
		w->page = NULL;
	}
	return w->page;
}

enum source { FROM_PAGES, FROM_STORE, AT_HEAD, AT_END, AT_GAP, BROKEN };

/* Finds the pages that follow; each with a reference. With the lock. */
static enum source find_pages(struct cursor *c, struct page **pages, int *count, size_t bytes_max)
{
	struct page *loaded = loaded_page(c);
	uint64_t next = feed_next(c->feed, c->after);
	if (c->waiter.err == ERR_GONE && next > c->after + 1 && c->skip == 0)
		c->waiter.err = ERR_NONE; /* retention was faster: the gap below says so */
	if (c->waiter.err) {
		c->fault = &c->waiter.fault;
		return BROKEN;
	}
	if (!c->has_gap && c->skip == 0 && next > c->after + 1) {
		c->gap = (struct gap){c->after, next, GAP_RETENTION};
		c->has_gap = history_may_miss(feed_store(c->feed), c->select, c->after);
		c->after = next - 1;
	}
	if (c->has_gap)
		return AT_GAP;
	if (c->before != 0 && c->after + 1 >= c->before)
		return AT_END;
	if (c->after >= feed_head_locked(c->feed))
		return AT_HEAD;
	if (loaded != NULL) {
		pages[0] = page_ref(loaded);
		*count = 1;
	} else {
		*count = feed_ring_pages(c->feed, c->after, pages, PAGES_AT_ONCE, bytes_max);
	}
	if (*count == 0 && !c->filtered) {
		pages[0] = feed_cached(c->feed, c->after);
		*count = pages[0] != NULL;
	}
	if (*count == 0)
		return FROM_STORE;
	if (!c->filtered)
		feed_prefetch(c->feed, page_last(pages[*count - 1]), c->form);
	return FROM_PAGES;
}

enum cursor_state cursor_fill(struct cursor *c, struct chunk *chunks, int max, size_t bytes_max, int *count)
{
	struct filling f = {.chunks = chunks, .max = max, .bytes_max = bytes_max};
	*count = 0;
	for (;;) {
		struct page *pages[PAGES_AT_ONCE];
		int n = 0;
		pthread_mutex_lock(feed_lock(c->feed));
		enum source source = find_pages(c, pages, &n, bytes_max);
		pthread_mutex_unlock(feed_lock(c->feed));
		switch (source) {
		case FROM_STORE: return CURSOR_LOAD;
		case AT_HEAD: return tell_aged(c) ? CURSOR_GAP : CURSOR_LIVE;
		case AT_END: return tell_aged(c) ? CURSOR_GAP : CURSOR_END;
		case AT_GAP: return CURSOR_GAP;
		case BROKEN: return CURSOR_FAILED;
		case FROM_PAGES: break;
		}
		bool young;
		enum err err = pass_old(c, pages, n, &young);
		bool gap = !err && young && tell_aged(c);
		if (!err && young && !gap)
			err = add_pages(c, &f, pages, n);
		for (int i = 0; i < n; i++)
			page_unref(pages[i]);
		if (err) {
			cursor_release(chunks, f.count);
			return CURSOR_FAILED;
		}
		if (gap)
			return CURSOR_GAP;
		*count = f.count;
		if (f.count > 0)
			return CURSOR_READY;
	}
}

/* The record of a chunk that byte `sent` of it falls into. *start is where that byte is in the form. */
static uint32_t record_at(const struct page_encoding *form, const struct chunk *chunk, size_t sent, size_t *start)
{
	uint32_t i = chunk->index;
	*start = (size_t)(chunk->bytes - form->bytes) + sent;
	while (form->ends[i] <= *start)
		i++;
	return i;
}

/* A chunk of which only `sent` bytes have gone out. */
static uint64_t advance_inside(struct cursor *c, const struct chunk *chunk, size_t sent)
{
	const struct page_encoding *form = page_encoding(chunk->page, c->form);
	size_t start;
	uint32_t i = record_at(form, chunk, sent, &start);
	if (i > chunk->index)
		c->after = c->sent = page_entry(chunk->page, i - 1).seq;
	c->skip = start - (i > 0 ? form->ends[i - 1] : 0);
	return i - chunk->index;
}

size_t cursor_record_rest(const struct cursor *c, const struct chunk *chunks, int count, size_t sent, const char **bytes)
{
	int k = 0;
	for (; k < count && sent >= chunks[k].len; k++)
		sent -= chunks[k].len;
	if (k == count)
		return 0;
	const struct page_encoding *form = page_encoding(chunks[k].page, c->form);
	size_t start;
	uint32_t i = record_at(form, &chunks[k], sent, &start);
	bool begins = start == (i > 0 ? form->ends[i - 1] : 0);
	*bytes = form->bytes + start;
	return begins ? 0 : form->ends[i] - start;
}

uint64_t cursor_advance(struct cursor *c, const struct chunk *chunks, int count, size_t sent)
{
	uint64_t events = 0;
	for (int i = 0; i < count && sent > 0; i++) {
		if (sent < chunks[i].len)
			return events + advance_inside(c, &chunks[i], sent);
		sent -= chunks[i].len;
		events += chunks[i].count;
		c->sent = page_entry(chunks[i].page, chunks[i].index + chunks[i].count - 1).seq;
		c->after = chunks[i].done_after;
		c->skip = 0;
	}
	return events;
}

void cursor_release(struct chunk *chunks, int count)
{
	for (int i = 0; i < count; i++)
		page_unref(chunks[i].page);
}

void cursor_load(struct cursor *c)
{
	pthread_mutex_lock(feed_lock(c->feed));
	struct selection *lent = c->filtered ? c->select : NULL;
	enum err err = feed_load(c->feed, c->after, c->form, lent, &c->waiter, &c->waiter.fault);
	if (err) {
		c->waiter.err = err;
		c->waiter.wake(c->waiter.arg);
	} else if (c->filtered) {
		c->select = NULL;
	}
	pthread_mutex_unlock(feed_lock(c->feed));
}

uint64_t cursor_after(const struct cursor *c)
{
	return c->after;
}

uint64_t cursor_sent(const struct cursor *c)
{
	return c->sent;
}

void cursor_seek(struct cursor *c, struct position start)
{
	uint64_t head = feed_head(c->feed);
	assert(c->skip == 0);
	pthread_mutex_lock(feed_lock(c->feed));
	take_back(c);
	page_unref(c->waiter.page);
	c->waiter.page = NULL;
	c->waiter.err = ERR_NONE;
	pthread_mutex_unlock(feed_lock(c->feed));
	c->has_gap = position_resolve(feed_store(c->feed), head, start, c->select, &c->after, &c->gap);
	c->aged = false;
}

bool cursor_is_filtered(const struct cursor *c)
{
	return c->filtered;
}

void cursor_pass(struct cursor *c, uint64_t seq)
{
	assert(c->skip == 0);
	if (seq > c->after)
		c->after = seq;
}

struct selection *cursor_selection(const struct cursor *c)
{
	return c->filtered ? c->select : NULL;
}

bool cursor_is_inside(const struct cursor *c)
{
	return c->skip > 0;
}

const struct gap *cursor_gap(struct cursor *c)
{
	c->has_gap = false;
	return &c->gap;
}

const struct fault *cursor_fault(const struct cursor *c)
{
	return c->fault;
}
