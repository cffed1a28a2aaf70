#include "store/log/store.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/data/checksum.h"
#include "store/log/store_internal.h"

void receipt_finish(struct receipt *r)
{
	free(r->seqs);
	r->seqs = NULL;
}

/* Remembers a new topic until insert_topics. */
static enum err note_topic(struct store *s, uint32_t topic, struct fault *fault)
{
	if (s->new_topic_count == s->new_topic_cap) {
		size_t cap = s->new_topic_cap ? s->new_topic_cap * 2 : 64;
		struct insert_topic *topics = realloc(s->new_topics, cap * sizeof *topics);
		if (topics == NULL)
			return fault_nomem(fault);
		s->new_topics = topics;
		s->new_topic_cap = cap;
	}
	struct topic t = catalog_topic(s->catalog, topic);
	s->new_topics[s->new_topic_count++] = (struct insert_topic){.topic = topic, .stream = t.stream, .type = t.type};
	return ERR_NONE;
}

/* Would SQLite give these topics the same numbers by itself? In an empty table it would begin with 1. */
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

/* Stores the rows of new topics, each with the figures of its first event (see index_tail_figures). If SQLite would number
 * them the same, they are appended without numbers, which saves looking each number up. */
static enum err insert_topics(struct store *s, struct fault *fault)
{
	const struct insert_topic *topics = s->new_topics + s->new_topics_stored;
	size_t count = s->new_topic_count - s->new_topics_stored;
	assert(s->new_topics_stored <= s->new_topic_count);
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
	assert(s->incoming.count == 0);
	s->rows[0] = make_row(s, e, topic, s->next_seq);
	s->incoming.count = 1;
	enum err err = store_run(s, S_INSERT, "storing an event", fault);
	s->incoming.count = 0;
	return err;
}

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
	assert(s->next_seq == s->head + 1 + s->pending_count);
	struct encoding_event w = {s->next_seq, s->time_text, catalog_topic(s->catalog, topic).json, id, data};
	enum err err = page_builder_add(s->builder, &w, s->time_ms, topic);
	if (err)
		return err;
	s->pending[s->pending_count++] = (struct pending){.topic = topic, .bytes = (uint32_t)data.len};
	catalog_set_open_last(s->catalog, topic, s->next_seq);
	s->next_seq++;
	return page_builder_bytes(s->builder) >= COMMITTED_PAGE_BYTES ? store_end_page(s) : ERR_NONE;
}

/* Counts an event into the receipt; seqs are listed from the first duplicate on. False: out of memory. */
static bool count_event(struct receipt *r, size_t index, size_t count, uint64_t seq, bool duplicate, uint64_t first_seq)
{
	if (duplicate && r->seqs == NULL) {
		r->seqs = malloc(count * sizeof *r->seqs);
		if (r->seqs == NULL)
			return false;
		for (size_t i = 0; i < index; i++)
			r->seqs[i] = first_seq + i;
	}
	if (r->seqs != NULL)
		r->seqs[index] = seq;
	r->duplicates += duplicate;
	r->count += !duplicate;
	return true;
}

/* The range of the new events; of the originals where all were duplicates. */
static void set_range(struct receipt *r, size_t count, uint64_t first_seq)
{
	r->first = first_seq;
	r->last = first_seq + r->count - 1;
	if (r->count > 0)
		return;
	assert(r->seqs != NULL && r->duplicates == count);
	r->first = r->last = r->seqs[0];
	for (size_t i = 1; i < count; i++) {
		r->first = r->seqs[i] < r->first ? r->seqs[i] : r->first;
		r->last = r->seqs[i] > r->last ? r->seqs[i] : r->last;
	}
}

static enum err add_row(struct store *s, const struct event *e, const struct known *k, struct fault *fault)
{
	uint64_t seq = s->next_seq + s->incoming.count;
	assert(s->incoming.count < STORE_ROWS && k->new_topic <= s->new_topic_count);
	if (e->id.len > 0 && index_tail_add_key(s->tail, k->key, seq) != ERR_NONE)
		return fault_nomem(fault);
	s->rows[s->incoming.count++] = make_row(s, e, k->topic, seq);
	if (k->new_topic > 0) {
		s->new_topics[k->new_topic - 1].first = seq;
		s->new_topics[k->new_topic - 1].bytes = (uint32_t)e->data.len;
	}
	return ERR_NONE;
}

/* Looks up ids and topics of all events of a batch before any of them is stored, so that a refused batch stores nothing. */
static enum err look_up(struct store *s, const struct batch *batch, const struct append_options *options,
			struct fault *fault)
{
	size_t count = batch_count(batch);
	struct topic_hashes hashes[CATALOG_LOAD_MAX];
	enum err err = ERR_NONE;
	if (count > s->known_cap) {
		struct known *known = realloc(s->known, count * sizeof *known);
		if (known == NULL)
			return fault_nomem(fault);
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
		k->key = store_id_key(e);
		err = store_find_id(s, e, k->key, &k->seq, fault);
		if (!err && k->seq == 0 && options != NULL && options->check != NULL &&
		    (err = options->check(options->check_arg, e, fault)) != ERR_NONE)
			fault->place = (long)i;
		if (!err && k->seq == 0)
			err = store_intern(s, &wanted, &k->topic, &is_new, fault);
		if (!err && is_new)
			err = note_topic(s, k->topic, fault);
		k->new_topic = is_new ? s->new_topic_count : 0;
	}
	return err;
}

/* Drops the topics that a refused batch has made: `end` and `count` are from before. */
static void drop_topics(struct store *s, uint32_t end, size_t count)
{
	assert(end >= catalog_end(s->catalog) && end <= catalog_all_end(s->catalog));
	assert(count <= s->new_topic_count);
	s->new_topic_count = count;
	catalog_rollback_to(s->catalog, end);
}

/* After the last event of the log SQLite gives the same seqs by itself, without checking that they are free. In an empty log
 * it would begin with 1. */
static enum err append_rows(struct store *s, struct fault *fault)
{
	bool follows = s->log_first < s->next_seq;
	assert(s->incoming.count > 0 && s->incoming.count <= STORE_ROWS);
	enum err err = store_run(s, follows ? S_APPEND : S_INSERT, "storing events", fault);
	uint64_t last = (uint64_t)sqlite3_last_insert_rowid(s->db);
	if (!err && last != s->next_seq + s->incoming.count - 1)
		err = fault_set(fault, ERR_CORRUPT, "an event was stored as %" PRIu64 " instead of %" PRIu64, last,
				(s->next_seq + s->incoming.count - 1));
	return err;
}

/* Stores the rows, and frames them. */
static enum err insert_rows(struct store *s, struct fault *fault)
{
	enum err err = append_rows(s, fault);
	for (size_t i = 0; !err && i < s->incoming.count; i++) {
		const struct insert_row *r = &s->rows[i];
		if (store_frame(s, r->id, r->data, r->topic) != ERR_NONE)
			err = fault_nomem(fault);
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
		err = store_check_expectation(s, batch, options->expect_last, fault);
	if (err)
		return err;
	uint32_t topics = catalog_all_end(s->catalog);
	size_t new_topics = s->new_topic_count;
	err = look_up(s, batch, options, fault);
	if (err) {
		drop_topics(s, topics, new_topics);
		return err;
	}
	receipt->topics = catalog_all_end(s->catalog) - topics;
	uint64_t first_seq = s->next_seq;
	for (size_t i = 0; !err && i < count; i++) {
		const struct event *e = batch_event(batch, i);
		const struct known *k = &s->known[i];
		uint64_t seq = k->seq;
		if (seq == 0 && e->id.len > 0) /* the batch may have the same id twice */
			err = store_find_recent(s, e, k->key, &seq, fault);
		bool duplicate = !err && seq != 0;
		s->unused_topics = s->unused_topics || (duplicate && k->seq == 0 && k->topic >= topics);
		if (!err && !duplicate) {
			seq = s->next_seq + s->incoming.count;
			err = add_row(s, e, k, fault);
		}
		if (!err && !count_event(receipt, i, count, seq, duplicate, first_seq))
			err = fault_nomem(fault);
		if (!err && s->incoming.count > 0 && (s->incoming.count == STORE_ROWS || i + 1 == count))
			err = insert_rows(s, fault);
	}
	if (!err)
		err = insert_topics(s, fault);
	if (err) {
		receipt_finish(receipt);
		return err;
	}
	assert(s->incoming.count == 0 && receipt->count + receipt->duplicates == count);
	set_range(receipt, count, first_seq);
	receipt->time_ms = s->time_ms;
	return ERR_NONE;
}
