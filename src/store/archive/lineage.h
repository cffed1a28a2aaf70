/* The lines of history of a store, or of a part of it, oldest first. Owned by one thread. */
#ifndef STORE_ARCHIVE_LINEAGE_H
#define STORE_ARCHIVE_LINEAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum { LINE_EPOCH_LEN = 16 };

/* Consecutive seqs, from `first` to `last`. */
struct seq_range {
	uint64_t first;
	uint64_t last;
};

/* A line of history: a range of events that was written by one store. A store begins a line when it is made, and a copy when
 * it is opened for writing, since its next events may differ from those of the original. */
struct line {
	uint64_t first; /* its first event */
	char epoch[LINE_EPOCH_LEN + 1];
};

struct lineage {
	struct line *lines;
	uint32_t count;
};

void lineage_finish(struct lineage *l);
bool lineage_copy(struct lineage *out, const struct line *lines, uint32_t count);

/* Adds one at the end; false: no memory. */
bool lineage_append(struct lineage *l, const struct line *line);

/* [{"epoch":"…","first":…},…] */
void lineage_write(struct buf *out, const struct line *lines, uint32_t count);
/* *end: the last seq of the line of that name; UINT64_MAX: it is the last line. False: there is no such line. */
bool lineage_end(const struct lineage *l, const char *epoch, uint64_t *end);
/* The lines that events `first` to `last` are on: the index of the first of them, and how many. */
uint32_t lineage_span(const struct lineage *l, uint64_t first, uint64_t last, uint32_t *count);
/* Are events `first` to `last` on just these lines? */
bool lineage_is(const struct lineage *l, uint64_t first, uint64_t last, const struct line *lines, uint32_t count);
/* Adds the lines of these events. Events up to `head` are known here: up to there the lines must be the same,
 * else *same is false and nothing changes. ERR_NOMEM. */
enum err lineage_join(struct lineage *l, uint64_t head, struct seq_range events, const struct line *lines, uint32_t count,
		      bool *same);

/* Inserts a line in order. *same is false if another line begins with that event. ERR_NOMEM. */
enum err lineage_insert(struct lineage *l, const struct line *line, bool *same);

#endif
