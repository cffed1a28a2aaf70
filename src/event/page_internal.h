/* The inside of a page: page.c and page_build.c share it. */
#ifndef EVENT_PAGE_INTERNAL_H
#define EVENT_PAGE_INTERNAL_H

#include <stdatomic.h>

#include "event/page_build.h"

/* The events of a page sorted by topic; made for the first reader with a filter. */
struct topic_index {
	uint32_t *topics;  /* per entry, ascending */
	uint32_t *indexes; /* per entry */
};

/* Results of conditions on the payloads of a page: an enum verdict for each event. */
enum verdict { VERDICT_UNKNOWN, VERDICT_NO, VERDICT_YES };
struct verdicts {
	struct verdicts *next;
	struct where *where;
	atomic_uchar of[];
};

struct page {
	atomic_uint refs;
	const char *epoch; /* borrowed */
	uint64_t after;
	uint64_t last;
	uint32_t count;
	enum encoding first_encoding;
	int64_t submitted_us;
	struct page_entry *entries;
	/* Made on demand by the first thread that needs them; if two threads do so at once, one frees its copy. */
	_Atomic(struct page_encoding *) encodings[ENCODING_COUNT];
	_Atomic(struct topic_index *) topics;
	_Atomic(struct verdicts *) verdicts; /* a list, VERDICTS_MAX at most */
};

#endif
