/* Postings: which seqs belong to a topic, as the index tail has written them. A row of the table `posting` belongs to a
 * topic and a window, the range of seqs that one flush covered; windows do not overlap.
 *
 * The first event of a topic need not be in its rows: its figures have it (`first`), and a search uses both. So a million
 * topics with one event each need no rows. Code that replaces a `first` which is still in the log must add that to the rows
 * (postings_add). Retention need not: the old `first` is evicted, and the new one is in the rows. */
#ifndef STORE_INDEX_POSTINGS_H
#define STORE_INDEX_POSTINGS_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "store/index/catalog.h"
#include "store/index/selection.h"

/* A range of seqs, and how to search it. */
struct seq_query {
	uint64_t after;  /* exclusive */
	uint64_t before; /* exclusive */
	bool descending;
	uint32_t max;
};

struct seq_list {
	uint64_t *seqs; /* the caller's, with space for query.max */
	uint32_t count;
};

/* The statements of a search; owned by one thread at a time. */
struct postings {
	sqlite3 *db;
	struct catalog *catalog;
	sqlite3_stmt *up;   /* (topic, bound) -> the first window at or above it */
	sqlite3_stmt *down; /* (topic, bound) -> the last window below it */
	sqlite3_stmt *read; /* (topic, window) -> seqs */
};

/* `p` is zeroed; `db` and `catalog` are borrowed, and `db` has no open transaction during a search. */
enum err postings_open(struct postings *p, sqlite3 *db, struct catalog *catalog, struct fault *fault);
void postings_close(struct postings *p);

/* Appends the seqs that match, up to query.max in all, in the order asked for. */
enum err postings_find(struct postings *p, struct selection *s, struct seq_query query, struct seq_list *found,
		       struct fault *fault);

/* Adds the oldest seq of a topic in the log, which is at most indexed_upto, to the rows of the topic unless they have it. In
 * the caller's transaction. */
enum err postings_add(sqlite3 *db, uint32_t topic, uint64_t seq, struct fault *fault);

/* Adds one seq to the bytes of a row; `before` is the one before it, 0 for the first. */
void postings_encode(struct buf *out, uint64_t before, uint64_t seq);
/* Decodes the bytes of a row; calls back in ascending order. False: they are damaged. */
bool postings_decode(const void *blob, size_t len, uint64_t window, void (*each)(void *arg, uint64_t seq), void *arg);

#endif
