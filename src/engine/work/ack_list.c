#include "engine/work/ack_list.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
	CHUNK_BYTES = 8192,
	RECORD_MAX = 1 + 10 + 2 + ACKS_TEXT_MAX,
	KNOWN_MAX = 256, /* longer texts get no number */
	KIND_BITS = 2,
	TEXT_NONE = 0, /* else: its number and one more */
	TEXT_INSIDE = ACKS_TEXTS + 1,
};

struct chunk {
	struct list link;
	uint16_t from; /* what was taken out */
	uint16_t len;
	unsigned char bytes[CHUNK_BYTES - sizeof(struct list) - 2 * sizeof(uint16_t)];
};

void acks_init(struct acks *a, struct quotas *quotas, uint64_t client)
{
	*a = (struct acks){.quotas = quotas, .client = client};
	list_init(&a->chunks);
}

static void drop_chunk(struct acks *a, struct chunk *c)
{
	list_remove(&c->link);
	assert(c->from <= c->len && a->bytes >= sizeof *c);
	a->bytes -= sizeof *c;
	quota_give(a->quotas, QUOTA_ACKS, a->client, sizeof *c);
	free(c);
}

static void forget_texts(struct acks *a)
{
	for (int i = 0; i < a->text_count; i++)
		free((char *)a->texts[i].p);
	free(a->texts);
	a->texts = NULL;
	a->text_count = 0;
}

void acks_clear(struct acks *a)
{
	LIST_EACH (link, &a->chunks)
		drop_chunk(a, LIST_ITEM(link, struct chunk, link));
	a->added_seq = a->read_seq = 0;
}

void acks_finish(struct acks *a)
{
	acks_clear(a);
	forget_texts(a);
}

bool acks_empty(const struct acks *a)
{
	return list_empty(&a->chunks);
}

/* --- adding --- */

static struct chunk *room_for_one(struct acks *a)
{
	struct chunk *last = LIST_ITEM(a->chunks.prev, struct chunk, link);
	if (!list_empty(&a->chunks) && sizeof last->bytes - last->len >= RECORD_MAX)
		return last;
	struct chunk *c = malloc(sizeof *c);
	if (c == NULL)
		return NULL;
	c->from = c->len = 0;
	list_append(&a->chunks, &c->link);
	a->bytes += sizeof *c;
	quota_charge(a->quotas, QUOTA_ACKS, a->client, sizeof *c);
	return c;
}

/* How a record refers to its text. A new text gets a number while there are free ones. */
static unsigned number_of(struct acks *a, struct slice text)
{
	if (text.p == NULL)
		return TEXT_NONE;
	for (int i = 0; i < a->text_count; i++)
		if (slice_eq(a->texts[i], text))
			return (unsigned)i + 1;
	if (text.len > KNOWN_MAX || a->text_count == ACKS_TEXTS)
		return TEXT_INSIDE;
	if (a->texts == NULL)
		a->texts = calloc(ACKS_TEXTS, sizeof *a->texts);
	char *own = a->texts != NULL ? malloc(text.len + 1) : NULL;
	if (own == NULL)
		return TEXT_INSIDE;
	slice_copy(own, text);
	a->texts[a->text_count++] = (struct slice){own, text.len};
	return (unsigned)a->text_count;
}

static void put_number(struct chunk *c, uint64_t n)
{
	for (; n >= 0x80; n >>= 7)
		c->bytes[c->len++] = (unsigned char)(n | 0x80);
	c->bytes[c->len++] = (unsigned char)n;
}

bool acks_add(struct acks *a, const struct ack *ack)
{
	if (acks_empty(a) && a->text_count == ACKS_TEXTS)
		forget_texts(a); /* other texts may be the frequent ones by now */
	struct chunk *c = room_for_one(a);
	if (c == NULL)
		return false;
	unsigned text = number_of(a, ack->text);
	assert(sizeof c->bytes - c->len >= RECORD_MAX);
	c->bytes[c->len++] = (unsigned char)((unsigned)ack->kind | text << KIND_BITS);
	if (ack->kind != ACK_REFUSED) {
		int64_t step = (int64_t)(ack->seq - a->added_seq);
		put_number(c, (uint64_t)step << 1 ^ (step < 0 ? UINT64_MAX : 0));
		a->added_seq = ack->seq;
	}
	if (text == TEXT_INSIDE) {
		size_t len = ack->text.len < ACKS_TEXT_MAX ? ack->text.len : ACKS_TEXT_MAX;
		put_number(c, len);
		memcpy(c->bytes + c->len, ack->text.p, len);
		c->len = (uint16_t)(c->len + len);
	}
	return true;
}

/* --- taking --- */

static uint64_t get_number(struct chunk *c)
{
	uint64_t n = 0;
	for (int shift = 0;; shift += 7) {
		assert(c->from < c->len);
		unsigned char byte = c->bytes[c->from++];
		n |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return n;
	}
}

void acks_take(struct acks *a, struct ack *out, struct buf *text_out)
{
	assert(!acks_empty(a));
	struct chunk *c = LIST_ITEM(a->chunks.next, struct chunk, link);
	unsigned head = c->bytes[c->from++];
	unsigned text = head >> KIND_BITS;
	*out = (struct ack){.kind = (enum ack_kind)(head & ((1 << KIND_BITS) - 1))};
	if (out->kind != ACK_REFUSED) {
		uint64_t zigzag = get_number(c);
		a->read_seq += zigzag >> 1 ^ (~(zigzag & 1) + 1);
		out->seq = a->read_seq;
	}
	if (text == TEXT_INSIDE) {
		size_t len = (size_t)get_number(c);
		text_out->len = 0;
		buf_add(text_out, c->bytes + c->from, len);
		out->text = buf_slice(text_out);
		c->from = (uint16_t)(c->from + len);
	} else if (text != TEXT_NONE) {
		assert(text <= (unsigned)a->text_count);
		out->text = a->texts[text - 1];
	}
	if (c->from == c->len)
		drop_chunk(a, c);
	if (acks_empty(a))
		a->added_seq = a->read_seq = 0;
}
