#include "store/repair/verify_event.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/data/checksum.h"
#include "base/system/path.h"
#include "store/sqlite/db.h"
#include "store/sqlite/store_files.h"

static struct slice text_of(sqlite3_stmt *st, int column)
{
	const char *text = (const char *)sqlite3_column_text(st, column);
	return (struct slice){text, (size_t)sqlite3_column_bytes(st, column)};
}

/* An event whose topic cannot be read is not known to be wrong. */
static bool is_damaged(sqlite3_stmt *st)
{
	struct slice id = text_of(st, 3);
	struct slice data = text_of(st, 4);
	struct slice stream = text_of(st, 6);
	struct slice type = text_of(st, 7);
	if (stream.p == NULL || type.p == NULL)
		return false;
	int32_t sum = checksum_event((uint64_t)sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1),
				     checksum_names(stream, type), id, data);
	return data.p == NULL || sum != (int32_t)sqlite3_column_int64(st, 5);
}

/* 0: none that can be read. */
static uint64_t first_damaged(sqlite3 *db)
{
	sqlite3_stmt *st = NULL;
	uint64_t found = 0;
	static const char sql[] = "SELECT e.seq, e.time, e.topic, e.id, e.data, e.sum, t.stream, t.type FROM event e "
				  "LEFT JOIN topic t ON t.id = e.topic ORDER BY e.seq";
	if (db_prepare(db, sql, &st, NULL) != ERR_NONE)
		return 0;
	while (found == 0 && sqlite3_step(st) == SQLITE_ROW)
		if (is_damaged(st))
			found = (uint64_t)sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return found;
}

void verify_name_event(const char *dir, struct fault *fault)
{
	char path[PATH_MAX];
	char where[64];
	sqlite3 *db;
	store_files_db(dir, path);
	bool named = strncmp(fault->text, "event ", strlen("event ")) == 0;
	bool elsewhere = strstr(fault->text, STORE_FILES_DB) == NULL && strstr(fault->text, "database") == NULL;
	if (named || elsewhere || db_open_inspect(path, &db, NULL) != ERR_NONE)
		return;
	db_trust_pages(db);
	uint64_t seq = first_damaged(db);
	db_close(db);
	snprintf(where, sizeof where, "event %" PRIu64 " is damaged", seq);
	if (seq != 0)
		fault_in(fault, where, ERR_CORRUPT);
}
