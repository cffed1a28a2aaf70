/* What one statement inserts into the log: a virtual table named `incoming`, whose rows are events that the caller has put
 * together. A statement for a thousand events keeps its place in the log, which a thousand statements look for anew each
 * time (docs/decisions/0008-speed.md). */
#ifndef STORE_INCOMING_H
#define STORE_INCOMING_H

#include <sqlite3.h>
#include <stdint.h>

#include "tidemark/err.h"
#include "tidemark/slice.h"

/* A row of `event`. The texts are borrowed. */
struct incoming_row {
	uint64_t seq;
	int64_t time_ms;
	uint32_t topic;
	int32_t sum;
	struct slice id; /* empty: NULL */
	struct slice data;
};

struct incoming {
	const struct incoming_row *rows;
	size_t count;
};

/* Makes the rows of `in`, as they are whenever a statement begins to read them, a table of the connection. `in` outlives it.
 */
enum err incoming_register(sqlite3 *db, struct incoming *in, struct fault *fault);

#endif
