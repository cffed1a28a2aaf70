#include "engine/read/cursor.h"

#include <assert.h>
#include <stdlib.h>

#include "engine/read/cursor_internal.h"
#include "store/read/history.h"

enum { PAGES_AT_ONCE = 16 };

enum err cursor_create(struct feed *f, const struct cursor_options *options, struct cursor **out)
{
	struct cursor *c = calloc(1, sizeof *c);
	*out = c;
	if (c == NULL) {
		selection_destroy(options->select);
		return ERR_NOMEM;
	}
	c->feed = f;
	c->before = options->before;
	c->encoding = options->encoding;
	c->filtered = !selection_is_open(options->select);
	c->select = options->select;
	c->waiter.wake = options->wake;
	c->waiter.arg = options->arg;
	list_init(&c->waiter.link);
	c->has_gap = position_resolve(feed_store(f), feed_head(f), options->start, c->select, &c->after, &c->gap);
	return ERR_NONE;
}

void cursor_set_max_age(struct cursor *c, int64_t max_age_ms, uint64_t older)
{
	assert(c->sent == 0 && c->skip == 0);
	c->max_age_ms = max_age_ms;
	if (c->filtered || older <= c->after) /* whether any match is too old is found out page by page */
		return;
	cursor_note_aged(c);
	c->after = older;
}

void cursor_destroy(struct cursor *c)
{
	if (c == NULL)
		return;
	pthread_mutex_lock(feed_lock(c->feed));
	list_remove(&c->waiter.link); /* a load that runs goes on without the cursor */
	pthread_mutex_unlock(feed_lock(c->feed));
	page_unref(c->waiter.page);
	selection_destroy(c->waiter.select);
	selection_destroy(c->select);
	free(c);
}

/* --- where the next pages are --- */

/* Takes back the selection that a finished load has returned. */
static void take_back(struct cursor *c)
{
	struct load_waiter *w = &c->waiter;
	if (w->select == NULL)
		return;
	assert(c->filtered && c->select == NULL); /* it was lent to the load */
	c->select = w->select;
	w->select = NULL;
}

/* The page that was loaded for this cursor, if it holds the next event; NULL. */
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
		c->waiter.err = ERR_NONE; /* retention evicted the events first: the gap below reports that */
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
	assert(page_after(pages[0]) <= c->after && c->after < page_last(pages[0]));
	if (!c->filtered)
		feed_prefetch(c->feed, page_last(pages[*count - 1]), c->encoding);
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
		case AT_HEAD: return cursor_tell_aged(c) ? CURSOR_GAP : CURSOR_LIVE;
		case AT_END: return cursor_tell_aged(c) ? CURSOR_GAP : CURSOR_END;
		case AT_GAP: return CURSOR_GAP;
		case BROKEN: return CURSOR_FAILED;
		case FROM_PAGES: break;
		}
		bool young;
		enum err err = cursor_pass_old(c, pages, n, &young);
		bool gap = !err && young && cursor_tell_aged(c);
		if (!err && young && !gap)
			err = cursor_add_pages(c, &f, pages, n);
		for (int i = 0; i < n; i++)
			page_unref(pages[i]);
		if (err) {
			cursor_release(chunks, f.count);
			return CURSOR_FAILED;
		}
		if (gap)
			return CURSOR_GAP;
		*count = f.count;
		assert(f.count <= max);
		if (f.count > 0)
			return CURSOR_READY;
	}
}

/* The index of the record that byte `sent` of a chunk is in. *start is the offset of that byte in the page. */
static uint32_t record_at(const struct page_encoding *encoding, const struct chunk *chunk, size_t sent, size_t *start)
{
	assert(sent < chunk->len);
	uint32_t i = chunk->index;
	*start = (size_t)(chunk->bytes - encoding->bytes) + sent;
	while (encoding->ends[i] <= *start)
		i++;
	return i;
}

/* A chunk of which only `sent` bytes have gone out. */
static uint64_t advance_inside(struct cursor *c, const struct chunk *chunk, size_t sent)
{
	const struct page_encoding *encoding = page_encoding(chunk->page, c->encoding);
	size_t start;
	uint32_t i = record_at(encoding, chunk, sent, &start);
	assert(i < chunk->index + chunk->count);
	if (i > chunk->index)
		c->after = c->sent = page_entry(chunk->page, i - 1).seq;
	c->skip = start - (i > 0 ? encoding->ends[i - 1] : 0);
	return i - chunk->index;
}

size_t cursor_record_rest(const struct cursor *c, const struct chunk *chunks, int count, size_t sent, const char **bytes)
{
	int k = 0;
	for (; k < count && sent >= chunks[k].len; k++)
		sent -= chunks[k].len;
	if (k == count)
		return 0;
	const struct page_encoding *encoding = page_encoding(chunks[k].page, c->encoding);
	size_t start;
	uint32_t i = record_at(encoding, &chunks[k], sent, &start);
	bool begins = start == (i > 0 ? encoding->ends[i - 1] : 0);
	*bytes = encoding->bytes + start;
	return begins ? 0 : encoding->ends[i] - start;
}

uint64_t cursor_advance(struct cursor *c, const struct chunk *chunks, int count, size_t sent)
{
	uint64_t events = 0;
	for (int i = 0; i < count && sent > 0; i++) {
		if (sent < chunks[i].len)
			return events + advance_inside(c, &chunks[i], sent);
		sent -= chunks[i].len;
		events += chunks[i].count;
		assert(chunks[i].count > 0 && chunks[i].done_after > c->after);
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
	assert(list_empty(&c->waiter.link) && c->filtered == (c->select != NULL && !selection_is_open(c->select)));
	struct selection *lent = c->filtered ? c->select : NULL;
	enum err err = feed_load(c->feed, c->after, c->encoding, lent, &c->waiter, &c->waiter.fault);
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
	assert(list_empty(&c->waiter.link));
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
