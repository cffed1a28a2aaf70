/* The virtual tables `incoming` and `incoming_topic`, from whose rows one statement inserts many events or topics. It keeps
 * its position in the B-tree, which a statement for each event would have to find again (docs/decisions/0008-speed.md, and
 * for topics 0025-names.md). */
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

/* Makes the two tables. A statement reads the rows as they are when it begins. Both structures outlive the connection. */
enum err insert_vtab_register(sqlite3 *db, struct insert_rows *events, struct insert_rows *topics, struct fault *fault);

#endif
