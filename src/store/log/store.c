#include "store/log/store.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/data/checksum.h"
#include "base/kind.h"
#include "store/log/store_internal.h"
#include "store/sqlite/db.h"

void receipt_finish(struct receipt *r)
{
	free(r->seqs);
	r->seqs = NULL;
}

/* --- the open transaction --- */

enum err store_run(struct store *s, enum statement which, const char *what, struct fault *fault)
{
	int rc = sqlite3_step(s->statements[which]);
	enum err err = rc == SQLITE_DONE || rc == SQLITE_ROW ? ERR_NONE : db_fault(s->db, rc, what, fault);
	sqlite3_reset(s->statements[which]);
	return err;
}

void store_bind(sqlite3_stmt *st, int at, struct slice text)
{
	sqlite3_bind_text(st, at, text.p, (int)text.len, SQLITE_STATIC);
}

enum err store_check_clock(const struct store *s, struct fault *fault)
{
	if (clock_wall_ms() <= CLOCK_MAX_MS && s->last_time_ms <= CLOCK_MAX_MS)
		return ERR_NONE;
	return fault_set(fault, ERR_IO, "the clock of this machine is past the year 9999, which no event can have: set it");
}

/* The time is that of the commit and never behind an earlier one. */
enum err store_begin(struct store *s, struct fault *fault)
{
	if (s->open)
		return ERR_NONE;
	if (s->db == NULL)
		return fault_set(fault, ERR_IO, "the store could not be opened again yet");
	enum err err = store_files_check(&s->files, fault);
	if (!err)
		err = store_check_clock(s, fault);
	if (!err)
		err = store_run(s, S_BEGIN, "opening a transaction", fault);
	/* Nothing that was asked for is to blame: the next one would wait as long, and as much in vain. */
	if (err == ERR_BUSY)
		err = fault_set(fault, ERR_IO, "another program has locked %s", s->path);
	if (err)
		return err;
	int64_t now = clock_wall_ms();
	s->open = true;
	s->next_seq = s->head + 1;
	s->time_ms = now > s->last_time_ms ? now : s->last_time_ms;
	clock_format(s->time_ms, s->time_text);
	s->keys_before = index_tail_keys(s->tail);
	s->log_first_before = s->log_first;
	s->expired_before = s->expired_ids;
	s->reduced_count = 0;
	s->removed_count = 0;
	s->unused_topics = false;
	s->pending_count = 0;
	s->new_topic_count = 0;
	s->new_topics_stored = 0;
	return ERR_NONE;
}

void store_forget_pages(struct store *s)
{
	page_builder_destroy(s->builder);
	s->builder = NULL;
	committed_destroy(s->committed);
	s->committed = NULL;
}

void store_rollback(struct store *s)
{
	if (!s->open)
		return;
	s->open = false;
	if (s->db != NULL)
		db_rollback(s->db);
	index_tail_forget_keys(s->tail, s->keys_before);
	store_set_log_first(s, s->log_first_before);
	s->expired_ids = s->expired_before;
	for (size_t i = 0; i < s->pending_count; i++)
		catalog_set_open_last(s->catalog, s->pending[i].topic, 0);
	catalog_rollback(s->catalog);
	store_forget_pages(s);
}

static bool is_same(const struct store *s, uint32_t topic, struct slice id, const struct event *e)
{
	return slice_eq(id, e->id) && slice_eq(catalog_topic(s->catalog, topic).stream, e->stream);
}

/* Is `seq` really the event with this stream and id? Those that are rows so far are not in the log yet. */
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

static struct id_key id_key(const struct event *e)
{
	return e->id.len > 0 ? id_key_of(e->stream, e->id) : (struct id_key){0};
}

/* The seq of the event with this stream and id that the index does not have on disk yet, 0 where there is none. */
static enum err find_in_memory(struct store *s, const struct event *e, struct id_key key, uint64_t *seq, struct fault *fault)
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

/* The same of those that it has. Comparing with many that have the same key would take the thread for minutes. */
static enum err find_on_disk(struct store *s, const struct event *e, struct id_key key, uint64_t *seq, struct fault *fault)
{
	bool same = false;
	enum err err = ERR_NONE;
	int rc = SQLITE_ROW;
	sqlite3_stmt *st = s->statements[S_KEY];
	sqlite3_bind_int64(st, 1, key.disk);
	for (int others = 0; !err && !same && (rc = sqlite3_step(st)) == SQLITE_ROW; others++) {
		*seq = (uint64_t)sqlite3_column_int64(st, 0);
		err = others == STORE_SAME_KEYS ? store_same_keys(fault) : confirm(s, *seq, e, &same, fault);
	}
	if (rc != SQLITE_ROW && rc != SQLITE_DONE && !err)
		err = db_fault(s->db, rc, "looking for an id", fault);
	sqlite3_reset(st);
	if (!same)
		*seq = 0;
	return err;
}

enum err store_same_keys(struct fault *fault)
{
	return fault_set(fault, ERR_INVALID, "id: %d other ids in the store have the same hash; choose another",
			 STORE_SAME_KEYS);
}

/* The seq of the stored event with this stream and id, 0 where there is none. */
static enum err find_id(struct store *s, const struct event *e, struct id_key key, uint64_t *seq, struct fault *fault)
{
	*seq = 0;
	if (e->id.len == 0)
		return ERR_NONE;
	enum err err = find_in_memory(s, e, key, seq, fault);
	if (!err && *seq == 0)
		err = find_on_disk(s, e, key, seq, fault);
	return err || *seq != 0 ? err : store_find_expired_id(s, e, key.disk, seq, fault);
}

/* What is remembered of a stream's last seq without its events; 0 where there is nothing. */
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

/* The last seq of a stream, with what the open transaction has added to it; 0: it is new. *known: it is certain. */
static enum err last_of_stream(struct store *s, struct slice stream, uint64_t *last, bool *known, struct fault *fault)
{
	uint64_t remembered;
	*known = true;
	*last = catalog_open_last(s->catalog, stream);
	if (*last > s->head)
		return ERR_NONE;
	*last = catalog_stream_last(s->catalog, stream);
	/* What is in the log is newer than anything that has left it. */
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
		fault_set(fault, ERR_CONFLICT, "the stream's last seq is %llu, not %llu", (unsigned long long)last,
			  (unsigned long long)expected);
	else
		fault_set(
			fault, ERR_CONFLICT,
			"the stream's last seq is not known: it has no event after %llu, and what was there before was not "
			"restored (--accept-loss: such a stream is new)",
			(unsigned long long)s->last_unknown);
	if (fault != NULL) {
		fault->compared = true;
		fault->expected = expected;
		fault->actual = last;
		fault->actual_unknown = !known;
	}
	return fault_kind(fault, ERR_CONFLICT, KIND_EXPECTATION);
}

/* Does the caller's expectation hold? A retry whose events are all stored already has nothing left to expect. */
static enum err check_expectation(struct store *s, const struct batch *batch, uint64_t expected, struct fault *fault)
{
	struct slice stream = batch_event(batch, 0)->stream;
	bool all_stored = true;
	for (size_t i = 0; i < batch_count(batch); i++) {
		const struct event *e = batch_event(batch, i);
		uint64_t seq = 0;
		if (!slice_eq(e->stream, stream))
			return fault_set(fault, ERR_INVALID, "expect goes with one stream, and there are several");
		enum err err = all_stored ? find_id(s, e, id_key(e), &seq, fault) : ERR_NONE;
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

struct topic store_topic(const struct store *s, int64_t number)
{
	return number >= 0 && number < UINT32_MAX ? catalog_topic(s->catalog, (uint32_t)number) : (struct topic){0};
}

static enum err intern(struct store *s, const struct topic_wanted *wanted, uint32_t *topic, bool *is_new,
		       struct fault *fault)
{
	enum err err = catalog_intern(s->catalog, wanted, topic, is_new);
	if (err == ERR_RATE)
		return fault_set(fault, err, "too many topics (pairs of stream and type) are new");
	if (err == ERR_BUSY)
		return fault_set(fault, err, "the store has %d topics (pairs of stream and type), the limit",
				 CATALOG_TOPICS_MAX);
	return err ? fault_set(fault, err, "out of memory") : ERR_NONE;
}

enum err store_topic_of(struct store *s, const struct event *e, uint32_t *topic, struct fault *fault)
{
	bool is_new;
	struct topic_wanted wanted = {e->stream, e->type, catalog_hashes(e->stream, e->type), 0, NULL};
	enum err err = intern(s, &wanted, topic, &is_new, fault);
	if (err || !is_new)
		return err;
	sqlite3_bind_int64(s->statements[S_TOPIC], 1, *topic);
	store_bind(s->statements[S_TOPIC], 2, e->stream);
	store_bind(s->statements[S_TOPIC], 3, e->type);
	return store_run(s, S_TOPIC, "storing a topic", fault);
}

/* Notes a topic that is new, until its events are known. */
static enum err note_topic(struct store *s, uint32_t topic, struct fault *fault)
{
	if (s->new_topic_count == s->new_topic_cap) {
		size_t cap = s->new_topic_cap ? s->new_topic_cap * 2 : 64;
		struct insert_topic *topics = realloc(s->new_topics, cap * sizeof *topics);
		if (topics == NULL)
			return fault_set(fault, ERR_NOMEM, "out of memory");
		s->new_topics = topics;
		s->new_topic_cap = cap;
	}
	struct topic t = catalog_topic(s->catalog, topic);
	s->new_topics[s->new_topic_count++] = (struct insert_topic){.topic = topic, .stream = t.stream, .type = t.type};
	return ERR_NONE;
}

/* Would SQLite number these by itself as they are? In an empty table it would begin with 1. */
static bool topics_follow(struct store *s, const struct insert_topic *topics, size_t count)
{
	sqlite3_stmt *st = s->statements[S_TOPIC_LAST];
	for (size_t i = 1; i < count; i++)
		if (topics[i].topic != topics[0].topic + i)
			return false;
	bool follow = sqlite3_step(st) == SQLITE_ROW && sqlite3_column_type(st, 0) != SQLITE_NULL &&
		      sqlite3_column_int64(st, 0) + 1 == topics[0].topic;
	sqlite3_reset(st);
	return follow;
}

/* Stores the rows of topics that are new, each with the figures of its first event (see index_tail_figures). Without numbers
 * of their own they need not be looked up. */
static enum err insert_topics(struct store *s, struct fault *fault)
{
	const struct insert_topic *topics = s->new_topics + s->new_topics_stored;
	size_t count = s->new_topic_count - s->new_topics_stored;
	if (count == 0)
		return ERR_NONE;
	bool follow = count > 1 && topics_follow(s, topics, count);
	s->new_topics_left = (struct insert_rows){topics, count};
	enum err err = store_run(s, follow ? S_TOPICS_APPEND : S_TOPICS, "storing topics", fault);
	s->new_topics_left = (struct insert_rows){0};
	s->new_topics_stored = s->new_topic_count;
	return err;
}

static struct insert_row make_row(const struct store *s, const struct event *e, uint32_t topic, uint64_t seq)
{
	return (struct insert_row){
		.seq = seq,
		.time_ms = s->time_ms,
		.topic = topic,
		.sum = checksum_event(seq, s->time_ms, catalog_topic(s->catalog, topic).hash, e->id, e->data),
		.id = e->id,
		.data = e->data,
	};
}

enum err store_insert(struct store *s, const struct event *e, uint32_t topic, struct fault *fault)
{
	s->rows[0] = make_row(s, e, topic, s->next_seq);
	s->incoming.count = 1;
	enum err err = store_run(s, S_INSERT, "storing an event", fault);
	s->incoming.count = 0;
	return err;
}

/* Ends the page under construction. */
enum err store_end_page(struct store *s)
{
	if (s->builder == NULL)
		return ERR_NONE;
	struct page *page = page_builder_take(s->builder, s->next_seq - 1);
	s->builder = NULL;
	if (s->committed == NULL)
		s->committed = committed_create();
	if (s->committed != NULL)
		return committed_add_take(s->committed, page);
	page_unref(page);
	return ERR_NOMEM;
}

/* Frames the event for the feed and notes it for the figures. */
enum err store_frame(struct store *s, struct slice id, struct slice data, uint32_t topic)
{
	if (s->builder == NULL)
		s->builder = page_builder_create(ENCODING_WS, store_epoch(s), s->next_seq - 1, 0);
	if (s->builder == NULL)
		return ERR_NOMEM;
	if (s->pending_count == s->pending_cap) {
		size_t cap = s->pending_cap ? s->pending_cap * 2 : 1024;
		struct pending *pending = realloc(s->pending, cap * sizeof *pending);
		if (pending == NULL)
			return ERR_NOMEM;
		s->pending = pending;
		s->pending_cap = cap;
	}
	struct encoding_event w = {s->next_seq, s->time_text, catalog_topic(s->catalog, topic).json, id, data};
	enum err err = page_builder_add(s->builder, &w, s->time_ms, topic);
	if (err)
		return err;
	s->pending[s->pending_count++] = (struct pending){.topic = topic, .bytes = (uint32_t)data.len};
	catalog_set_open_last(s->catalog, topic, s->next_seq);
	s->next_seq++;
	return page_builder_bytes(s->builder) >= COMMITTED_PAGE_BYTES ? store_end_page(s) : ERR_NONE;
}

/* Counts an event into the receipt; seqs are listed from the first duplicate on. */
static enum err note(struct receipt *r, size_t index, size_t count, uint64_t seq, bool duplicate, uint64_t first_seq,
		     struct fault *fault)
{
	if (duplicate && r->seqs == NULL) {
		r->seqs = malloc(count * sizeof *r->seqs);
		if (r->seqs == NULL)
			return fault_set(fault, ERR_NOMEM, "out of memory");
		for (size_t i = 0; i < index; i++)
			r->seqs[i] = first_seq + i;
	}
	if (r->seqs != NULL)
		r->seqs[index] = seq;
	r->duplicates += duplicate;
	r->count += !duplicate;
	return ERR_NONE;
}

/* The range of the new events; of the originals where all were duplicates. */
static void set_range(struct receipt *r, size_t count, uint64_t first_seq)
{
	r->first = first_seq;
	r->last = first_seq + r->count - 1;
	if (r->count > 0)
		return;
	r->first = r->last = r->seqs[0];
	for (size_t i = 1; i < count; i++) {
		r->first = r->seqs[i] < r->first ? r->seqs[i] : r->first;
		r->last = r->seqs[i] > r->last ? r->seqs[i] : r->last;
	}
}

static enum err add_row(struct store *s, const struct event *e, const struct known *k, struct fault *fault)
{
	uint64_t seq = s->next_seq + s->incoming.count;
	if (e->id.len > 0 && index_tail_add_key(s->tail, k->key, seq) != ERR_NONE)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	s->rows[s->incoming.count++] = make_row(s, e, k->topic, seq);
	if (k->new_topic > 0) {
		s->new_topics[k->new_topic - 1].first = seq;
		s->new_topics[k->new_topic - 1].bytes = (uint32_t)e->data.len;
	}
	return ERR_NONE;
}

/* What is known of all events of a batch before any of them is stored: a batch that is refused must not leave half of itself
 * behind. */
static enum err look_up(struct store *s, const struct batch *batch, const struct append_options *options,
			struct fault *fault)
{
	size_t count = batch_count(batch);
	struct topic_hashes hashes[CATALOG_LOAD_MAX];
	enum err err = ERR_NONE;
	if (count > s->known_cap) {
		struct known *known = realloc(s->known, count * sizeof *known);
		if (known == NULL)
			return fault_set(fault, ERR_NOMEM, "out of memory");
		s->known = known;
		s->known_cap = count;
	}
	for (size_t i = 0; !err && i < count; i++) {
		const struct event *e = batch_event(batch, i);
		struct known *k = &s->known[i];
		bool is_new = false;
		if (i % CATALOG_LOAD_MAX == 0)
			catalog_hash(s->catalog, batch, i, hashes);
		struct topic_wanted wanted = {e->stream, e->type, hashes[i % CATALOG_LOAD_MAX], 0, NULL};
		if (options != NULL) {
			wanted.owner = options->owner;
			wanted.left = options->topics_left;
		}
		k->key = id_key(e);
		err = find_id(s, e, k->key, &k->seq, fault);
		if (!err && k->seq == 0 && options != NULL && options->check != NULL &&
		    (err = options->check(options->check_arg, e, fault)) != ERR_NONE)
			fault->place = (long)i;
		if (!err && k->seq == 0)
			err = intern(s, &wanted, &k->topic, &is_new, fault);
		if (!err && is_new)
			err = note_topic(s, k->topic, fault);
		k->new_topic = is_new ? s->new_topic_count : 0;
	}
	return err;
}

/* A batch that was refused leaves no names behind either. */
static void drop_topics(struct store *s, uint32_t end)
{
	s->new_topic_count -= catalog_all_end(s->catalog) - end;
	catalog_rollback_to(s->catalog, end);
}

/* Behind the last event of the log SQLite counts on by itself, and need not look whether a seq is taken. In an empty log it
 * would begin with 1. */
static enum err append_rows(struct store *s, struct fault *fault)
{
	bool follows = s->log_first < s->next_seq;
	enum err err = store_run(s, follows ? S_APPEND : S_INSERT, "storing events", fault);
	uint64_t last = (uint64_t)sqlite3_last_insert_rowid(s->db);
	if (!err && last != s->next_seq + s->incoming.count - 1)
		err = fault_set(fault, ERR_CORRUPT, "an event was stored as %llu instead of %llu", (unsigned long long)last,
				(unsigned long long)(s->next_seq + s->incoming.count - 1));
	return err;
}

/* Stores the rows, and frames them. */
static enum err insert_rows(struct store *s, struct fault *fault)
{
	enum err err = append_rows(s, fault);
	for (size_t i = 0; !err && i < s->incoming.count; i++) {
		const struct insert_row *r = &s->rows[i];
		if (store_frame(s, r->id, r->data, r->topic) != ERR_NONE)
			err = fault_set(fault, ERR_NOMEM, "out of memory");
	}
	s->incoming.count = 0;
	return err;
}

enum err store_append(struct store *s, const struct batch *batch, const struct append_options *options,
		      struct receipt *receipt, struct fault *fault)
{
	*receipt = (struct receipt){0};
	s->incoming.count = 0;
	size_t count = batch_count(batch);
	enum err err = store_begin(s, fault);
	if (!err && options != NULL && options->expect)
		err = check_expectation(s, batch, options->expect_last, fault);
	if (err)
		return err;
	uint32_t topics = catalog_all_end(s->catalog);
	err = look_up(s, batch, options, fault);
	if (err) {
		drop_topics(s, topics);
		return err;
	}
	receipt->topics = catalog_all_end(s->catalog) - topics;
	uint64_t first_seq = s->next_seq;
	for (size_t i = 0; !err && i < count; i++) {
		const struct event *e = batch_event(batch, i);
		const struct known *k = &s->known[i];
		uint64_t seq = k->seq;
		if (seq == 0 && e->id.len > 0) /* the same may stand in the batch twice */
			err = find_in_memory(s, e, k->key, &seq, fault);
		bool duplicate = !err && seq != 0;
		s->unused_topics = s->unused_topics || (duplicate && k->seq == 0 && k->topic >= topics);
		if (!err && !duplicate) {
			seq = s->next_seq + s->incoming.count;
			err = add_row(s, e, k, fault);
		}
		if (!err)
			err = note(receipt, i, count, seq, duplicate, first_seq, fault);
		if (!err && s->incoming.count > 0 && (s->incoming.count == STORE_ROWS || i + 1 == count))
			err = insert_rows(s, fault);
	}
	if (!err)
		err = insert_topics(s, fault);
	if (err) {
		receipt_finish(receipt);
		return err;
	}
	set_range(receipt, count, first_seq);
	receipt->time_ms = s->time_ms;
	return ERR_NONE;
}

void store_count_out(struct store *s)
{
	catalog_lock(s->catalog);
	for (size_t i = 0; i < s->reduced_count; i++)
		catalog_set_figures(s->catalog, s->reduced[i].topic, s->reduced[i].figures);
	catalog_unlock(s->catalog);
}

/* Events that the rows of their topics count already. */
static void note_in_rows(struct store *s)
{
	for (size_t i = 0; i < s->new_topic_count; i++) {
		const struct insert_topic *t = &s->new_topics[i];
		if (t->first == 0)
			continue;
		struct pending *p = &s->pending[t->first - s->head - 1];
		assert(t->first - s->head <= s->pending_count && p->topic == t->topic);
		p->in_row = true;
	}
}

/* What a commit means for everything that is kept in memory. Nothing here can fail. */
static void count_in(struct store *s)
{
	catalog_commit(s->catalog);
	note_in_rows(s);
	store_count_out(s);
	catalog_lock(s->catalog);
	for (size_t i = 0; i < s->pending_count; i++)
		catalog_count(s->catalog, s->pending[i].topic, s->head + 1 + i, s->pending[i].bytes);
	catalog_unlock(s->catalog);
	store_forget_topics(s);
	index_tail_lock(s->tail);
	for (size_t i = 0; i < s->pending_count; i++)
		index_tail_add(s->tail, s->pending[i].topic, s->pending[i].in_row);
	index_tail_unlock(s->tail);
	if (s->pending_count > 0)
		s->last_time_ms = s->time_ms;
	store_set_head(s, s->next_seq - 1);
}

void store_keep_brisk(struct store *s, bool brisk)
{
	s->brisk = brisk;
}

/* What was committed before is indexed in the same transaction as what comes: one wait for the disk instead of two. */
static bool flushes(const struct store *s)
{
	if (s->reduced_count > 0)
		return false;
	if (s->flush_wanted)
		return index_tail_lags(s->tail);
	return s->brisk ? index_tail_is_overdue(s->tail) : index_tail_is_due(s->tail);
}

static void set_committing(struct store *s, bool committing)
{
	pthread_mutex_lock(&s->lock);
	s->committing = committing;
	if (!committing)
		pthread_cond_signal(&s->commit_done);
	pthread_mutex_unlock(&s->lock);
}

static enum err commit(struct store *s, struct fault *fault)
{
	set_committing(s, true);
	enum err err = store_run(s, S_COMMIT, "committing", fault);
	set_committing(s, false);
	return err;
}

enum err store_commit(struct store *s, struct committed **out, struct fault *fault)
{
	*out = NULL;
	if (!s->open)
		return ERR_NONE;
	enum err err = store_end_page(s);
	if (!err)
		err = index_tail_reserve(s->tail, s->pending_count);
	if (err)
		fault_set(fault, err, "out of memory");
	bool flushed = !err && flushes(s);
	if (flushed)
		err = index_tail_flush(s->tail, s->db, s->catalog, fault);
	if (!err)
		err = store_remove_topics(s, fault);
	if (!err)
		err = commit(s, fault);
	/* Moved away meanwhile: it may be where nobody will find it. */
	if (!err)
		err = store_files_check(&s->files, fault);
	if (err) {
		store_rollback(s);
		return err;
	}
	s->open = false;
	if (flushed) {
		index_tail_flushed(s->tail);
		s->flush_wanted = false;
	}
	count_in(s);
	if (s->pending_count > 0)
		store_files_note(&s->files, s->head);
	*out = s->committed;
	s->committed = NULL;
	return ERR_NONE;
}
/* --- sessions --- */

enum err store_session_put(struct store *s, const struct stored_session *session, struct fault *fault)
{
	sqlite3_stmt *st = s->statements[S_SESSION_PUT];
	enum err err = store_begin(s, fault);
	if (err)
		return err;
	store_bind(st, 1, session->name);
	sqlite3_bind_int64(st, 2, (sqlite3_int64)session->acked);
	sqlite3_bind_int64(st, 3, session->updated_ms);
	if (session->filter.p != NULL)
		store_bind(st, 4, session->filter);
	else
		sqlite3_bind_null(st, 4);
	store_bind(st, 5, session->epoch);
	return store_run(s, S_SESSION_PUT, "storing a session", fault);
}

enum err store_session_each(struct store *s, store_session_fn *each, void *arg, struct fault *fault)
{
	sqlite3_stmt *st;
	enum err err = db_prepare(s->db, "SELECT name, acked, updated, filter, epoch FROM session", &st, fault);
	if (err)
		return err;
	int rc;
	while (!err && (rc = sqlite3_step(st)) != SQLITE_DONE) {
		struct stored_session session = {
			.name = {(const char *)sqlite3_column_text(st, 0), (size_t)sqlite3_column_bytes(st, 0)},
			.acked = (uint64_t)sqlite3_column_int64(st, 1),
			.updated_ms = sqlite3_column_int64(st, 2),
			.filter = {(const char *)sqlite3_column_text(st, 3), (size_t)sqlite3_column_bytes(st, 3)},
			.epoch = {(const char *)sqlite3_column_text(st, 4), (size_t)sqlite3_column_bytes(st, 4)},
		};
		err = rc == SQLITE_ROW ? each(arg, &session) : db_fault(s->db, rc, "loading the sessions", fault);
	}
	sqlite3_finalize(st);
	return err;
}

enum err store_session_delete(struct store *s, struct slice name, struct fault *fault)
{
	enum err err = store_begin(s, fault);
	if (err)
		return err;
	store_bind(s->statements[S_SESSION_DELETE], 1, name);
	return store_run(s, S_SESSION_DELETE, "deleting a session", fault);
}
