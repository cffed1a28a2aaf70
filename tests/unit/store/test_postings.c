/* The trailing index and the figures of topics, which say where the first event of each topic is: whatever happens to a
 * store, a search finds the same events as a list in memory, and a recount agrees with the figures. */
#include <sqlite3.h>

#include "event/envelope.h"
#include "store/index/postings.h"
#include "store/log/store_internal.h"
#include "store/sqlite/db.h"
#include "store/transfer/restore.h"
#include "store/transfer/seal.h"
#include "unit/temp_dir.h"

enum { STREAMS = 60, EVENTS_MAX = 4000, STEPS = 250, ROUNDS = 12, BATCH = 24, EVERY = 16 };

static const struct batch_limits limits = {1 << 20, 1 << 20};
static const struct archive_options plain = {.level = 1, .threads = 1};
static char dir[TEMP_DIR_LEN];
static struct store *store;
static struct reader *reader;
static struct fault fault;

static int stream_of[EVENTS_MAX + 1]; /* of each event */

static void check(enum err err)
{
	if (err)
		fprintf(stderr, "%s\n", fault.text);
	CHECK(!err);
}

static void open_store(void)
{
	check(store_open(dir, (struct store_options){.index_every = EVERY}, &store, &fault));
	check(reader_open(store, &reader, &fault));
}

static void close_store(void)
{
	reader_close(reader);
	store_close(store);
}

/* As after a crash: what the index has in memory is not written. */
static void crash(void)
{
	reader_close(reader);
	restore_abandon(store);
	store_close(store);
}

static void set_up(void)
{
	temp_dir_make(dir);
	open_store();
}

static void tear_down(void)
{
	close_store();
	temp_dir_remove(dir);
}

static void commit(void)
{
	struct committed *c;
	check(store_commit(store, &c, &fault));
	committed_destroy(c);
}

/* Adds a batch to the open transaction. */
static void append(const char *lines, uint64_t wanted)
{
	struct batch *b;
	struct receipt r;
	check(batch_parse_take(strdup(lines), strlen(lines), BATCH_LINES, limits, &b, &fault));
	check(store_append(store, b, NULL, &r, &fault));
	CHECK(r.count == wanted);
	receipt_finish(&r);
	batch_destroy(b);
}

static void publish(const char *lines, uint64_t wanted)
{
	append(lines, wanted);
	commit();
}

/* One event for each of these streams. */
static void publish_to(const int *streams, int count)
{
	char lines[BATCH * 64];
	size_t len = 0;
	for (int i = 0; i < count; i++) {
		len += (size_t)sprintf(lines + len, "{\"stream\":\"s%d\",\"data\":1}\n", streams[i]);
		stream_of[store_head(store) + 1 + (uint64_t)i] = streams[i];
	}
	publish(lines, (uint64_t)count);
}

/* What a search for one stream, or for those that `many` divides (0: all that have a name), finds in the log. */
static void ask(int stream, int many, uint64_t after, uint64_t before, bool down, uint32_t max)
{
	struct filter *f = filter_create();
	for (int i = 0; i < STREAMS; i++) {
		char name[8];
		sprintf(name, "s%d", i);
		if (many == 0 ? i == stream : i % many == 0)
			check(filter_add_stream(f, slice_of(name)));
	}
	struct history_query q = {after, before, down, max, 1 << 20, history_select_take(store, f)};
	struct page *p;
	uint32_t found = 0;
	check(history_page(reader, &q, &p, &fault));
	for (uint64_t i = 1; i < before - after && found < max; i++) {
		uint64_t seq = down ? before - i : after + i;
		if (many == 0 ? stream_of[seq] != stream : stream_of[seq] % many != 0)
			continue;
		CHECK(found < page_count(p) && page_entry(p, found).seq == seq);
		found++;
	}
	CHECK(found == page_count(p));
	page_unref(p);
	selection_destroy(q.select);
}

static void ask_all(void)
{
	uint64_t begin = store_log_first(store) - 1;
	uint64_t end = store_head(store) + 1;
	for (int down = 0; down < 2; down++) {
		for (int i = 0; i < STREAMS; i++)
			ask(i, 0, begin, end, down, EVENTS_MAX);
		for (int many = 1; many < 5; many++) {
			ask(0, many, begin, end, down, EVENTS_MAX);
			uint64_t after = begin + (uint64_t)rand() % (end - begin);
			uint64_t before = after + 1 + (uint64_t)rand() % (end - after);
			ask(0, many, after, before, down, 1 + (uint32_t)rand() % 20);
		}
	}
}

/* As the command does: in a store of its own, with what the file says. */
static void verify(uint64_t events)
{
	struct store *s;
	struct reader *r;
	struct history_verified found;
	check(store_open(dir, (struct store_options){.access = STORE_READ}, &s, &fault));
	check(reader_open(s, &r, &fault));
	check(history_verify(r, NULL, NULL, &found, &fault));
	CHECK(found.events == events);
	reader_close(r);
	store_close(s);
}

static int64_t number(const char *sql)
{
	sqlite3_int64 n = 0;
	check(db_integer(store->db, sql, -1, &n, &fault));
	return n;
}

/* Brings the index up to the head. */
static void flush(void)
{
	close_store();
	open_store();
	CHECK(!index_tail_lags(store_index_tail(store)));
}

/* Names the first events of all topics in rows, as an older version did. */
static void post_all_firsts(void)
{
	check(db_exec(store->db, "BEGIN", &fault));
	for (uint32_t i = 0; i < catalog_topics(store_catalog(store)); i++) {
		struct figures f;
		catalog_topic_figures(store_catalog(store), i, &f);
		if (f.first >= store_log_first(store) && f.first <= index_tail_upto(store_index_tail(store)))
			check(postings_add(store->db, i, f.first, &fault));
	}
	check(db_exec(store->db, "COMMIT", &fault));
}

static void publish_some(void)
{
	int streams[BATCH];
	int count = 1 + rand() % BATCH;
	int among = rand() % 3 == 0 ? 4 : STREAMS;
	if (store_head(store) + BATCH > EVENTS_MAX)
		return;
	for (int i = 0; i < count; i++)
		streams[i] = rand() % among;
	publish_to(streams, count);
}

/* The oldest events leave, for good or into an archive. *removed counts the former. */
static void leave_some(bool archive, uint64_t *removed)
{
	uint64_t log_first = store_log_first(store);
	uint64_t indexed_upto = index_tail_upto(store_index_tail(store));
	uint64_t left;
	struct manifest m = {0};
	if (indexed_upto < log_first || indexed_upto == store_head(store))
		return;
	uint64_t upto = log_first + (uint64_t)rand() % (indexed_upto - log_first + 1);
	if (archive)
		check(seal_range(reader, (struct seq_range){log_first, upto}, plain, NULL, &m, &fault));
	check(store_evict(store, upto, upto, archive ? m.chain : NULL, &left, &fault));
	CHECK(left == upto);
	if (rand() % 2 == 0 && store_head(store) < EVENTS_MAX) {
		stream_of[store_head(store) + 1] = 3;
		append("{\"stream\":\"s3\",\"data\":1}", 1);
	}
	commit();
	*removed += archive ? 0 : upto - log_first + 1;
}

/* A store as it goes on, with archives or without. */
static void live(unsigned seed, bool archives)
{
	uint64_t removed = 0;
	srand(seed);
	set_up();
	for (int i = 0; i < STEPS; i++) {
		int what = rand() % 20;
		if (what < 12) {
			publish_some();
		} else if (what < 15) {
			leave_some(archives && rand() % 2 == 0, &removed);
		} else if (what == 15) {
			post_all_firsts();
		} else if (what == 16) {
			close_store();
			open_store();
		} else if (what == 17) {
			crash();
			open_store();
		} else {
			ask_all();
		}
		if (what == 18)
			verify(store_head(store) - removed);
	}
	ask_all();
	verify(store_head(store) - removed);
	flush();
	ask_all();
	verify(store_head(store) - removed);
	tear_down();
}

static void every_search_agrees_with_a_list(void)
{
	for (unsigned seed = 1; seed <= 2 + (ROUNDS - 2) * test_scale(); seed++)
		live(seed, seed % 2 == 0);
}

/* Fails where the first event of a topic has a row, or one that is not the first has none. */
static void the_first_event_of_a_topic_has_no_posting(void)
{
	int streams[BATCH];
	set_up();
	for (int i = 0; i < BATCH; i++)
		streams[i] = i;
	publish_to(streams, BATCH);
	flush();
	CHECK(number("SELECT count(*) FROM posting") == 0);
	streams[1] = streams[2] = 0;
	publish_to(streams, 3);
	streams[0] = streams[1] = 50;
	publish_to(streams, 2);
	flush();
	CHECK(number("SELECT count(*) FROM posting") == 2);
	CHECK(number("SELECT length(seqs) FROM posting WHERE topic = 0") == 3);
	CHECK(number("SELECT length(seqs) FROM posting WHERE topic = 24") == 1);
	ask_all();
	verify(BATCH + 5);
	tear_down();
}

/* Fails where the first event of a topic that has lost all before is looked for in rows only. */
static void a_topic_begins_again_after_its_last_event(void)
{
	const int streams[] = {5, 6, 5, 6, 7};
	uint64_t left;
	set_up();
	publish_to(streams, 4);
	flush();
	publish_to(streams + 4, 1);
	check(store_evict(store, 4, 4, NULL, &left, &fault));
	CHECK(left == 4);
	commit();
	ask_all();
	publish_to(streams, 2);
	flush();
	CHECK(number("SELECT count(*) FROM posting") == 0);
	ask_all();
	verify(3);
	tear_down();
}

/* What the file says of a topic, as opposed to what is in memory. */
static void row_says(int topic, int first, int last, int count, int bytes)
{
	char sql[160];
	snprintf(sql, sizeof sql,
		 "SELECT count(*) FROM topic WHERE id = %d AND first = %d AND last = %d AND count = %d AND bytes = %d",
		 topic, first, last, count, bytes);
	if (number(sql) != 1)
		fprintf(stderr, "topic %d\n", topic);
	CHECK(number(sql) == 1);
}

/* Counts the updates of topics by what they leave behind. */
static void note_updates(void)
{
	check(db_exec(
		store->db,
		"CREATE TEMP TABLE updated(id); CREATE TEMP TRIGGER note AFTER UPDATE ON topic BEGIN INSERT INTO updated "
		"VALUES (new.id); END",
		&fault));
}

/* Fails where a new topic is stored without the figures of its first event, or a flush writes what its row says already. */
static void a_new_topic_is_stored_with_its_first_event(void)
{
	int streams[EVERY + 1];
	set_up();
	note_updates();
	for (int i = 0; i <= EVERY; i++)
		streams[i] = i < EVERY ? i : 3;
	publish_to(streams, EVERY + 1);
	row_says(2, 3, 3, 1, 1);
	row_says(3, 4, 4, 1, 1); /* of two */
	streams[0] = EVERY;
	publish_to(streams, 1); /* and the index of those before */
	CHECK(index_tail_upto(store_index_tail(store)) == EVERY + 1);
	CHECK(number("SELECT count(*) FROM updated") == 1 && number("SELECT id FROM updated") == 3);
	row_says(3, 4, EVERY + 1, 2, 2);
	row_says(EVERY, EVERY + 2, EVERY + 2, 1, 1);
	verify(EVERY + 2);
	crash();
	open_store(); /* what is past the indexed_upto is counted once */
	struct stream_figures f;
	CHECK(store_find_stream(store, slice_of("s16"), &f) && f.first == EVERY + 2 && f.count == 1 && f.bytes == 1);
	flush();
	verify(EVERY + 2);
	ask_all();
	tear_down();
}

/* Fails where rows are numbered by SQLite though they do not follow those that are there. */
static void new_topics_have_their_own_numbers(void)
{
	set_up();
	publish_to((const int[]){1, 2, 3}, 3);
	publish_to((const int[]){4, 5}, 2);
	row_says(0, 1, 1, 1, 1);
	row_says(4, 5, 5, 1, 1);
	check(db_exec(store->db, "DELETE FROM topic WHERE id = 4", &fault));
	publish_to((const int[]){6, 7}, 2);
	row_says(5, 6, 6, 1, 1);
	row_says(6, 7, 7, 1, 1);
	tear_down();
}

/* Fails where the new topics of a transaction that was rolled back are stored by the next one. */
static void a_rollback_forgets_new_topics(void)
{
	set_up();
	append("{\"stream\":\"s1\",\"data\":1}\n{\"stream\":\"s2\",\"data\":1}", 2);
	store_rollback(store);
	publish_to((const int[]){4}, 1);
	CHECK(number("SELECT count(*) FROM topic") == 1);
	verify(1);
	flush();
	ask_all();
	verify(1);
	tear_down();
}

static void damage_is_named(const char *sql, const char *names)
{
	struct history_verified found;
	const int streams[] = {1, 1, 2};
	set_up();
	publish_to(streams, 3);
	flush();
	check(db_exec(store->db, sql, &fault));
	fault.text[0] = '\0';
	enum err err = history_verify(reader, NULL, NULL, &found, &fault);
	if (err != ERR_CORRUPT || strstr(fault.text, names) == NULL)
		fprintf(stderr, "%s: %s\n", sql, fault.text);
	CHECK(err == ERR_CORRUPT && strstr(fault.text, names) != NULL);
	tear_down();
}

static void a_recount_finds_what_is_missing_or_foreign(void)
{
	damage_is_named("DELETE FROM posting", "name 0 of the 1");
	damage_is_named("UPDATE posting SET topic = 1", "topic 1 has event 2");
	damage_is_named("INSERT INTO posting VALUES (1, 3, x'01')", "topic 1 has event 1");
	damage_is_named("UPDATE topic SET first = 2 WHERE id = 0", "events 1 to 3");
	damage_is_named("UPDATE topic SET first = 99 WHERE id = 1", "events 1 to 3");
}

static struct envelope archived(uint64_t seq, char *text, const char *stream)
{
	struct envelope e;
	sprintf(text, "{\"seq\":%d,\"time\":\"2026-01-01T00:00:00.000Z\",\"stream\":\"%s\",\"type\":\"\",\"data\":1}",
		(int)seq, stream);
	CHECK(envelope_read(slice_of(text), &e) || (fputs(text, stderr), false));
	return e;
}

/* Fails where the event in the log that has been the first of its topic is not named in a row then. */
static void an_older_event_takes_the_place_of_the_first(void)
{
	char text[128];
	const int streams[] = {1, 2, 1, 3, 3, 3, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1};
	temp_dir_make(dir);
	check(store_open(dir, (struct store_options){.copies = true, .index_every = 3}, &store, &fault));
	check(restore_begin(store, 100, &fault));
	for (int i = 0; i < 16; i++) {
		char name[8];
		sprintf(name, "s%d", streams[i]);
		struct event e = {slice_of(name), slice_of("t"), {NULL, 0}, slice_of("1")};
		stream_of[100 + i] = streams[i];
		check(restore_event(store, &e, 100 + (uint64_t)i, 1, &fault));
	}
	check(restore_commit(store, &fault));
	check(restore_begin(store, 0, &fault));
	for (int i = 3; i > 0; i--) {
		char name[8];
		sprintf(name, "s%d", i);
		struct envelope e = archived(50 + (uint64_t)i, text, name);
		e.type = slice_of("t");
		for (int times = 0; times < 2; times++)
			check(restore_archived(store, &e, &fault));
	}
	check(restore_commit(store, &fault));
	check(reader_open(store, &reader, &fault));
	ask_all();
	tear_down();
}

int main(void)
{
	RUN(the_first_event_of_a_topic_has_no_posting);
	RUN(a_topic_begins_again_after_its_last_event);
	RUN(a_new_topic_is_stored_with_its_first_event);
	RUN(new_topics_have_their_own_numbers);
	RUN(a_rollback_forgets_new_topics);
	RUN(a_recount_finds_what_is_missing_or_foreign);
	RUN(an_older_event_takes_the_place_of_the_first);
	RUN(every_search_agrees_with_a_list);
	return check_end();
}
