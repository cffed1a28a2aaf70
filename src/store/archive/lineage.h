/* The lines of history of a store, or of a part of it, oldest first (schema/005_line.sql). Owned by one thread. */
#ifndef STORE_ARCHIVE_LINEAGE_H
#define STORE_ARCHIVE_LINEAGE_H

#include <sqlite3.h>

#include "base/buf.h"
#include "store/log/store.h"

struct lineage {
	struct line *lines;
	uint32_t count;
};

/* Of an open store, for as long as it is. */
const struct lineage *store_lineage(const struct store *s);

void lineage_finish(struct lineage *l);
bool lineage_copy(struct lineage *out, const struct line *lines, uint32_t count);

/* Reads them; none in a database that was just made. ERR_CORRUPT. */
enum err lineage_load(sqlite3 *db, struct lineage *out, struct fault *fault);
/* Those that begin at or before `last` become those of a copy: whoever opens it for writing next, other than to go on
 * copying, begins a line of its own. In a transaction, which ends where it fails, or not. */
enum err lineage_save_copy(sqlite3 *db, const struct lineage *l, uint64_t last, struct fault *fault);
/* Begins one with event `first`, in the database and here: it takes the place of one that has no events yet. */
enum err lineage_begin(sqlite3 *db, struct lineage *l, uint64_t first, struct fault *fault);
/* Is the next event not sure to follow what was delivered before? So it is in a copy that nobody has written to, and where
 * the machine went down under a server that did not wait for the disk. */
enum err lineage_in_doubt(sqlite3 *db, bool *doubt, struct fault *fault);
/* A server that does not wait for the disk begins (`relaxed`), or ends, or one that does begins. */
enum err lineage_note_relaxed(sqlite3 *db, bool relaxed, struct fault *fault);

/* [{"epoch":"…","first":…},…] */
void lineage_write(struct buf *out, const struct line *lines, uint32_t count);
/* The last seq of the line of that name, UINT64_MAX where no other follows. False: there is no such line. */
bool lineage_end(const struct lineage *l, const char *epoch, uint64_t *end);
/* The lines that events `first` to `last` are on: the index of the first of them, and how many. */
uint32_t lineage_span(const struct lineage *l, uint64_t first, uint64_t last, uint32_t *count);
/* Are events `first` to `last` on just these lines? */
bool lineage_is(const struct lineage *l, uint64_t first, uint64_t last, const struct line *lines, uint32_t count);
/* Takes in the lines of events `first` to `last`, of which those up to `head` are known here, and the one before them is:
 * they are the same as far as they are known, and go on from there. *same is false where they are not, and nothing changes.
 * ERR_NOMEM. */
enum err lineage_join(struct lineage *l, uint64_t head, uint64_t first, uint64_t last, const struct line *lines,
		      uint32_t count, bool *same);

/* Takes one in, wherever it belongs. *same is false where another line begins with that event. ERR_NOMEM. */
enum err lineage_insert(struct lineage *l, const struct line *line, bool *same);

#endif
