/* What one statement inserts: virtual tables named `incoming` and `insert_topic`, whose rows the caller has put together.
 * A statement for a thousand events keeps its place in the log, which a thousand statements look for anew each time
 * (docs/decisions/0008-speed.md); the same goes for new names (0025-names.md). */
#ifndef STORE_SQLITE_INSERT_VTAB_H
#define STORE_SQLITE_INSERT_VTAB_H

#include <sqlite3.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

/* A row of `event`. The texts are borrowed. */
struct insert_row {
	uint64_t seq;
	int64_t time_ms;
	uint32_t topic;
	int32_t sum;
	struct slice id; /* empty: NULL */
	struct slice data;
};

/* A row of `topic`. The names are borrowed. */
struct insert_topic {
	uint32_t topic;
	uint32_t bytes; /* of its first event */
	uint64_t first; /* 0: it has no event yet */
	struct slice stream;
	struct slice type;
};

/* Rows of one of the two. */
struct insert_rows {
	const void *rows;
	size_t count;
};

/* Makes the rows of each, as they are whenever a statement begins to read them, a table of the connection, which both
 * outlive. */
enum err insert_vtab_register(sqlite3 *db, struct insert_rows *events, struct insert_rows *topics, struct fault *fault);

#endif
