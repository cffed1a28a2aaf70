/* Finding events by their time. */
#include <assert.h>

#include "store/read/history.h"

#include "store/read/reader.h"
#include "store/sqlite/db.h"

/* The time of an event; INT64_MIN: retention has evicted it. */
static enum err time_of(struct reader *r, uint64_t seq, int64_t *time_ms, struct fault *fault)
{
	sqlite3_stmt *st = r->statements[R_TIME];
	sqlite3_bind_int64(st, 1, (sqlite3_int64)seq);
	int rc = sqlite3_step(st);
	*time_ms = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : INT64_MIN;
	sqlite3_reset(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_NONE : db_fault(r->db, rc, "reading a time", fault);
}

/* Bisects: events up to `low` are before time_ms, events after `high` are not. Evicted events have no time, and count as
 * before. */
static enum err seek_in_log(struct reader *r, uint64_t log_first, int64_t time_ms, uint64_t *seq, struct fault *fault)
{
	uint64_t low = log_first - 1;
	uint64_t high = store_head(r->store);
	while (low < high) {
		uint64_t middle = low + (high - low + 1) / 2;
		int64_t at;
		enum err err = time_of(r, middle, &at, fault);
		if (err) {
			store_note_damage(r->store, fault);
			return err;
		}
		if (at < time_ms)
			low = middle;
		else
			high = middle - 1;
	}
	*seq = low;
	return ERR_NONE;
}

/* The last seq that may be before a time, and the last that certainly is. */
struct sought {
	uint64_t seq;
	uint64_t sure;
};

/* *again: retention has evicted events meanwhile, and the one sought may be in an archive now. */
static enum err seek_time(struct reader *r, int64_t time_ms, struct sought *out, bool *again, struct fault *fault)
{
	struct manifest m;
	uint64_t log_first = store_log_first(r->store);
	*again = false;
	/* Time never decreases with seq, hence also from archive to archive, and from them to the log. */
	while (archive_set_find_time(store_archives(r->store), time_ms, log_first, &m, &out->sure) && m.first < log_first) {
		enum err err = archive_source_seek_time(r->archives, &m, time_ms, &out->seq, fault);
		if (!err && out->seq >= m.first)
			out->sure = out->seq;
		if (err != ERR_GONE) /* after ERR_GONE the set has dropped the archive */
			return err;
	}
	enum err err = seek_in_log(r, log_first, time_ms, &out->seq, fault);
	if (!err && out->seq >= log_first)
		out->sure = out->seq;
	return err ? err : reader_check_overtaken(r, log_first - 1, again, fault);
}

/* Lowers `sure` where events below it were lost: they may have been at or after the time. */
static void doubt_lost(struct reader *r, int64_t time_ms, struct sought *s)
{
	assert(s->sure <= s->seq);
	uint64_t there = store_previous(r->store, s->sure + 1);
	uint64_t lost = store_lost_before(r->store, time_ms);
	if (there < s->sure)
		s->sure = lost < there ? there : lost < s->sure ? lost : s->sure;
}

static enum err seek(struct reader *r, int64_t time_ms, struct sought *out, struct fault *fault)
{
	bool again = true;
	enum err err = ERR_NONE;
	while (!err && again)
		err = seek_time(r, time_ms, out, &again, fault);
	if (!err)
		doubt_lost(r, time_ms, out);
	return err;
}

enum err history_seek_time(struct reader *r, int64_t time_ms, uint64_t *seq, struct fault *fault)
{
	struct sought found;
	enum err err = seek(r, time_ms, &found, fault);
	*seq = err ? 0 : found.seq;
	return err;
}

enum err history_seek_since(struct reader *r, int64_t time_ms, uint64_t *after, struct fault *fault)
{
	struct sought found;
	enum err err = seek(r, time_ms, &found, fault);
	*after = err ? 0 : found.sure;
	return err;
}
