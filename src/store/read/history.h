/* Reading stored events. A reader is a read-only connection; there may be any number, each used by one thread at a time. No
 * transaction stays open between two calls. */
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

/* A selection of this store's topics by a filter, which is taken, also on failure (NULL: no memory). */
struct selection *history_select_take(struct store *s, struct filter *f);
void selection_destroy(struct selection *s);

struct history_query {
	uint64_t after;  /* exclusive */
	uint64_t before; /* exclusive; 0: up to the current head */
	bool descending;
	uint32_t count_max;
	size_t bytes_max;         /* of envelopes; the page has at least one event nevertheless */
	struct selection *select; /* NULL: all events */
};

/* Reads a page of events in the order asked for, from an archive or from the log; the caller owns it. page_last is the
 * position to go on from: ascending the next query's `after`, descending its `before`. ERR_CORRUPT names the seq or the
 * archive. ERR_GONE: ascending, the event after `after` was removed; store_next finds the next one. */
enum err history_page(struct reader *r, const struct history_query *q, struct page **out, struct fault *fault);

/* history_page, in the encoding that the page will be sent in. */
enum err history_page_as(struct reader *r, const struct history_query *q, enum encoding encoding, struct page **out,
			 struct fault *fault);

/* How many events in (after, before) pass `select`. Events in the log are counted in the index, unless conditions on
 * payloads decide; those in archives are read; lost events do not count. */
enum err history_count(struct reader *r, struct selection *select, uint64_t after, uint64_t before, uint64_t *count,
		       struct fault *fault);

/* May events after `after` that pass `select` (NULL: all) have been lost? False is certain. */
bool history_may_miss(struct store *s, struct selection *select, uint64_t after);

/* The lowest seq in (after, before) that was lost; 0: none was (archives may be missing). */
uint64_t history_removed(struct reader *r, uint64_t after, uint64_t before);

/* The first seq of the archive that has `seq`, or of the missing one that should have it; `seq` is not in the log. A
 * backward read that cannot read this archive continues below its first seq. */
uint64_t history_part(struct reader *r, uint64_t seq);

/* Bytes of the database that are in use: the file does not shrink when events are evicted, but is filled again. */
enum err history_used(struct reader *r, uint64_t *bytes, struct fault *fault);

/* *seq: the last event whose time is before `time_ms`; 0: there is none. If archives are missing, the last event that may
 * be. */
enum err history_seek_time(struct reader *r, int64_t time_ms, uint64_t *seq, struct fault *fault);
/* *after: the position before the events of that time or later. If archives are missing that may have such events, it is
 * before them, so that a reader reports them. */
enum err history_seek_since(struct reader *r, int64_t time_ms, uint64_t *after, struct fault *fault);

struct history_verified {
	uint64_t events; /* verified events, before the first fault */
	/* Names of tables whose structure SQLite could not check, because a server wrote too much meanwhile; empty: none. */
	char skipped[160];
};

/* Checks everything in the store. `progress` (may be NULL) is called regularly, and not in read transactions while the log
 * is checked. The first fault is in `fault`. ERR_BUSY: another process has written to the store since it was opened; open it
 * again. */
enum err history_verify(struct reader *r, void (*progress)(void *arg, uint64_t done, uint64_t all), void *arg,
			struct history_verified *out, struct fault *fault);

#endif
