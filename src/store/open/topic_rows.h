/* Reads the rows of the table topic. If there are many, a thread reads them while the caller adds earlier ones to the
 * catalog. */
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

/* Reads the topics with numbers from `first` on, ascending; `indexed_upto` is that of the index tail. The connection must
 * not be used otherwise until topic_reader_destroy. *last: the highest number, 0 where there is none. */
enum err topic_reader_create(sqlite3 *db, uint32_t first, uint64_t indexed_upto, struct topic_reader **out, uint32_t *last,
			     struct fault *fault);
/* *out: the next rows, valid until the next call; NULL: there are no more. */
enum err topic_reader_next(struct topic_reader *r, const struct topic_rows **out, struct fault *fault);
void topic_reader_destroy(struct topic_reader *r);

#endif
