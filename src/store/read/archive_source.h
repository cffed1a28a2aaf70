/* Events out of a store's archives, for one reader: a few of them open at a time, names turned into topics. One thread. */
#ifndef STORE_READ_ARCHIVE_SOURCE_H
#define STORE_READ_ARCHIVE_SOURCE_H

#include "event/envelope.h"
#include "event/event.h"
#include "store/archives/archive_set.h"
#include "store/index/catalog.h"
#include "store/index/postings.h"

struct archive_source;

struct archive_source *archive_source_create(struct archive_set *set, struct catalog *catalog); /* NULL: no memory */
void archive_source_destroy(struct archive_source *s);                                          /* NULL is fine */

struct archived {
	struct envelope envelope;
	struct slice text; /* the envelope as it stands there */
	int64_t time_ms;
	uint32_t topic;
};
/* Anything but ERR_NONE ends the walk; *more is true before, and ends it without a fault when it is made false. */
typedef enum err archived_fn(void *arg, const struct archived *event, bool *more, struct fault *fault);

/* Calls back with the events of one archive whose seqs are in the range (its `max` does not matter), in its order. ERR_GONE:
 * its file is not there any more, and the set has been told. */
enum err archive_source_walk(struct archive_source *s, const struct manifest *m, const struct seq_query *range,
			     archived_fn *each, void *arg, struct fault *fault);
/* The last seq of an archive whose time is before `time_ms`; first - 1 where there is none. */
enum err archive_source_seek_time(struct archive_source *s, const struct manifest *m, int64_t time_ms, uint64_t *seq,
				  struct fault *fault);

#endif
