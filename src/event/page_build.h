/* The inside of a page: for the store, which makes pages, and the engine, which sends them. */
#ifndef EVENT_PAGE_BUILD_H
#define EVENT_PAGE_BUILD_H

#include "event/encoding.h"
#include "event/page.h"
#include "event/where.h"

/* Events in one encoding: record i is bytes[i ? ends[i - 1] : 0 .. ends[i]). */
struct page_encoding {
	const char *bytes;
	const uint32_t *ends;
};

/* The whole page in an encoding, made at the first call and kept with the page. NULL: no memory. Any thread. */
const struct page_encoding *page_encoding(struct page *p, enum encoding encoding);

/* The topics of all its events, ascending, page_count of them; made and kept likewise. */
const uint32_t *page_topics(struct page *p);

/* When the oldest request of the page was submitted (monotonic microseconds), set before the page is shared; 0: not known.
 */
void page_set_submitted(struct page *p, int64_t us);
int64_t page_submitted(const struct page *p);

/* Keeps those of `count` indexes whose payloads fulfil the conditions, and returns how many. Results are kept with the page,
 * so an event is tested once however many readers have the same conditions. */
uint32_t page_sift(struct page *p, struct where *w, uint32_t *indexes, uint32_t count);
/* Does the payload of any event fulfil them? */
bool page_any_holds(struct page *p, struct where *w);

/* A page under construction, owned by one thread. */
struct page_builder;

/* `encoding`: the one that the page will be read in first; `bytes`: its expected size. `epoch` is borrowed: the store's,
 * which outlives its pages. NULL: no memory. */
struct page_builder *page_builder_create(enum encoding encoding, const char *epoch, uint64_t after, size_t bytes);
void page_builder_destroy(struct page_builder *b);
enum err page_builder_add(struct page_builder *b, const struct encoding_event *e, int64_t time_ms, uint32_t topic);
/* The same for an event whose envelope exists already. */
enum err page_builder_add_envelope(struct page_builder *b, uint64_t seq, struct slice envelope, int64_t time_ms,
				   uint32_t topic);
size_t page_builder_bytes(const struct page_builder *b);
uint32_t page_builder_count(const struct page_builder *b);
/* Ends the page at `last` and consumes the builder. NULL when there is no memory. */
struct page *page_builder_take(struct page_builder *b, uint64_t last);

#endif
