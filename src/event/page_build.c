#include "event/page_build.h"

#include <stdlib.h>

#include "base/buf.h"
#include "event/envelope.h"
#include "event/page_internal.h"

enum { FIRST_ENTRIES = 16 };

struct page_builder {
	enum encoding encoding;
	const char *epoch;
	uint64_t after;
	struct buf bytes;
	struct page_entry *entries;
	uint32_t *ends;
	uint32_t count;
	uint32_t cap;
};

struct page_builder *page_builder_create(enum encoding encoding, const char *epoch, uint64_t after, size_t bytes)
{
	struct page_builder *b = calloc(1, sizeof *b);
	if (b == NULL)
		return NULL;
	b->encoding = encoding_own(encoding) != NULL ? ENCODING_WS : encoding; /* a profile's is made from envelopes */
	b->epoch = epoch;
	b->after = after;
	buf_reserve(&b->bytes, bytes); /* on failure the first page_builder_add fails */
	return b;
}

void page_builder_destroy(struct page_builder *b)
{
	if (b == NULL)
		return;
	buf_finish(&b->bytes);
	free(b->entries);
	free(b->ends);
	free(b);
}

static bool grow(struct page_builder *b)
{
	if (b->count < b->cap)
		return true;
	uint32_t cap = b->cap ? b->cap * 2 : FIRST_ENTRIES;
	struct page_entry *entries = realloc(b->entries, cap * sizeof *entries);
	if (entries != NULL)
		b->entries = entries;
	uint32_t *ends = realloc(b->ends, cap * sizeof *ends);
	if (ends != NULL)
		b->ends = ends;
	if (entries == NULL || ends == NULL)
		return false;
	b->cap = cap;
	return true;
}

static void note_record(struct page_builder *b, const char *end, struct page_entry entry)
{
	b->bytes.len = (size_t)(end - b->bytes.data);
	b->entries[b->count] = entry;
	b->ends[b->count++] = (uint32_t)b->bytes.len;
}

enum err page_builder_add(struct page_builder *b, const struct encoding_event *e, int64_t time_ms, uint32_t topic)
{
	size_t envelope = encoding_envelope_size(e);
	size_t size = encoding_record_size(b->encoding, e->seq, b->epoch, envelope);
	if (!grow(b) || !buf_reserve(&b->bytes, size))
		return ERR_NOMEM;
	char *at = encoding_begin(b->encoding, envelope, b->bytes.data + b->bytes.len);
	note_record(b, encoding_end(b->encoding, e->seq, b->epoch, encoding_envelope(e, at)),
		    (struct page_entry){e->seq, time_ms, topic});
	return ERR_NONE;
}

enum err page_builder_add_envelope(struct page_builder *b, uint64_t seq, struct slice envelope, int64_t time_ms,
				   uint32_t topic)
{
	size_t size = encoding_record_size(b->encoding, seq, b->epoch, envelope.len);
	if (!grow(b) || !buf_reserve(&b->bytes, size))
		return ERR_NOMEM;
	char *at = encoding_begin(b->encoding, envelope.len, b->bytes.data + b->bytes.len);
	slice_copy(at, envelope);
	note_record(b, encoding_end(b->encoding, seq, b->epoch, at + envelope.len),
		    (struct page_entry){seq, time_ms, topic});
	return ERR_NONE;
}

size_t page_builder_bytes(const struct page_builder *b)
{
	return b->bytes.len;
}

uint32_t page_builder_count(const struct page_builder *b)
{
	return b->count;
}

static void *shrink(void *memory, size_t size)
{
	void *less = size > 0 ? realloc(memory, size) : NULL;
	return less != NULL ? less : memory;
}

struct page *page_builder_take(struct page_builder *b, uint64_t last)
{
	struct page *p = calloc(1, sizeof *p);
	struct page_encoding *f = calloc(1, sizeof *f);
	if (p == NULL || f == NULL) {
		free(p);
		free(f);
		page_builder_destroy(b);
		return NULL;
	}
	/* A page may live for hours in the ring: give back what growing has left over. */
	*f = (struct page_encoding){shrink(b->bytes.data, b->bytes.len), shrink(b->ends, b->count * sizeof *b->ends)};
	p->refs = 1;
	p->epoch = b->epoch;
	p->after = b->after;
	p->last = last;
	p->count = b->count;
	p->first_encoding = b->encoding;
	p->entries = shrink(b->entries, b->count * sizeof *b->entries);
	p->encodings[b->encoding] = f;
	b->bytes.data = NULL;
	b->entries = NULL;
	b->ends = NULL;
	page_builder_destroy(b);
	return p;
}
