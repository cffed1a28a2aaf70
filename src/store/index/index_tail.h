/* The index tail. Secondary indexes would cost more than half of the insert rate, so the index entries of the newest events
 * are kept in memory, and written in large pieces behind the head:
 *
 *     seq 1 ………… indexed_upto    │ indexed_upto + 1 ………… head
 *     posting and id_key rows    │ topic numbers and id keys in memory
 *
 * The memory is rebuilt from the events after indexed_upto when the store opens.
 *
 * Threads: one writer; index_tail_find from any thread, with its own postings. */
#ifndef STORE_INDEX_INDEX_TAIL_H
#define STORE_INDEX_INDEX_TAIL_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "store/index/catalog.h"
#include "store/index/postings.h"
#include "store/index/selection.h"

struct index_tail;

enum { INDEX_TAIL_FLUSH = 16384 }; /* events; docs/decisions/0002-trailing-index.md has the figures */

/* The hashes by which an id of a stream is found: a fixed one on disk, for which clients can make collisions, and a keyed
 * one in memory. */
struct id_key {
	int64_t disk;
	uint64_t memory;
};

struct id_key id_key_of(struct slice stream, struct slice id);

/* A flush is due when the tail has `every` events; 0: INDEX_TAIL_FLUSH. NULL: no memory. */
struct index_tail *index_tail_create(uint64_t indexed_upto, uint32_t every);
void index_tail_destroy(struct index_tail *t);

/* --- the writer --- */

/* The id keys of events that are being stored, ascending by seq. A key may be that of another event: callers compare the
 * event's id. ERR_NOMEM. */
enum err index_tail_add_key(struct index_tail *t, struct id_key key, uint64_t seq);
size_t index_tail_keys(const struct index_tail *t);
void index_tail_forget_keys(struct index_tail *t, size_t keep);
/* The k-th (from 0) seq in memory with this key's `memory`; false when there are no more. */
bool index_tail_key(const struct index_tail *t, struct id_key key, unsigned k, uint64_t *seq);
/* Entries looked at when each key is found once (map_steps), for tests. */
uint64_t index_tail_steps(const struct index_tail *t);

/* Makes room for `n` more events, so that index_tail_add cannot fail after a commit. ERR_NOMEM. */
enum err index_tail_reserve(struct index_tail *t, size_t n);
/* Committed events, in order. Between lock and unlock. */
void index_tail_lock(struct index_tail *t);
/* `in_row`: it is the first event of a new topic, whose row was stored with the figures of this event. */
void index_tail_add(struct index_tail *t, uint32_t topic, bool in_row);
void index_tail_unlock(struct index_tail *t);

/* The first event of a topic that is in memory; 0 where there is none. */
uint64_t index_tail_first(const struct index_tail *t, uint32_t topic);
/* Slots looked at when the first event of each topic is found once, for tests. */
uint64_t index_tail_first_steps(const struct index_tail *t);
bool index_tail_is_due(const struct index_tail *t);
bool index_tail_is_overdue(const struct index_tail *t); /* by four times as much */
uint64_t index_tail_upto(const struct index_tail *t);
/* The last event that it has. */
uint64_t index_tail_end(const struct index_tail *t);
bool index_tail_lags(const struct index_tail *t); /* anything at all is not in the tables yet */
/* Writes the events in memory, the keys of events that the same transaction stores, and the figures of the topics concerned,
 * as far as their rows do not have them. In the caller's transaction. */
enum err index_tail_flush(struct index_tail *t, sqlite3 *db, struct catalog *catalog, struct fault *fault);
/* Writes the figures of all topics, inside the caller's transaction. */
enum err index_tail_write_figures(sqlite3 *db, struct catalog *catalog, struct fault *fault);
/* The figures of a topic up to indexed_upto, from its row: first, last, count and bytes, from `column` on. 0 for a topic
 * whose first event is after indexed_upto: its row counts that event only, and events after indexed_upto are counted from
 * the log. */
struct figures index_tail_figures(sqlite3_stmt *row, int column, uint64_t indexed_upto);
/* After that transaction was committed: forgets what it wrote. */
void index_tail_flushed(struct index_tail *t);
/* After a commit whose outcome was unknown: `indexed_upto` is what the database says. False: it is neither the value from
 * before the flush nor the one after it. */
bool index_tail_agree(struct index_tail *t, uint64_t indexed_upto);

/* --- readers --- */

/* The seqs that match, at most query.max, in the order asked for. Fewer mean that there are no more. */
enum err index_tail_find(struct index_tail *t, struct postings *p, struct selection *s, struct seq_query query,
			 struct seq_list *found, struct fault *fault);

#endif
