/* A page: consecutive events of the log, ready to be sent. Pages are made only from what a commit succeeded in storing
 * (store.h) and from what was read back (history.h); they never change and are shared by any number of readers.
 *
 * Ownership: counted references; every function that returns a page gives the caller one. Any thread. */
#ifndef EVENT_PAGE_H
#define EVENT_PAGE_H

#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

struct page;

struct page *page_ref(struct page *p);
void page_unref(struct page *p); /* NULL is fine */

/* The page covers the seqs after `page_after` up to `page_last`: events in this range that it does not have are not in the
 * log, or do not match the selection that it was read with. */
uint64_t page_after(const struct page *p);
uint64_t page_last(const struct page *p);
uint32_t page_count(const struct page *p);
/* Bytes of memory of the page in its first encoding; never changes. Each further encoding takes about as much. */
size_t page_weight(const struct page *p);

struct page_entry {
	uint64_t seq;
	int64_t time_ms; /* Unix milliseconds */
	uint32_t topic;  /* catalog id: stands for a stream and a type */
};
struct page_entry page_entry(const struct page *p, uint32_t index);
/* The first index whose seq is greater than `after`; page_count when there is none. */
uint32_t page_index(const struct page *p, uint64_t after);
/* The indexes of the events of one topic, ascending; *count says how many. Borrowed from the page; NULL with *count 0
 * when there is none, or when there is no memory (*err says so). */
const uint32_t *page_topic(struct page *p, uint32_t topic, uint32_t *count, enum err *err);

/* The envelope of one event, as one line of JSON (schema/openapi.json, Event), without a newline. */
struct slice page_envelope(const struct page *p, uint32_t index);

#endif
