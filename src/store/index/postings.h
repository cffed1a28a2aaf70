/* Which seqs belong to a topic, as the trailing index has written them: rows of the table `posting`, one for each topic and
 * window. A window is the range of seqs that one flush covered; windows do not overlap.
 *
 * The first event of a topic need not be in its rows: its figures say it (`first`), and a search takes both together. So a
 * million topics of one event each need no rows. What takes the place of a `first` that is still in the log has to put that
 * into the rows (postings_add): retention does not, since what it moves `first` on from is gone, and what it moves it to has
 * not been the first and is in the rows. */
#ifndef STORE_INDEX_POSTINGS_H
#define STORE_INDEX_POSTINGS_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "store/index/catalog.h"
#include "store/index/selection.h"

/* What is looked for. */
struct seq_query {
	uint64_t after;  /* exclusive */
	uint64_t before; /* exclusive */
	bool descending;
	uint32_t max;
};

/* The statements of a search; owned by one thread at a time. */
struct postings {
	sqlite3 *db;
	sqlite3_stmt *up;   /* (topic, bound) -> the first window at or above it */
	sqlite3_stmt *down; /* (topic, bound) -> the last window below it */
	sqlite3_stmt *read; /* (topic, window) -> seqs */
};

/* `p` is zeroed; `db` is borrowed, without an open transaction whenever something is searched. */
enum err postings_open(struct postings *p, sqlite3 *db, struct fault *fault);
void postings_close(struct postings *p);

/* Appends the seqs that match to seqs[*count…), up to query.max in all, in the order asked for. */
enum err postings_find(struct postings *p, struct selection *s, struct catalog *catalog, struct seq_query query,
		       uint64_t *seqs, uint32_t *count, struct fault *fault);

/* Puts the oldest seq of a topic in the log, which is not past the mark of the index, into the rows of the topic, unless it
 * is there. In the caller's transaction. */
enum err postings_add(sqlite3 *db, uint32_t topic, uint64_t seq, struct fault *fault);

/* Adds one seq to the bytes of a row; `before` is the one before it, 0 for the first. */
void postings_encode(struct buf *out, uint64_t before, uint64_t seq);
/* Decodes the bytes of a row; calls back in ascending order. False when they are not one. */
bool postings_decode(const void *blob, size_t len, uint64_t window, void (*each)(void *arg, uint64_t seq), void *arg);

#endif
