#include "store/transfer/restore.h"
#include "store/open/lineage_rows.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/data/checksum.h"
#include "store/log/store_internal.h"
#include "store/sqlite/db.h"
#include "json/json.h"

enum err restore_adopt(struct store *s, const struct lineage *lineage, uint64_t last, struct fault *fault)
{
	struct lineage saved = {0};
	enum err err = lineage_rows_save_copy(s->db, lineage, last, fault);
	if (!err)
		err = lineage_rows_load(s->db, &saved, fault);
	if (err)
		return err;
	lineage_finish(&s->lineage);
	s->lineage = saved;
	return ERR_NONE;
}

/* The log of an empty store begins elsewhere. */
static enum err begin_at(struct store *s, uint64_t first, struct fault *fault)
{
	struct index_tail *t = index_tail_create(first - 1, s->options.index_every);
	if (t == NULL)
		return fault_nomem(fault);
	index_tail_destroy(s->tail);
	s->tail = t;
	store_set_head(s, first - 1);
	store_set_log_first(s, first);
	return ERR_NONE;
}

enum err restore_in_bulk(struct store *s, struct fault *fault)
{
	return db_exec(s->db, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-65536", fault);
}

enum err restore_begin(struct store *s, uint64_t first, struct fault *fault)
{
	enum err err = db_exec(s->db, "BEGIN IMMEDIATE", fault);
	if (!err && s->head == 0)
		err = begin_at(s, first, fault);
	return err;
}

enum err restore_flush(struct store *s, struct fault *fault)
{
	enum err err = index_tail_flush(s->tail, s->db, s->catalog, fault);
	if (!err)
		index_tail_flushed(s->tail);
	return err;
}

enum err restore_event(struct store *s, const struct event *e, uint64_t seq, int64_t time_ms, struct fault *fault)
{
	uint32_t topic;
	if (seq != s->head + 1)
		return fault_set(fault, ERR_CORRUPT, "event %" PRIu64 " follows event %" PRIu64, seq, s->head);
	assert(index_tail_upto(s->tail) <= s->head && s->log_first <= s->head + 1);
	s->next_seq = seq;
	s->time_ms = time_ms;
	enum err err = store_topic_of(s, e, &topic, fault);
	if (!err)
		err = store_insert(s, e, topic, fault);
	if (!err && (index_tail_reserve(s->tail, 1) != ERR_NONE ||
		     (e->id.len > 0 && index_tail_add_key(s->tail, id_key_of(e->stream, e->id), seq) != ERR_NONE)))
		err = fault_nomem(fault);
	if (err)
		return err;
	catalog_commit(s->catalog);
	catalog_lock(s->catalog);
	catalog_count(s->catalog, topic, seq, e->data.len);
	catalog_unlock(s->catalog);
	index_tail_lock(s->tail);
	index_tail_add(s->tail, topic, false);
	index_tail_unlock(s->tail);
	store_set_head(s, seq);
	s->last_time_ms = time_ms;
	return index_tail_is_due(s->tail) ? restore_flush(s, fault) : ERR_NONE;
}

enum err restore_decode(const struct envelope *e, struct restored_names *names, struct event *out, struct fault *fault)
{
	const struct slice raw[3] = {e->stream, e->type, e->id};
	struct slice plain[3];
	for (int i = 0; i < 3; i++)
		if (!envelope_name(raw[i], names->bytes[i], &plain[i]) || (i < 2 && plain[i].len == 0))
			return fault_set(fault, ERR_CORRUPT, "event %" PRIu64 " has a name that no event can have: %.*s",
					 e->seq, (int)(raw[i].len < 60 ? raw[i].len : 60), raw[i].p);
	*out = (struct event){plain[0], plain[1], plain[2], e->data};
	return ERR_NONE;
}

enum err restore_envelope(struct store *s, const struct envelope *e, int64_t time_ms, struct fault *fault)
{
	struct restored_names names;
	struct event event;
	enum err err = restore_decode(e, &names, &event, fault);
	return err ? err : restore_event(s, &event, e->seq, time_ms, fault);
}

/* An older event is going to be the first of its topic: the one that is, if it is in the log, was not posted. */
static enum err post_first(struct store *s, uint32_t topic, uint64_t older, struct fault *fault)
{
	struct figures f;
	catalog_topic_figures(s->catalog, topic, &f);
	if (f.first <= older || f.first < store_log_first(s) || f.first > index_tail_upto(s->tail))
		return ERR_NONE;
	return postings_add(s->db, topic, f.first, fault);
}

enum err restore_archived(struct store *s, const struct envelope *e, struct fault *fault)
{
	struct restored_names names;
	struct event event;
	uint32_t topic;
	enum err err = restore_decode(e, &names, &event, fault);
	if (!err)
		err = store_topic_of(s, &event, &topic, fault);
	if (!err)
		err = post_first(s, topic, e->seq, fault);
	if (err)
		return err;
	catalog_commit(s->catalog);
	catalog_lock(s->catalog);
	catalog_count(s->catalog, topic, e->seq, e->data.len);
	catalog_unlock(s->catalog);
	return ERR_NONE;
}

enum err restore_is(struct store *s, const struct envelope *e, int64_t time_ms, bool *same, struct fault *fault)
{
	struct restored_names names;
	struct event event;
	*same = false;
	enum err err = restore_decode(e, &names, &event, fault);
	if (err)
		return err;
	sqlite3_stmt *st = s->statements[S_EVENT_ROW];
	sqlite3_bind_int64(st, 1, (sqlite3_int64)e->seq);
	int rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		struct slice id = {(const char *)sqlite3_column_text(st, 2), (size_t)sqlite3_column_bytes(st, 2)};
		struct slice data = {(const char *)sqlite3_column_text(st, 3), (size_t)sqlite3_column_bytes(st, 3)};
		struct topic topic = store_topic(s, sqlite3_column_int64(st, 1));
		*same = topic.stream.p != NULL && sqlite3_column_int64(st, 0) == time_ms &&
			slice_eq(topic.stream, event.stream) && slice_eq(topic.type, event.type) && slice_eq(id, event.id) &&
			slice_eq(data, event.data);
	} else if (rc != SQLITE_DONE) {
		err = db_fault(s->db, rc, "comparing an event", fault);
	}
	sqlite3_reset(st);
	return err;
}

void restore_abandon(struct store *s)
{
	store_close_db(s);
}

enum err restore_commit(struct store *s, struct fault *fault)
{
	/* All figures, also of topics that only archives have. */
	enum err err = restore_flush(s, fault);
	if (!err)
		err = index_tail_write_figures(s->db, s->catalog, fault);
	return err ? err : db_exec(s->db, "COMMIT", fault);
}
