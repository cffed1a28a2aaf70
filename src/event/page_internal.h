/* The inside of a page: page.c and page_build.c share it. */
#ifndef EVENT_PAGE_INTERNAL_H
#define EVENT_PAGE_INTERNAL_H

#include <stdatomic.h>

#include "event/page_build.h"

/* Which event belongs to which topic, sorted by topic: made when the first filtered reader comes by. */
struct topic_index {
	uint32_t *topics;  /* per entry, ascending */
	uint32_t *indexes; /* per entry */
};

/* What is known of the payloads of a page: by event, enum verdict. */
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
	/* Made on demand by whoever needs them first; a loser of the race throws its copy away. */
	_Atomic(struct page_encoding *) encodings[ENCODING_COUNT];
	_Atomic(struct topic_index *) topics;
	_Atomic(struct verdicts *) verdicts; /* a list, VERDICTS_MAX at most */
};

#endif
