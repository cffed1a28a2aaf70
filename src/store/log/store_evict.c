/* Evicting the oldest events from the log, once they are in an archive or may be discarded. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/data/checksum.h"
#include "base/system/log.h"
#include "store/archives/lost_ranges.h"
#include "store/log/store_internal.h"
#include "store/sqlite/db.h"

/* An event that is being evicted, as far as figures and indexes are concerned. */
struct evicted {
	uint32_t topic;
	uint64_t bytes;
	uint64_t seq;
	int64_t time_ms;
};

static int by_topic(const void *a, const void *b)
{
	const struct evicted *x = a;
	const struct evicted *y = b;
	return x->topic < y->topic ? -1 : x->topic > y->topic;
}

enum err store_remember(struct store *s, uint64_t seq, struct slice stream, struct slice id, struct fault *fault)
{
	assert(id.len > 0); /* events without an id are not remembered */
	int64_t key = checksum_key(stream, id);
	sqlite3_stmt *put = s->statements[S_EXPIRED_PUT];
	sqlite3_stmt *drop = s->statements[S_KEY_DELETE];
	sqlite3_bind_int64(put, 1, (sqlite3_int64)seq);
	sqlite3_bind_int64(put, 2, key);
	sqlite3_bind_int64(put, 3, checksum_tag(stream, id));
	sqlite3_bind_int64(drop, 1, key);
	sqlite3_bind_int64(drop, 2, (sqlite3_int64)seq);
	enum err err = store_run(s, S_EXPIRED_PUT, "remembering an id", fault);
	if (!err)
		err = store_run(s, S_KEY_DELETE, "removing an id key", fault);
	s->expired_ids += !err;
	return err;
}

static enum err forget_oldest_ids(struct store *s, struct fault *fault)
{
	if (s->expired_ids <= EVICTED_IDS_MAX)
		return ERR_NONE;
	sqlite3_bind_int64(s->statements[S_EXPIRED_DROP], 1, (sqlite3_int64)(s->expired_ids - EVICTED_IDS_MAX));
	enum err err = store_run(s, S_EXPIRED_DROP, "forgetting the oldest ids", fault);
	if (!err)
		s->expired_ids = EVICTED_IDS_MAX;
	return err;
}

/* Reads the events to evict, and moves their ids to the expired ids. */
static enum err read_evicted(struct store *s, uint64_t upto, struct evicted *out, size_t *count, struct fault *fault)
{
	sqlite3_stmt *st = s->statements[S_EVICTING];
	sqlite3_bind_int64(st, 1, (sqlite3_int64)upto);
	enum err err = ERR_NONE;
	int rc;
	*count = 0;
	while (!err && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		uint64_t seq = (uint64_t)sqlite3_column_int64(st, 0);
		sqlite3_int64 topic = sqlite3_column_int64(st, 1);
		struct slice stream = store_topic(s, topic).stream;
		struct slice id = {(const char *)sqlite3_column_text(st, 2), (size_t)sqlite3_column_bytes(st, 2)};
		assert(*count < EVICT_MAX);
		if (stream.p == NULL)
			err = fault_set(fault, ERR_CORRUPT, "event %" PRIu64 " names a topic that does not exist", seq);
		else if (id.len > 0)
			err = store_remember(s, seq, stream, id, fault);
		out[(*count)++] = (struct evicted){(uint32_t)topic, (uint64_t)sqlite3_column_int64(st, 3), seq,
						   sqlite3_column_int64(st, 4)};
	}
	if (!err && rc != SQLITE_DONE)
		err = db_fault(s->db, rc, "reading the events to evict", fault);
	sqlite3_reset(st);
	return err;
}

/* --- the figures of lost events --- */

/* The first seq of a topic after `end`; 0: there is none. */
struct first_after {
	uint64_t end;
	uint64_t seq;
};

static void on_posted(void *arg, uint64_t seq)
{
	struct first_after *f = arg;
	if (f->seq == 0 && seq > f->end)
		f->seq = seq;
}

static enum err find_first(struct store *s, uint32_t topic, uint64_t end, uint64_t *seq, struct fault *fault)
{
	struct first_after f = {end, 0};
	sqlite3_stmt *st = s->statements[S_POSTING_NEXT];
	sqlite3_bind_int64(st, 1, topic);
	sqlite3_bind_int64(st, 2, (sqlite3_int64)end);
	enum err err = ERR_NONE;
	int rc = SQLITE_DONE;
	while (!err && f.seq == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW)
		if (!postings_decode(sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1),
				     (uint64_t)sqlite3_column_int64(st, 0), on_posted, &f))
			err = fault_set(fault, ERR_CORRUPT, "a posting of topic %u is damaged", topic);
	if (!err && rc != SQLITE_ROW && rc != SQLITE_DONE)
		err = db_fault(s->db, rc, "reading postings", fault);
	sqlite3_reset(st);
	*seq = f.seq != 0 ? f.seq : index_tail_first(s->tail, topic);
	return err;
}

/* The lost events of one topic. */
struct loss {
	uint32_t topic;
	uint64_t count;
	uint64_t bytes;
	uint64_t last;
};

/* The last seq of a stream is kept after its last event of a topic was lost. */
static enum err remember_last(struct store *s, uint32_t topic, uint64_t last, struct fault *fault)
{
	store_bind(s->statements[S_LAST_PUT], 1, catalog_topic(s->catalog, topic).stream);
	sqlite3_bind_int64(s->statements[S_LAST_PUT], 2, (sqlite3_int64)last);
	return store_run(s, S_LAST_PUT, "remembering a stream's last seq", fault);
}

/* Subtracts the lost events from the figures of their topic, in memory and in its row, which counts up to indexed_upto. */
static enum err reduce(struct store *s, const struct loss *loss, struct lost_range range, struct fault *fault)
{
	struct figures f;
	uint32_t topic = loss->topic;
	assert(loss->count > 0 && loss->last != 0);
	assert(s->reduced_count < EVICT_MAX && (s->reduced_count == 0 || s->reduced[s->reduced_count - 1].topic < topic));
	catalog_topic_figures(s->catalog, topic, &f);
	uint64_t last = f.last > loss->last ? f.last : loss->last;
	f.count -= loss->count;
	f.bytes -= loss->bytes;
	f.lost = loss->last;
	/* A first event below the log is in an archive, and stays the first. */
	enum err err = f.first < range.first ? ERR_NONE : find_first(s, topic, range.last, &f.first, fault);
	if (!err && f.count == 0)
		err = remember_last(s, topic, last, fault);
	if (err)
		return err;
	f.last = f.count > 0 ? f.last : 0;
	s->reduced[s->reduced_count++] = (struct reduced){topic, f};
	catalog_note_lost(s->catalog, topic, f.lost);
	sqlite3_stmt *st = s->statements[S_TOPIC_REDUCE];
	sqlite3_bind_int64(st, 1, (sqlite3_int64)loss->count);
	sqlite3_bind_int64(st, 2, (sqlite3_int64)loss->bytes);
	sqlite3_bind_int64(st, 3, (sqlite3_int64)f.first);
	sqlite3_bind_int64(st, 4, topic);
	sqlite3_bind_int64(st, 5, (sqlite3_int64)f.lost);
	return store_run(s, S_TOPIC_REDUCE, "updating a topic", fault);
}

static enum err reduce_all(struct store *s, struct evicted *evicted, size_t count, struct lost_range range,
			   struct fault *fault)
{
	assert(range.first <= range.last && count <= EVICT_MAX && s->reduced_count == 0);
	if (s->reduced == NULL)
		s->reduced = malloc(EVICT_MAX * sizeof *s->reduced);
	if (s->reduced == NULL)
		return fault_nomem(fault);
	qsort(evicted, count, sizeof *evicted, by_topic);
	enum err err = ERR_NONE;
	for (size_t i = 0; !err && i < count;) {
		struct loss loss = {.topic = evicted[i].topic};
		for (; i < count && evicted[i].topic == loss.topic; i++) {
			loss.count++;
			loss.bytes += evicted[i].bytes;
			loss.last = evicted[i].seq > loss.last ? evicted[i].seq : loss.last;
		}
		err = reduce(s, &loss, range, fault);
	}
	return err;
}

enum err store_remove_unused(struct store *s, struct fault *fault)
{
	struct figures f;
	struct committed *none;
	enum err err = store_begin(s, fault);
	for (uint32_t i = 0; !err && catalog_next(s->catalog, &i); i++) {
		catalog_topic_figures(s->catalog, i, &f);
		if (f.count == 0 && (err = store_removed_room(s, s->removed_count + 1, fault)) == ERR_NONE)
			s->removed[s->removed_count++] = i;
	}
	if (!err)
		err = store_remove_all(s, fault);
	if (err) {
		store_rollback(s);
		s->removed_count = 0;
		log_warn("topics without events stay", "reason=\"%s\"", fault->text);
		return ERR_NONE;
	}
	return store_commit(s, &none, fault);
}

enum err store_note_chain(struct store *s, uint64_t seq, const char *chain, struct fault *fault)
{
	char text[SHA256_TEXT_LEN + 32];
	int n = snprintf(text, sizeof text, "%" PRIu64 ":%s", seq, chain != NULL ? chain : "");
	store_bind(s->statements[S_CHAIN], 1, (struct slice){text, (size_t)n});
	return store_run(s, S_CHAIN, "noting the chain", fault);
}

enum err store_evict(struct store *s, uint64_t upto, uint64_t chain_seq, const char *chain, uint64_t *evicted_upto,
		     struct fault *fault)
{
	enum err err = store_begin(s, fault);
	*evicted_upto = s->log_first - 1;
	/* Once in a transaction, since figures are computed from those before it. */
	if (err || s->log_first > upto || s->log_first != s->log_first_before)
		return err;
	uint64_t indexed_upto = index_tail_upto(s->tail);
	uint64_t end = upto < s->head ? upto : s->head - 1;
	if (end > indexed_upto) {
		s->flush_wanted = true;
		end = indexed_upto;
	}
	end = end - s->log_first + 1 > EVICT_MAX && end >= s->log_first ? s->log_first + EVICT_MAX - 1 : end;
	if (end < s->log_first)
		return ERR_NONE;
	assert(end < s->head && end <= indexed_upto && end - s->log_first < EVICT_MAX);
	assert(chain == NULL || chain_seq >= end);
	struct evicted *evicted = malloc(EVICT_MAX * sizeof *evicted);
	size_t count = 0;
	if (evicted == NULL)
		return fault_nomem(fault);
	uint64_t begin = s->log_first;
	struct lost_ranges_last newest = {end, 0};
	err = read_evicted(s, end, evicted, &count, fault);
	if (!err && count > 0)
		newest.time_ms = evicted[count - 1].time_ms;
	if (!err && chain == NULL)
		err = reduce_all(s, evicted, count, (struct lost_range){begin, end}, fault);
	/* From here on readers go to the archive, before the events are deleted. Without one, the lost events of each topic
	 * are recorded by now. */
	if (!err && chain == NULL)
		store_set_lost(s, newest);
	if (!err)
		store_set_log_first(s, end + 1);
	if (!err && chain == NULL)
		err = lost_ranges_add(s->db, begin, end, true, fault);
	if (!err && chain == NULL)
		err = lost_ranges_last_put(s->db, newest, fault);
	if (!err) {
		sqlite3_bind_int64(s->statements[S_POSTING_EVICT], 1, (sqlite3_int64)end);
		err = store_run(s, S_POSTING_EVICT, "removing postings", fault);
	}
	if (!err) {
		sqlite3_bind_int64(s->statements[S_EVICT], 1, (sqlite3_int64)end);
		err = store_run(s, S_EVICT, "removing events", fault);
	}
	if (!err)
		err = store_note_chain(s, chain_seq, chain, fault);
	if (!err && chain != NULL)
		archive_set_follow(s->archives, chain_seq, chain);
	if (!err)
		err = forget_oldest_ids(s, fault);
	free(evicted);
	if (!err)
		*evicted_upto = end;
	return err;
}
