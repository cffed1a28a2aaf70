/* Reading back what is stored. A reader is one read-only connection: any number of them, each used by one thread at a
 * time. Nothing keeps a transaction open between two calls. */
#ifndef STORE_READ_HISTORY_H
#define STORE_READ_HISTORY_H

#include "event/encoding.h"
#include "event/filter.h"
#include "store/log/store.h"

struct reader;
struct selection;

/* The store outlives its readers. */
enum err reader_open(struct store *s, struct reader **out, struct fault *fault);
void reader_close(struct reader *r);

/* A filter made ready for this store: taken, also on failure (NULL). */
struct selection *history_select_take(struct store *s, struct filter *f);
void selection_destroy(struct selection *s);

struct history_query {
	uint64_t after;  /* exclusive */
	uint64_t before; /* exclusive; 0: up to the head as it is now */
	bool descending;
	uint32_t count_max;
	size_t bytes_max;         /* of envelopes; one event is returned in any case */
	struct selection *select; /* NULL: everything */
};

/* One page of events in the order asked for, from an archive or from the log. page_last is the position to go on from:
 * ascending the next query's `after`, descending its `before`. ERR_CORRUPT names the seq, or the archive. ERR_GONE:
 * ascending, the event after `after` is in no archive and not in the log any more: store_next says what is. */
enum err history_page(struct reader *r, const struct history_query *q, struct page **out, struct fault *fault);

/* history_page, in the encoding that the page will be sent in. */
enum err history_page_as(struct reader *r, const struct history_query *q, enum encoding encoding, struct page **out,
			 struct fault *fault);

/* How many events in (after, before) there are and pass `select`. Those in the log are counted in its index, unless their
 * payloads decide; those in archives are read; what is gone does not count. */
enum err history_count(struct reader *r, struct selection *select, uint64_t after, uint64_t before, uint64_t *count,
		       struct fault *fault);

/* May something that passes `select` (NULL: everything does) have been removed for good past `after`? False is sure. */
bool history_may_miss(struct store *s, struct selection *select, uint64_t after);

/* The lowest seq in (after, before) that was removed; 0 where all is there, or should be. */
uint64_t history_removed(struct reader *r, uint64_t after, uint64_t before);

/* The first seq of the archive that holds `seq`, or that should hold it; `seq` has left the log. A backward read that finds
 * this archive unreadable continues below its first seq. */
uint64_t history_part(struct reader *r, uint64_t seq);

/* Bytes of the database that are in use: its file does not shrink when events leave, but is filled again. */
enum err history_used(struct reader *r, uint64_t *bytes, struct fault *fault);

/* The last seq whose time is before `time_ms` (0 where there is none). Where it cannot be told, for archives are missing, it
 * is the last that may be. */
enum err history_seek_time(struct reader *r, int64_t time_ms, uint64_t *seq, struct fault *fault);
/* The `after` of what came at that time or later: the same, but what is missing and may be of it comes behind, so that
 * whoever reads on is told. */
enum err history_seek_since(struct reader *r, int64_t time_ms, uint64_t *after, struct fault *fault);

struct history_verified {
	uint64_t events; /* that were fine, before the first fault */
	/* Tables whose structure SQLite could not check, because a server wrote too much meanwhile: their names; empty:
	 * none. */
	char skipped[160];
};

/* Looks at everything the store holds. `progress` (may be NULL) is called now and then, outside of read transactions while
 * the log is looked at. The first fault is in `fault`. ERR_BUSY: another process has written to the store since it was
 * opened; open it again. */
enum err history_verify(struct reader *r, void (*progress)(void *arg, uint64_t done, uint64_t all), void *arg,
			struct history_verified *out, struct fault *fault);

#endif
