#include "library/library.h"

#include <assert.h>
#include <stdlib.h>

#include "base/system/clock.h"
#include "event/envelope.h"

enum { TEXTS = 5 }; /* of an event, each with a NUL: the envelope, and stream, type, id and data out of it */

struct tm_page {
	uint32_t count;
	uint32_t cap;
	char *text; /* where the next one goes; behind the events, in the same piece of memory */
	char *end;
	int64_t time_ms; /* of the text that was parsed last: events of one commit share it */
	char time[CLOCK_TEXT_LEN];
	struct tm_event events[];
};

struct tm_page *page_make(uint32_t count, size_t bytes)
{
	/* Decoded texts are not longer than in the envelope. */
	size_t size = sizeof(struct tm_page) + count * sizeof(struct tm_event);
	size_t texts = 2 * bytes + (size_t)TEXTS * count;
	struct tm_page *p = malloc(size + texts);
	if (p == NULL)
		return NULL;
	*p = (struct tm_page){.cap = count, .text = (char *)p + size, .end = (char *)p + size + texts};
	return p;
}

/* Copies a text, ends it with a NUL, and returns the copy. */
static const char *keep(struct tm_page *p, struct slice text)
{
	char *at = p->text;
	assert(text.len < (size_t)(p->end - at));
	p->text = slice_copy(at, text);
	*p->text++ = '\0';
	return at;
}

/* The same for a name without its escapes. NULL where it cannot be one. */
static const char *keep_name(struct tm_page *p, struct slice raw)
{
	char bytes[EVENT_NAME_MAX];
	struct slice name;
	return envelope_name(raw, bytes, &name) ? keep(p, name) : NULL;
}

static bool read_time(struct tm_page *p, struct slice text)
{
	if (memcmp(p->time, text.p, CLOCK_TEXT_LEN) == 0)
		return true;
	if (!clock_parse(text, &p->time_ms))
		return false;
	memcpy(p->time, text.p, CLOCK_TEXT_LEN);
	return true;
}

bool page_take(struct tm_page *page, struct slice envelope)
{
	struct envelope e;
	assert(page->count < page->cap);
	if (!envelope_read(envelope, &e) || !read_time(page, e.time))
		return false;
	struct tm_event *out = &page->events[page->count];
	*out = (struct tm_event){
		.seq = e.seq,
		.time = page->time_ms,
		.stream = keep_name(page, e.stream),
		.type = keep_name(page, e.type),
		.id = e.id.len > 0 ? keep_name(page, e.id) : keep(page, (struct slice){"", 0}),
		.data = keep(page, e.data),
		.data_len = e.data.len,
		.json = keep(page, envelope),
		.json_len = envelope.len,
	};
	if (out->stream == NULL || out->type == NULL || out->id == NULL)
		return false;
	page->count++;
	return true;
}

uint32_t tm_page_count(const struct tm_page *page)
{
	return page->count;
}

const struct tm_event *tm_page_event(const struct tm_page *page, uint32_t index)
{
	return index < page->count ? &page->events[index] : NULL;
}

void tm_page_free(struct tm_page *page)
{
	free(page);
}
