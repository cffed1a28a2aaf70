/* What leaves the log: the oldest events, once they are in an archive or nobody wants them any more. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/data/checksum.h"
#include "base/system/log.h"
#include "store/archives/lost_ranges.h"
#include "store/log/store_internal.h"
#include "store/sqlite/db.h"

/* An event that leaves, as far as the figures and the indexes care. */
struct leaving {
	uint32_t topic;
	uint64_t bytes;
	uint64_t seq;
	int64_t time_ms;
};

static int by_topic(const void *a, const void *b)
{
	const struct leaving *x = a;
	const struct leaving *y = b;
	return x->topic < y->topic ? -1 : x->topic > y->topic;
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
			err = store_same_keys(fault);
	}
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		err = db_fault(s->db, rc, "looking for an id", fault);
	sqlite3_reset(st);
	return err;
}

/* Its id is remembered without it. */
enum err store_remember(struct store *s, uint64_t seq, struct slice stream, struct slice id, struct fault *fault)
{
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

/* Reads what leaves, and moves its ids. */
static enum err take_out(struct store *s, uint64_t upto, struct leaving *out, size_t *count, struct fault *fault)
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
			err = fault_set(fault, ERR_CORRUPT, "event %llu names a topic that does not exist",
					(unsigned long long)seq);
		else if (id.len > 0)
			err = store_remember(s, seq, stream, id, fault);
		out[(*count)++] = (struct leaving){(uint32_t)topic, (uint64_t)sqlite3_column_int64(st, 3), seq,
						   sqlite3_column_int64(st, 4)};
	}
	if (!err && rc != SQLITE_DONE)
		err = db_fault(s->db, rc, "reading what leaves the log", fault);
	sqlite3_reset(st);
	return err;
}

/* --- the figures of what is gone for good --- */

/* The first seq of a topic past `end`; 0 where there is none. */
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

/* What leaves of one topic. */
struct share {
	uint32_t topic;
	uint64_t count;
	uint64_t bytes;
	uint64_t last;
};

/* The last seq of a stream outlives its last event in a topic. */
static enum err remember_last(struct store *s, uint32_t topic, uint64_t last, struct fault *fault)
{
	store_bind(s->statements[S_LAST_PUT], 1, catalog_topic(s->catalog, topic).stream);
	sqlite3_bind_int64(s->statements[S_LAST_PUT], 2, (sqlite3_int64)last);
	return store_run(s, S_LAST_PUT, "remembering a stream's last seq", fault);
}

/* Takes a topic's share off its figures. The table says what was true at the mark of the trailing index. */
static enum err reduce(struct store *s, const struct share *share, struct lost_range range, struct fault *fault)
{
	struct figures f;
	uint32_t topic = share->topic;
	catalog_topic_figures(s->catalog, topic, &f);
	uint64_t last = f.last > share->last ? f.last : share->last;
	f.count -= share->count;
	f.bytes -= share->bytes;
	f.lost = share->last;
	/* What is below the log is in an archive, and stays the first. */
	enum err err = f.first < range.first ? ERR_NONE : find_first(s, topic, range.last, &f.first, fault);
	if (!err && f.count == 0)
		err = remember_last(s, topic, last, fault);
	if (err)
		return err;
	f.last = f.count > 0 ? f.last : 0;
	s->reduced[s->reduced_count++] = (struct reduced){topic, f};
	catalog_note_gone(s->catalog, topic, f.lost);
	sqlite3_stmt *st = s->statements[S_TOPIC_REDUCE];
	sqlite3_bind_int64(st, 1, (sqlite3_int64)share->count);
	sqlite3_bind_int64(st, 2, (sqlite3_int64)share->bytes);
	sqlite3_bind_int64(st, 3, (sqlite3_int64)f.first);
	sqlite3_bind_int64(st, 4, topic);
	sqlite3_bind_int64(st, 5, (sqlite3_int64)f.lost);
	return store_run(s, S_TOPIC_REDUCE, "updating a topic", fault);
}

static enum err reduce_all(struct store *s, struct leaving *leaving, size_t count, struct lost_range range,
			   struct fault *fault)
{
	if (s->reduced == NULL)
		s->reduced = malloc(EVICT_MAX * sizeof *s->reduced);
	if (s->reduced == NULL)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	qsort(leaving, count, sizeof *leaving, by_topic);
	enum err err = ERR_NONE;
	for (size_t i = 0; !err && i < count;) {
		struct share share = {.topic = leaving[i].topic};
		for (; i < count && leaving[i].topic == share.topic; i++) {
			share.count++;
			share.bytes += leaving[i].bytes;
			share.last = leaving[i].seq > share.last ? leaving[i].seq : share.last;
		}
		err = reduce(s, &share, range, fault);
	}
	return err;
}

/* --- topics without events --- */

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static enum err removed_room(struct store *s, size_t count, struct fault *fault)
{
	if (count <= s->removed_cap)
		return ERR_NONE;
	uint32_t *removed = realloc(s->removed, count * sizeof *removed);
	if (removed == NULL)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	s->removed = removed;
	s->removed_cap = count;
	return ERR_NONE;
}

/* Those that have lost all events, and those that are new and were given none. Ascending. */
static enum err find_empty(struct store *s, struct fault *fault)
{
	uint32_t end = catalog_end(s->catalog);
	uint32_t unused = s->unused_topics ? catalog_all_end(s->catalog) - end : 0;
	enum err err = removed_room(s, s->reduced_count + unused, fault);
	if (err)
		return err;
	for (size_t i = 0; i < s->reduced_count; i++) /* they are ascending, too */
		if (s->reduced[i].figures.count == 0)
			s->removed[s->removed_count++] = s->reduced[i].topic;
	for (uint32_t i = 0; i < unused; i++)
		s->removed[s->removed_count++] = end + i;
	return ERR_NONE;
}

/* Those that get events by this very transaction stay. */
static void keep_pending(struct store *s)
{
	for (size_t i = 0; s->removed_count > 0 && i < s->pending_count; i++) {
		uint32_t topic = s->pending[i].topic;
		uint32_t *found = bsearch(&topic, s->removed, s->removed_count, sizeof topic, by_number);
		if (found != NULL)
			memmove(found, found + 1, (size_t)(s->removed + --s->removed_count - found) * sizeof *found);
	}
}

static enum err remove_topic(struct store *s, uint32_t topic, struct fault *fault)
{
	struct figures f;
	struct topic t = catalog_topic(s->catalog, topic);
	catalog_topic_figures(s->catalog, topic, &f);
	sqlite3_bind_int64(s->statements[S_TOPIC_DELETE], 1, topic);
	enum err err = store_run(s, S_TOPIC_DELETE, "removing a topic", fault);
	if (err || f.lost == 0)
		return err;
	if (forgotten_add(&s->forgotten, t.stream, t.type, f.lost) != ERR_NONE)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	sqlite3_bind_int64(s->statements[S_FORGOTTEN_PUT], 1, (sqlite3_int64)f.lost);
	store_bind(s->statements[S_FORGOTTEN_PUT], 2, t.stream);
	store_bind(s->statements[S_FORGOTTEN_PUT], 3, t.type);
	return store_run(s, S_FORGOTTEN_PUT, "noting a topic that is forgotten", fault);
}

/* Of those that are too many it is only known that there were some. */
static enum err drop_forgotten(struct store *s, struct fault *fault)
{
	uint64_t excess = forgotten_excess(&s->forgotten);
	if (excess == 0)
		return ERR_NONE;
	sqlite3_bind_int64(s->statements[S_FORGOTTEN_DROP], 1, (sqlite3_int64)excess);
	sqlite3_bind_int64(s->statements[S_LOST_UNKNOWN], 1, (sqlite3_int64)excess);
	enum err err = store_run(s, S_FORGOTTEN_DROP, "dropping forgotten topics", fault);
	return err ? err : store_run(s, S_LOST_UNKNOWN, "noting what is gone", fault);
}

static enum err remove_all(struct store *s, struct fault *fault)
{
	enum err err = ERR_NONE;
	for (size_t i = 0; !err && i < s->removed_count; i++)
		err = remove_topic(s, s->removed[i], fault);
	if (err || s->removed_count == 0)
		return err;
	sqlite3_bind_int64(s->statements[S_TOPICS_END], 1, catalog_all_end(s->catalog));
	err = store_run(s, S_TOPICS_END, "noting how many topics there were", fault);
	return err ? err : drop_forgotten(s, fault);
}

enum err store_remove_topics(struct store *s, struct fault *fault)
{
	if (s->reduced_count == 0 && !s->unused_topics)
		return ERR_NONE;
	enum err err = find_empty(s, fault);
	if (err)
		return err;
	keep_pending(s);
	return remove_all(s, fault);
}

enum err store_remove_unused(struct store *s, struct fault *fault)
{
	struct figures f;
	struct committed *none;
	enum err err = store_begin(s, fault);
	for (uint32_t i = 0; !err && catalog_next(s->catalog, &i); i++) {
		catalog_topic_figures(s->catalog, i, &f);
		if (f.count == 0 && (err = removed_room(s, s->removed_count + 1, fault)) == ERR_NONE)
			s->removed[s->removed_count++] = i;
	}
	if (!err)
		err = remove_all(s, fault);
	if (err) {
		store_rollback(s);
		s->removed_count = 0;
		log_warn("topics without events stay", "reason=\"%s\"", fault->text);
		return ERR_NONE;
	}
	return store_commit(s, &none, fault);
}

void store_forget_topics(struct store *s)
{
	uint64_t excess = s->removed_count > 0 ? forgotten_excess(&s->forgotten) : 0;
	for (size_t i = 0; i < s->removed_count; i++) {
		if (catalog_topic(s->catalog, s->removed[i]).stream.p == NULL)
			continue; /* new in a transaction that turned out to be made */
		uint64_t owner = catalog_forget(s->catalog, s->removed[i]);
		if (s->options.on_forgotten != NULL)
			s->options.on_forgotten(s->options.arg, owner);
	}
	s->removed_count = 0;
	if (excess == 0)
		return;
	if (excess > atomic_load(&s->unknown)) /* before they are dropped: readers look here last */
		atomic_store(&s->unknown, excess);
	forgotten_drop(&s->forgotten, excess);
}

/* --- leaving --- */

enum err store_note_chain(struct store *s, uint64_t seq, const char *chain, struct fault *fault)
{
	char text[SHA256_TEXT_LEN + 32];
	int n = snprintf(text, sizeof text, "%llu:%s", (unsigned long long)seq, chain != NULL ? chain : "");
	store_bind(s->statements[S_CHAIN], 1, (struct slice){text, (size_t)n});
	return store_run(s, S_CHAIN, "noting the chain", fault);
}

enum err store_evict(struct store *s, uint64_t upto, uint64_t chain_seq, const char *chain, uint64_t *left,
		     struct fault *fault)
{
	enum err err = store_begin(s, fault);
	*left = s->log_first - 1;
	/* Once in a transaction: figures are worked out from those before it. */
	if (err || s->log_first > upto || s->log_first != s->log_first_before)
		return err;
	uint64_t mark = index_tail_upto(s->tail);
	uint64_t end = upto < s->head ? upto : s->head - 1;
	if (end > mark) {
		s->flush_wanted = true;
		end = mark;
	}
	end = end - s->log_first + 1 > EVICT_MAX && end >= s->log_first ? s->log_first + EVICT_MAX - 1 : end;
	if (end < s->log_first)
		return ERR_NONE;
	struct leaving *leaving = malloc(EVICT_MAX * sizeof *leaving);
	size_t count = 0;
	if (leaving == NULL)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	uint64_t begin = s->log_first;
	struct lost_ranges_last newest = {end, 0};
	err = take_out(s, end, leaving, &count, fault);
	if (!err && count > 0)
		newest.time_ms = leaving[count - 1].time_ms;
	if (!err && chain == NULL)
		err = reduce_all(s, leaving, count, (struct lost_range){begin, end}, fault);
	/* Readers go to the archive from here on, before the events are gone; where there is none, it is known by now whose
	 * they were. */
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
	free(leaving);
	if (!err)
		*left = end;
	return err;
}
