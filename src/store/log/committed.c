#include "store/log/committed.h"

#include <assert.h>
#include <stdlib.h>

struct committed {
	struct page **pages;
	uint32_t count;
	uint32_t cap;
	uint64_t events;
};

struct committed *committed_create(void)
{
	return calloc(1, sizeof(struct committed));
}

void committed_destroy(struct committed *c)
{
	if (c == NULL)
		return;
	for (uint32_t i = 0; i < c->count; i++)
		page_unref(c->pages[i]);
	free(c->pages);
	free(c);
}

enum err committed_add_take(struct committed *c, struct page *page)
{
	if (page == NULL)
		return ERR_NOMEM;
	assert(c->count == 0 || page_after(page) == page_last(c->pages[c->count - 1]));
	if (c->count == c->cap) {
		uint32_t cap = c->cap ? c->cap * 2 : 1;
		struct page **pages = realloc(c->pages, cap * sizeof *pages);
		if (pages == NULL) {
			page_unref(page);
			return ERR_NOMEM;
		}
		c->pages = pages;
		c->cap = cap;
	}
	c->pages[c->count++] = page;
	c->events += page_count(page);
	return ERR_NONE;
}

uint64_t committed_count(const struct committed *c)
{
	return c->events;
}

uint32_t committed_pages(const struct committed *c)
{
	return c->count;
}

struct page *committed_page(const struct committed *c, uint32_t index)
{
	assert(index < c->count);
	return c->pages[index];
}
