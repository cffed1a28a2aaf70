/* Reads the rows of `topic`. Where there are many of them a thread of its own does so, while the caller takes those that
 * were read before into the catalog. */
#ifndef STORE_OPEN_TOPIC_ROWS_H
#define STORE_OPEN_TOPIC_ROWS_H

#include <sqlite3.h>
#include <stdint.h>

#include "event/event.h"
#include "store/index/catalog.h"

/* Rows with their names. */
struct topic_rows {
	uint32_t count;
	struct topic_row rows[CATALOG_LOAD_MAX];
	char names[CATALOG_LOAD_MAX][2 * EVENT_NAME_MAX];
};

struct topic_reader;

/* The topics with numbers from `first` on, ascending; `mark` is that of the trailing index. Until topic_reader_destroy the
 * connection is its own. *last is the highest number there is, where there is any. */
enum err topic_reader_create(sqlite3 *db, uint32_t first, uint64_t mark, struct topic_reader **out, uint32_t *last,
			     struct fault *fault);
/* The next ones, which are valid until the next call; NULL: there are no more. */
enum err topic_reader_next(struct topic_reader *r, const struct topic_rows **out, struct fault *fault);
void topic_reader_destroy(struct topic_reader *r);

#endif
