#include "event/page.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/buf.h"
#include "event/envelope.h"
#include "event/page_internal.h"

enum {
	VERDICTS_MAX = 64, /* different conditions whose results are kept; others are tested each time */
};

struct page *page_ref(struct page *p)
{
	atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
	return p;
}

static void encoding_destroy(struct page_encoding *f)
{
	if (f == NULL)
		return;
	free((void *)f->bytes);
	free((void *)f->ends);
	free(f);
}

static void topics_destroy(struct topic_index *t)
{
	if (t == NULL)
		return;
	free(t->topics);
	free(t->indexes);
	free(t);
}

static void verdicts_destroy(struct verdicts *v)
{
	while (v != NULL) {
		struct verdicts *next = v->next;
		where_unref(v->where);
		free(v);
		v = next;
	}
}

void page_unref(struct page *p)
{
	if (p == NULL || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (int i = 0; i < ENCODING_COUNT; i++)
		encoding_destroy(p->encodings[i]);
	topics_destroy(p->topics);
	verdicts_destroy(p->verdicts);
	free(p->entries);
	free(p);
}

uint64_t page_after(const struct page *p)
{
	return p->after;
}

uint64_t page_last(const struct page *p)
{
	return p->last;
}

uint32_t page_count(const struct page *p)
{
	return p->count;
}

void page_set_submitted(struct page *p, int64_t us)
{
	p->submitted_us = us;
}

int64_t page_submitted(const struct page *p)
{
	return p->submitted_us;
}

static struct slice record(const struct page_encoding *f, uint32_t index)
{
	uint32_t from = index > 0 ? f->ends[index - 1] : 0;
	return (struct slice){f->bytes + from, f->ends[index] - from};
}

size_t page_weight(const struct page *p)
{
	const struct page_encoding *f = p->encodings[p->first_encoding];
	return sizeof *p + p->count * (sizeof *p->entries + sizeof *f->ends) + (p->count > 0 ? f->ends[p->count - 1] : 0);
}

struct page_entry page_entry(const struct page *p, uint32_t index)
{
	assert(index < p->count);
	return p->entries[index];
}

uint32_t page_index(const struct page *p, uint64_t after)
{
	uint32_t low = 0;
	uint32_t high = p->count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (p->entries[middle].seq <= after)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct slice page_envelope(const struct page *p, uint32_t index)
{
	assert(index < p->count);
	return encoding_inside(p->first_encoding, record(p->encodings[p->first_encoding], index));
}

/* Records of a profile's encoding have sizes of their own: they are readings of the envelopes, not something around them. */
static struct page_encoding *make_own(const struct page *p, encoding_make *make)
{
	struct page_encoding *f = calloc(1, sizeof *f);
	uint32_t *ends = malloc((p->count + 1) * sizeof *ends);
	struct buf text;
	struct buf bytes;
	buf_init(&text);
	buf_init(&bytes);
	buf_reserve(&bytes, 1);
	for (uint32_t i = 0; ends != NULL && i < p->count; i++) {
		text.len = 0;
		if (make(page_envelope(p, i), p->entries[i].time_ms, &text))
			encoding_ws_frame(&bytes, buf_slice(&text));
		ends[i] = (uint32_t)bytes.len;
	}
	bool fine = f != NULL && ends != NULL && !buf_failed(&text) && !buf_failed(&bytes);
	buf_finish(&text);
	if (!fine) {
		free(f);
		free(ends);
		buf_finish(&bytes);
		return NULL;
	}
	*f = (struct page_encoding){bytes.data, ends};
	return f;
}

static struct page_encoding *make_encoding(const struct page *p, enum encoding encoding)
{
	encoding_make *own = encoding_own(encoding);
	if (own != NULL)
		return make_own(p, own);
	struct page_encoding *f = calloc(1, sizeof *f);
	uint32_t *ends = malloc((p->count + 1) * sizeof *ends);
	size_t size = 0;
	for (uint32_t i = 0; ends != NULL && i < p->count; i++) {
		size += encoding_record_size(encoding, p->entries[i].seq, p->epoch, page_envelope(p, i).len);
		ends[i] = (uint32_t)size;
	}
	char *bytes = malloc(size + 1);
	if (f == NULL || ends == NULL || bytes == NULL) {
		free(f);
		free(ends);
		free(bytes);
		return NULL;
	}
	char *at = bytes;
	for (uint32_t i = 0; i < p->count; i++) {
		struct slice envelope = page_envelope(p, i);
		at = encoding_begin(encoding, envelope.len, at);
		slice_copy(at, envelope);
		at = encoding_end(encoding, p->entries[i].seq, p->epoch, at + envelope.len);
	}
	*f = (struct page_encoding){bytes, ends};
	return f;
}

const struct page_encoding *page_encoding(struct page *p, enum encoding encoding)
{
	struct page_encoding *f = atomic_load_explicit(&p->encodings[encoding], memory_order_acquire);
	if (f != NULL)
		return f;
	f = make_encoding(p, encoding);
	struct page_encoding *standing = NULL;
	if (f != NULL && !atomic_compare_exchange_strong(&p->encodings[encoding], &standing, f)) {
		encoding_destroy(f);
		f = standing;
	}
	return f;
}

struct topic_of {
	uint32_t topic;
	uint32_t index;
};

static int by_topic(const void *a, const void *b)
{
	const struct topic_of *x = a;
	const struct topic_of *y = b;
	if (x->topic != y->topic)
		return x->topic < y->topic ? -1 : 1;
	return x->index < y->index ? -1 : 1;
}

static struct topic_index *topics_make(const struct page *p)
{
	struct topic_index *t = calloc(1, sizeof *t);
	struct topic_of *pairs = malloc((p->count + 1) * sizeof *pairs);
	uint32_t *topics = malloc((p->count + 1) * sizeof *topics);
	uint32_t *indexes = malloc((p->count + 1) * sizeof *indexes);
	if (t == NULL || pairs == NULL || topics == NULL || indexes == NULL) {
		free(t);
		free(pairs);
		free(topics);
		free(indexes);
		return NULL;
	}
	for (uint32_t i = 0; i < p->count; i++)
		pairs[i] = (struct topic_of){p->entries[i].topic, i};
	qsort(pairs, p->count, sizeof *pairs, by_topic);
	for (uint32_t i = 0; i < p->count; i++) {
		topics[i] = pairs[i].topic;
		indexes[i] = pairs[i].index;
	}
	free(pairs);
	*t = (struct topic_index){topics, indexes};
	return t;
}

/* The first place in the sorted topics that is not below `topic`. */
static uint32_t lower_bound(const uint32_t *topics, uint32_t count, uint64_t topic)
{
	uint32_t low = 0;
	uint32_t high = count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (topics[middle] < topic)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const struct topic_index *topic_index(struct page *p)
{
	struct topic_index *t = atomic_load_explicit(&p->topics, memory_order_acquire);
	if (t != NULL)
		return t;
	t = topics_make(p);
	struct topic_index *standing = NULL;
	if (t != NULL && !atomic_compare_exchange_strong(&p->topics, &standing, t)) {
		topics_destroy(t);
		t = standing;
	}
	return t;
}

const uint32_t *page_topics(struct page *p)
{
	const struct topic_index *t = topic_index(p);
	return t != NULL ? t->topics : NULL;
}

const uint32_t *page_topic(struct page *p, uint32_t topic, uint32_t *count, enum err *err)
{
	const struct topic_index *t = topic_index(p);
	*count = 0;
	*err = t != NULL ? ERR_NONE : ERR_NOMEM;
	if (t == NULL)
		return NULL;
	uint32_t from = lower_bound(t->topics, p->count, topic);
	*count = lower_bound(t->topics, p->count, (uint64_t)topic + 1) - from;
	return *count > 0 ? t->indexes + from : NULL;
}

/* Those of some conditions, between the head of the list and `end`; NULL. *count grows by how many others there are. */
static struct verdicts *find_verdicts(struct verdicts *head, const struct verdicts *end, const struct where *w, int *count)
{
	for (; head != end; head = head->next, ++*count)
		if (where_same(head->where, w))
			return head;
	return NULL;
}

/* NULL where there is no memory, or no room for more. */
static struct verdicts *verdicts_of(struct page *p, struct where *w)
{
	int count = 0;
	struct verdicts *head = atomic_load_explicit(&p->verdicts, memory_order_acquire);
	struct verdicts *found = find_verdicts(head, NULL, w, &count);
	if (found != NULL || count >= VERDICTS_MAX)
		return found;
	struct verdicts *v = calloc(1, sizeof *v + p->count);
	if (v == NULL)
		return NULL;
	v->where = where_ref(w);
	v->next = head;
	while (!atomic_compare_exchange_weak(&p->verdicts, &head, v)) {
		found = find_verdicts(head, v->next, w, &count); /* another thread was faster */
		v->next = head;
		if (found == NULL)
			continue;
		v->next = NULL;
		verdicts_destroy(v);
		return found;
	}
	return v;
}

static bool look(const struct page *p, const struct where *w, uint32_t index)
{
	struct envelope e;
	return envelope_read(page_envelope(p, index), &e) && where_holds(w, e.type, e.data);
}

/* `v` may be NULL. */
static bool holds(const struct page *p, struct verdicts *v, const struct where *w, uint32_t index)
{
	unsigned char known = v != NULL ? atomic_load_explicit(&v->of[index], memory_order_relaxed) : VERDICT_UNKNOWN;
	if (known != VERDICT_UNKNOWN)
		return known == VERDICT_YES;
	bool yes = look(p, w, index);
	if (v != NULL)
		atomic_store_explicit(&v->of[index], yes ? VERDICT_YES : VERDICT_NO, memory_order_relaxed);
	return yes;
}

uint32_t page_sift(struct page *p, struct where *w, uint32_t *indexes, uint32_t count)
{
	struct verdicts *v = verdicts_of(p, w);
	uint32_t kept = 0;
	for (uint32_t i = 0; i < count; i++)
		if (holds(p, v, w, indexes[i]))
			indexes[kept++] = indexes[i];
	return kept;
}

bool page_any_holds(struct page *p, struct where *w)
{
	struct verdicts *v = verdicts_of(p, w);
	bool any = false;
	for (uint32_t i = 0; !any && i < p->count; i++)
		any = holds(p, v, w, i);
	return any;
}
