/* Reading events from a store's archives, for one reader. Keeps a few archives open, and maps names to topics. One thread.
 */
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
	struct slice text; /* the whole line */
	int64_t time_ms;
	uint32_t topic;
};
/* An error ends the walk; so does setting *more, which is true, to false. */
typedef enum err archived_fn(void *arg, const struct archived *event, bool *more, struct fault *fault);

/* Calls back with the events of one archive whose seqs are in the range, in its order; its `max` is not used. ERR_GONE: its
 * file does not exist any more; the set knows it as missing now. */
enum err archive_source_walk(struct archive_source *s, const struct manifest *m, const struct seq_query *range,
			     archived_fn *each, void *arg, struct fault *fault);
/* *seq: the last event of an archive whose time is before `time_ms`; first - 1: there is none. */
enum err archive_source_seek_time(struct archive_source *s, const struct manifest *m, int64_t time_ms, uint64_t *seq,
				  struct fault *fault);

#endif
