/* Finding stored events by id, and the last seq of a stream. */

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/data/checksum.h"
#include "base/kind.h"
#include "store/log/store_internal.h"
#include "store/sqlite/db.h"

static bool is_same(const struct store *s, uint32_t topic, struct slice id, const struct event *e)
{
	return slice_eq(id, e->id) && slice_eq(catalog_topic(s->catalog, topic).stream, e->stream);
}

/* Is `seq` really the event with this stream and id? Events of the current batch are in s->rows, not in the log yet. */
static enum err confirm(struct store *s, uint64_t seq, const struct event *e, bool *same, struct fault *fault)
{
	if (seq >= s->next_seq) {
		uint64_t i = seq - s->next_seq;
		*same = i < s->incoming.count && is_same(s, s->rows[i].topic, s->rows[i].id, e);
		return ERR_NONE;
	}
	sqlite3_stmt *st = s->statements[S_EVENT];
	sqlite3_bind_int64(st, 1, (sqlite3_int64)seq);
	int rc = sqlite3_step(st);
	*same = false;
	enum err err = ERR_NONE;
	if (rc == SQLITE_ROW) {
		uint32_t topic = (uint32_t)sqlite3_column_int64(st, 0);
		struct slice id = {(const char *)sqlite3_column_text(st, 1), (size_t)sqlite3_column_bytes(st, 1)};
		*same = is_same(s, topic, id, e);
	} else if (rc != SQLITE_DONE) {
		err = db_fault(s->db, rc, "comparing an id", fault);
	}
	sqlite3_reset(st);
	return err;
}

struct id_key store_id_key(const struct event *e)
{
	return e->id.len > 0 ? id_key_of(e->stream, e->id) : (struct id_key){0};
}

enum err store_find_recent(struct store *s, const struct event *e, struct id_key key, uint64_t *seq, struct fault *fault)
{
	bool same = false;
	enum err err = ERR_NONE;
	*seq = 0;
	for (unsigned k = 0; !err && !same && index_tail_key(s->tail, key, k, seq); k++)
		err = confirm(s, *seq, e, &same, fault);
	if (!same)
		*seq = 0;
	return err;
}

static enum err too_many_same_keys(struct fault *fault)
{
	return fault_set(fault, ERR_INVALID, "id: %d other ids in the store have the same hash; choose another",
			 STORE_SAME_KEYS);
}

/* The same in the index on disk. The number of comparisons is bounded: with many ids of the same key they would take
 * minutes. */
static enum err find_on_disk(struct store *s, const struct event *e, struct id_key key, uint64_t *seq, struct fault *fault)
{
	bool same = false;
	enum err err = ERR_NONE;
	int rc = SQLITE_ROW;
	sqlite3_stmt *st = s->statements[S_KEY];
	sqlite3_bind_int64(st, 1, key.disk);
	for (int others = 0; !err && !same && (rc = sqlite3_step(st)) == SQLITE_ROW; others++) {
		*seq = (uint64_t)sqlite3_column_int64(st, 0);
		err = others == STORE_SAME_KEYS ? too_many_same_keys(fault) : confirm(s, *seq, e, &same, fault);
	}
	if (rc != SQLITE_ROW && rc != SQLITE_DONE && !err)
		err = db_fault(s->db, rc, "looking for an id", fault);
	sqlite3_reset(st);
	if (!same)
		*seq = 0;
	return err;
}

enum err store_find_id(struct store *s, const struct event *e, struct id_key key, uint64_t *seq, struct fault *fault)
{
	*seq = 0;
	if (e->id.len == 0)
		return ERR_NONE;
	enum err err = store_find_recent(s, e, key, seq, fault);
	if (!err && *seq == 0)
		err = find_on_disk(s, e, key, seq, fault);
	return err || *seq != 0 ? err : store_find_expired_id(s, e, key.disk, seq, fault);
}

enum err store_find_expired_id(struct store *s, const struct event *e, int64_t key, uint64_t *seq, struct fault *fault)
{
	*seq = 0;
	if (s->expired_ids == 0)
		return ERR_NONE;
	sqlite3_int64 tag = checksum_tag(e->stream, e->id);
	sqlite3_stmt *st = s->statements[S_EXPIRED_FIND];
	sqlite3_bind_int64(st, 1, key);
	enum err err = ERR_NONE;
	int rc = SQLITE_ROW;
	for (int others = 0; !err && *seq == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW; others++) {
		if (sqlite3_column_int64(st, 1) == tag)
			*seq = (uint64_t)sqlite3_column_int64(st, 0);
		else if (others == STORE_SAME_KEYS)
			err = too_many_same_keys(fault);
	}
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		err = db_fault(s->db, rc, "looking for an id", fault);
	sqlite3_reset(st);
	return err;
}

/* The remembered last seq of a stream that has lost events; 0: none is. */
static enum err remembered_last(struct store *s, struct slice stream, uint64_t *last, struct fault *fault)
{
	sqlite3_stmt *st = s->statements[S_LAST_FIND];
	store_bind(st, 1, stream);
	int rc = sqlite3_step(st);
	*last = rc == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(st, 0) : 0;
	enum err err = rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_NONE
							     : db_fault(s->db, rc, "looking for a stream's last seq", fault);
	sqlite3_reset(st);
	return err;
}

/* The last seq of a stream, including the open transaction; 0: the stream is new. *known: that is certain. */
static enum err last_of_stream(struct store *s, struct slice stream, uint64_t *last, bool *known, struct fault *fault)
{
	uint64_t remembered;
	*known = true;
	*last = catalog_open_last(s->catalog, stream);
	if (*last > s->head)
		return ERR_NONE;
	*last = catalog_stream_last(s->catalog, stream);
	/* An event in the log is newer than any that was evicted. */
	if (*last >= s->log_first)
		return ERR_NONE;
	enum err err = remembered_last(s, stream, &remembered, fault);
	*last = remembered > *last ? remembered : *last;
	*known = s->last_unknown == 0 || *last > s->last_unknown;
	return err;
}

static enum err refuse_expectation(const struct store *s, uint64_t expected, uint64_t last, bool known, struct fault *fault)
{
	if (known)
		fault_set(fault, ERR_CONFLICT, "the stream's last seq is %" PRIu64 ", not %" PRIu64, last, expected);
	else
		fault_set(fault, ERR_CONFLICT,
			  "the stream's last seq is not known: it has no event after %" PRIu64
			  ", and what was there before was not "
			  "restored (--accept-loss: such a stream is new)",
			  s->last_unknown);
	if (fault != NULL) {
		fault->compared = true;
		fault->expected = expected;
		fault->actual = last;
		fault->actual_unknown = !known;
	}
	return fault_kind(fault, ERR_CONFLICT, KIND_EXPECTATION);
}

/* A retry, whose events are all stored already, is not checked. */
enum err store_check_expectation(struct store *s, const struct batch *batch, uint64_t expected, struct fault *fault)
{
	assert(batch_count(batch) > 0);
	struct slice stream = batch_event(batch, 0)->stream;
	bool all_stored = true;
	for (size_t i = 0; i < batch_count(batch); i++) {
		const struct event *e = batch_event(batch, i);
		uint64_t seq = 0;
		if (!slice_eq(e->stream, stream))
			return fault_set(fault, ERR_INVALID, "expect needs events of one stream, and there are several");
		enum err err = all_stored ? store_find_id(s, e, store_id_key(e), &seq, fault) : ERR_NONE;
		if (err)
			return err;
		all_stored = all_stored && seq != 0;
	}
	uint64_t last;
	bool known;
	enum err err = last_of_stream(s, stream, &last, &known, fault);
	if (err || all_stored || (known && last == expected))
		return err;
	return refuse_expectation(s, expected, last, known, fault);
}
