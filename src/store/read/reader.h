/* The inside of a reader, shared by history and verify. */
#ifndef STORE_READ_READER_H
#define STORE_READ_READER_H

#include <sqlite3.h>

#include "base/system/clock.h"
#include "event/encoding.h"
#include "store/log/store_internal.h"
#include "store/read/archive_source.h"
#include "store/read/history.h"

enum reader_statement { R_UP, R_DOWN, R_ONE, R_TIME, READER_STATEMENTS };

struct reader {
	struct store *store;
	sqlite3 *db;
	sqlite3_stmt *statements[READER_STATEMENTS];
	struct postings postings;
	struct archive_source *archives;
	int64_t text_ms; /* the time that `text` shows */
	char text[CLOCK_TEXT_LEN];
};

/* One row of the log. The slices are valid until the statement is stepped or reset, the names until catalog_leave. */
struct row {
	uint64_t seq;
	int64_t time_ms;
	uint32_t topic;
	struct topic names; /* looked up once: retention may forget the topic while the row is read */
	struct slice id;
	struct slice data;
};

/* *overtaken: retention has evicted events while the log was read from `after` on: it must be read again. */
enum err reader_check_overtaken(struct reader *r, uint64_t after, bool *overtaken, struct fault *fault);
/* Reads (seq, time, topic, id, data, sum), and verifies the sum. ERR_CORRUPT. */
enum err reader_row(struct reader *r, sqlite3_stmt *st, struct row *row, struct fault *fault);

#endif
