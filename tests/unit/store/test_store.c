/* The store without a server: what is committed is there, what is not is nowhere, and every way to ask gives the same
 * answer as a list in memory. */
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/data/checksum.h"
#include "store/sqlite/db.h"
#include "store/sqlite/db_file.h"
#include "unit/store/one_store.h"

static void an_empty_store_has_an_epoch_and_no_events(void)
{
	fresh_dir();
	open_store();
	char epoch[LINE_EPOCH_LEN + 1];
	CHECK(strlen(store_epoch(store)) == LINE_EPOCH_LEN && store_head(store) == 0 && store_first(store) == 1);
	strcpy(epoch, store_epoch(store));
	close_store();
	open_store();
	CHECK(strcmp(epoch, store_epoch(store)) == 0);
	verify(0);
	close_store();
	remove_dir();
}

static void a_second_writer_is_refused_and_a_reader_is_not(void)
{
	struct store *other;
	fresh_dir();
	open_store();
	publish("{\"data\":1}", 1);
	CHECK(store_open(dir, (struct store_options){0}, &other, &fault) == ERR_LOCKED && strstr(fault.text, dir) != NULL);
	CHECK(store_open(dir, (struct store_options){.access = STORE_READ}, &other, &fault) == ERR_NONE);
	CHECK(store_head(other) == 1);
	store_close(other);
	close_store();
	CHECK(store_open("/tmp/tidemark-unit-no-such", (struct store_options){.access = STORE_READ}, &other, &fault) ==
	      ERR_NOT_FOUND);
	remove_dir();
}

static void a_newer_or_foreign_file_is_refused(void)
{
	char path[128];
	struct store *other;
	sqlite3 *db;
	fresh_dir();
	open_store();
	close_store();
	snprintf(path, sizeof path, "%s/tidemark.db", dir);
	CHECK(sqlite3_open(path, &db) == SQLITE_OK);
	CHECK(sqlite3_exec(db, "PRAGMA user_version=999", NULL, NULL, NULL) == SQLITE_OK);
	CHECK(store_open(dir, (struct store_options){0}, &other, &fault) == ERR_NEWER);
	CHECK(sqlite3_exec(db, "PRAGMA user_version=1; PRAGMA application_id=1", NULL, NULL, NULL) == SQLITE_OK);
	CHECK(store_open(dir, (struct store_options){0}, &other, &fault) == ERR_CORRUPT);
	sqlite3_close(db);
	remove_dir();
}

static void a_rollback_gives_everything_back(void)
{
	struct receipt r;
	struct stream_figures f;
	fresh_dir();
	open_store();
	publish("{\"stream\":\"a\",\"id\":\"1\",\"data\":1}", 1);
	CHECK(append("{\"stream\":\"b\",\"id\":\"2\",\"data\":2}\n{\"stream\":\"a\",\"id\":\"2\",\"data\":3}", NULL, &r) ==
	      ERR_NONE);
	CHECK(r.first == 2 && r.last == 3);
	store_rollback(store);
	CHECK(store_head(store) == 1 && store_streams(store) == 1 && !store_find_stream(store, slice_of("b"), &f));
	/* The same seqs, names and ids are free again. */
	CHECK(append("{\"stream\":\"b\",\"id\":\"2\",\"data\":2}", NULL, &r) == ERR_NONE && r.first == 2 &&
	      r.duplicates == 0);
	commit(1);
	CHECK(store_find_stream(store, slice_of("b"), &f) && f.first == 2 && f.count == 1);
	verify(2);
	close_store();
	remove_dir();
}

static void ids_are_stored_once(void)
{
	struct receipt r;
	fresh_dir();
	open_store();
	publish("{\"id\":\"a\",\"data\":1}\n{\"id\":\"b\",\"data\":2}\n{\"id\":\"a\",\"data\":3}", 2);
	publish("{\"stream\":\"other\",\"id\":\"a\",\"data\":1}", 1);
	for (int round = 0; round < 3; round++) {
		CHECK(append("{\"data\":0}\n{\"id\":\"b\",\"data\":9}\n{\"id\":\"a\",\"data\":9}", NULL, &r) == ERR_NONE);
		CHECK(r.count == 1 && r.duplicates == 2 && r.seqs[1] == 2 && r.seqs[2] == 1 && r.first == r.seqs[0]);
		receipt_finish(&r);
		commit(1);
		CHECK(append("{\"id\":\"b\",\"data\":9}\n{\"id\":\"a\",\"data\":9}", NULL, &r) == ERR_NONE);
		CHECK(r.count == 0 && r.first == 1 && r.last == 2);
		receipt_finish(&r);
		commit(0);
		close_store(); /* the first round from memory, the others from the tables */
		open_store();
	}
	verify(6);
	close_store();
	remove_dir();
}

static void expectations_are_checked_against_the_stream(void)
{
	struct receipt r;
	struct append_options none = {.expect = true, .expect_last = 0};
	struct append_options second = {.expect = true, .expect_last = 2};
	struct append_options third = {.expect = true, .expect_last = 3};
	fresh_dir();
	open_store();
	publish("{\"stream\":\"x\",\"data\":0}", 1);
	CHECK(append("{\"stream\":\"s\",\"id\":\"1\",\"data\":0}", &none, &r) == ERR_NONE && r.first == 2);
	/* What the open transaction has added counts. */
	CHECK(append("{\"stream\":\"s\",\"data\":0}", &none, &r) == ERR_CONFLICT);
	CHECK(append("{\"stream\":\"s\",\"data\":0}", &second, &r) == ERR_NONE && r.first == 3);
	commit(2);
	CHECK(append("{\"stream\":\"s\",\"data\":0}", &second, &r) == ERR_CONFLICT && strstr(fault.text, "3") != NULL);
	CHECK(append("{\"stream\":\"s\",\"id\":\"1\",\"data\":0}", &none, &r) == ERR_NONE && r.duplicates == 1);
	receipt_finish(&r);
	CHECK(append("{\"stream\":\"s\",\"data\":0}\n{\"stream\":\"t\",\"data\":0}", &none, &r) == ERR_INVALID);
	store_rollback(store);
	/* What a rollback took back does not. */
	CHECK(append("{\"stream\":\"s\",\"data\":0}\n{\"stream\":\"n\",\"data\":0}", NULL, &r) == ERR_NONE && r.last == 5);
	store_rollback(store);
	CHECK(append("{\"stream\":\"x\",\"data\":0}\n{\"stream\":\"x\",\"data\":0}", NULL, &r) == ERR_NONE && r.last == 5);
	CHECK(append("{\"stream\":\"n\",\"data\":0}", &third, &r) == ERR_CONFLICT && fault.actual == 0);
	CHECK(append("{\"stream\":\"s\",\"data\":0}", &third, &r) == ERR_NONE && r.first == 6);
	store_rollback(store);
	verify(3);
	close_store();
	remove_dir();
}

/* --- against a model --- */

enum { STREAMS = 7, TYPES = 3, EVENTS = INDEX_TAIL_FLUSH * 2 + 5000 };
static unsigned char topic_of[EVENTS + 1];

static void fill(unsigned seed)
{
	srand(seed);
	for (uint64_t seq = 1; seq <= EVENTS;) {
		char lines[64 * 600];
		size_t n = 0;
		uint64_t count = 1 + (uint64_t)rand() % 500;
		for (uint64_t i = 0; i < count && seq <= EVENTS; i++, seq++) {
			/* The last stream is rare. */
			int stream = rand() % 100 == 0 ? STREAMS - 1 : rand() % (STREAMS - 1);
			int type = rand() % TYPES;
			topic_of[seq] = (unsigned char)(stream * TYPES + type);
			n += (size_t)sprintf(lines + n, "{\"stream\":\"s%d\",\"type\":\"t%d\",\"data\":%d}\n", stream, type,
					     (int)seq);
		}
		struct receipt r;
		CHECK(append(lines, NULL, &r) == ERR_NONE);
		struct committed *c;
		CHECK(store_commit(store, &c, &fault) == ERR_NONE);
		committed_destroy(c);
		CHECK(store_maintain(store, false, &fault) == ERR_NONE);
	}
}

static void ask(unsigned streams, unsigned types, uint64_t after, uint64_t before, bool down, uint32_t max)
{
	struct filter *f = filter_create();
	for (int i = 0; i < STREAMS; i++) {
		char name[8];
		sprintf(name, "s%d", i);
		CHECK(!(streams & 1u << i) || filter_add_stream(f, slice_of(name)) == ERR_NONE);
	}
	for (int i = 0; i < TYPES; i++) {
		char name[8];
		sprintf(name, "t%d", i);
		CHECK(!(types & 1u << i) || filter_add_type(f, slice_of(name)) == ERR_NONE);
	}
	struct history_query q = {after, before, down, max, 1 << 20, history_select_take(store, f)};
	struct page *p;
	CHECK(history_page(reader, &q, &p, &fault) == ERR_NONE);
	uint64_t end = before == 0 || before > EVENTS + 1 ? EVENTS + 1 : before;
	uint32_t found = 0;
	for (uint64_t i = after + 1; i < end && found < max; i++) {
		uint64_t seq = down ? end - (i - after) : i;
		bool matches = (streams == 0 || (streams >> topic_of[seq] / TYPES & 1)) &&
			       (types == 0 || (types >> topic_of[seq] % TYPES & 1));
		if (!matches)
			continue;
		CHECK(found < page_count(p) && page_entry(p, found).seq == seq);
		found++;
	}
	CHECK(found == page_count(p));
	page_unref(p);
	selection_destroy(q.select);
}

static void ask_at_random(int times)
{
	for (int i = 0; i < times; i++) {
		uint64_t after = (uint64_t)rand() % (EVENTS + 1);
		uint64_t before = rand() % 3 == 0 ? 0 : (uint64_t)rand() % (EVENTS + 2) + 1;
		unsigned streams = rand() % 4 == 0 ? 1u << (STREAMS - 1) : (unsigned)rand() % (1u << STREAMS);
		ask(streams, (unsigned)rand() % (1u << TYPES), after, before, rand() % 2, 1 + (uint32_t)rand() % 300);
	}
	ask(1u << (STREAMS - 1), 1, 0, 0, false, EVENTS);
	ask(1u << (STREAMS - 1), 1, 0, 0, true, EVENTS);
}

static void every_query_agrees_with_a_list(void)
{
	fresh_dir();
	open_store();
	fill(1);
	ask_at_random(300); /* two flushes in the tables, the rest in memory */
	verify(EVENTS);
	close_store();
	open_store();
	ask_at_random(300); /* all in the tables */
	verify(EVENTS);
	close_store();
	remove_dir();
}

static void times_are_found_by_bisection(void)
{
	uint64_t seq;
	struct page *p;
	fresh_dir();
	open_store();
	for (int i = 0; i < 20; i++) {
		publish("{\"data\":1}", 1);
		usleep(2000);
	}
	struct history_query q = {.count_max = 100, .bytes_max = 1 << 20};
	CHECK(history_page(reader, &q, &p, &fault) == ERR_NONE && page_count(p) == 20);
	for (uint32_t i = 0; i < 20; i++) {
		int64_t at = page_entry(p, i).time_ms;
		CHECK(i == 0 || at >= page_entry(p, i - 1).time_ms);
		CHECK(history_seek_time(reader, at, &seq, &fault) == ERR_NONE);
		CHECK(seq <= i && (seq == i || page_entry(p, (uint32_t)seq).time_ms == at));
	}
	CHECK(history_seek_time(reader, 0, &seq, &fault) == ERR_NONE && seq == 0);
	CHECK(history_seek_time(reader, INT64_MAX, &seq, &fault) == ERR_NONE && seq == 20);
	page_unref(p);
	close_store();
	remove_dir();
}

static void damage_is_found_and_named(void)
{
	static const struct {
		const char *sql;
		const char *names;
	} cases[] = {
		{"UPDATE event SET data = '3' WHERE seq = 2", "event 2"},
		{"UPDATE event SET time = time + 1 WHERE seq = 2", "event 2"},
		{"UPDATE event SET id = 'x' WHERE seq = 2", "event 2"},
		{"UPDATE topic SET stream = 'y' WHERE id = 0", "event 1"},
		{"DELETE FROM event WHERE seq = 2", "event 2"},
		{"UPDATE topic SET count = 7 WHERE id = 0", "figures"},
		{"UPDATE posting SET seqs = x'0102' WHERE topic = 0", "topic 0"},
		{"DELETE FROM posting", "postings"},
		{"DELETE FROM id_key", "key"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct history_verified checked;
		fresh_dir();
		open_store();
		publish("{\"stream\":\"a\",\"id\":\"1\",\"data\":1}\n{\"stream\":\"a\",\"data\":2}\n{\"stream\":\"b\","
			"\"data\":3}",
			3);
		close_store();
		damage(cases[i].sql);
		open_store();
		fault.text[0] = '\0';
		enum err err = history_verify(reader, NULL, NULL, &checked, &fault);
		if (err != ERR_CORRUPT || strstr(fault.text, cases[i].names) == NULL)
			fprintf(stderr, "%s: %s\n", cases[i].sql, fault.text);
		CHECK(err == ERR_CORRUPT && strstr(fault.text, cases[i].names) != NULL);
		close_store();
		remove_dir();
	}
}

static enum err on_session(void *arg, const struct stored_session *s)
{
	CHECK_SLICE(s->name, "s");
	CHECK(s->acked == 1 && s->updated_ms == 5);
	++*(int *)arg;
	return ERR_NONE;
}

static void sessions_come_back(void)
{
	int count = 0;
	fresh_dir();
	open_store();
	publish("{\"data\":1}", 1);
	CHECK(store_session_put(store, &(struct stored_session){slice_of("s"), 1, 5, {NULL, 0}, {NULL, 0}}, &fault) ==
	      ERR_NONE);
	CHECK(store_session_put(store, &(struct stored_session){slice_of("gone"), 1, 5, {NULL, 0}, {NULL, 0}}, &fault) ==
	      ERR_NONE);
	commit(0);
	CHECK(store_session_delete(store, slice_of("gone"), &fault) == ERR_NONE);
	commit(0);
	CHECK(store_session_put(store, &(struct stored_session){slice_of("t"), 1, 5, {NULL, 0}, {NULL, 0}}, &fault) ==
	      ERR_NONE);
	store_rollback(store);
	close_store();
	open_store();
	CHECK(store_session_each(store, on_session, &count, &fault) == ERR_NONE && count == 1);
	close_store();
	remove_dir();
}

enum { PIECE = 1024 * 1023 };

static off_t size_of(const char *name)
{
	char path[96];
	struct stat st;
	snprintf(path, sizeof path, "%s/%s", dir, name);
	CHECK(stat(path, &st) == 0);
	return st.st_size;
}

static uint64_t count_of(const char *stream)
{
	struct filter *f = filter_create();
	struct page *p;
	CHECK(filter_add_stream(f, slice_of(stream)) == ERR_NONE);
	struct selection *select = history_select_take(store, f);
	struct history_query q = {.after = store_first(store) - 1, .count_max = 100, .bytes_max = 1 << 20, .select = select};
	CHECK(history_page(reader, &q, &p, &fault) == ERR_NONE);
	uint64_t count = page_count(p);
	page_unref(p);
	selection_destroy(select);
	return count;
}

static void come_back_from_a_commit_in_doubt(bool with_event)
{
	struct receipt r;
	uint64_t events = 5;
	fresh_dir();
	open_store_with((struct store_options){.index_every = 4});
	publish("{\"stream\":\"a\",\"id\":\"1\",\"data\":1}\n{\"data\":1}\n{\"data\":1}\n{\"data\":1}\n{\"data\":1}", 5);
	if (with_event)
		CHECK(append("{\"stream\":\"a\",\"id\":\"2\",\"data\":1}", NULL, &r) == ERR_NONE);
	else
		CHECK(store_session_put(store, &(struct stored_session){slice_of("me"), 1, 1, {NULL, 0}, {NULL, 0}},
					&fault) == ERR_NONE);
	CHECK(commit_in_doubt() == with_event);
	for (; events < 12; events++)
		publish("{\"stream\":\"a\",\"data\":1}", 1);
	publish("{\"stream\":\"a\",\"id\":\"1\",\"data\":1}\n{\"stream\":\"a\",\"id\":\"2\",\"data\":1}",
		with_event ? 0 : 1);
	CHECK(count_of("a") == 9 && count_of("default") == 4);
	verify(13);
	close_store();
	remove_dir();
}

/* Both fail when what the file says of the index is not looked at: it is then written once more. */
static void a_commit_in_doubt_has_written_the_index_once(void)
{
	come_back_from_a_commit_in_doubt(true);
	come_back_from_a_commit_in_doubt(false);
}

/* The same when events have left the log for good: their ids are still known, and the figures are right. */
static void a_leave_in_doubt_is_counted(void)
{
	uint64_t left;
	fresh_dir();
	open_store_with((struct store_options){.index_every = 4});
	publish("{\"id\":\"1\",\"data\":1}\n{\"data\":1}\n{\"data\":1}\n{\"data\":1}\n{\"data\":1}", 5);
	publish("{\"data\":1}", 1); /* and the index of those before */
	CHECK(store_evict(store, 3, 3, NULL, &left, &fault) == ERR_NONE && left == 3);
	CHECK(!commit_in_doubt() && store_first(store) == 4);
	publish("{\"id\":\"1\",\"data\":1}", 0);
	for (int i = 0; i < 6; i++)
		publish("{\"data\":1}", 1);
	struct stream_figures f;
	CHECK(store_find_stream(store, slice_of("default"), &f) && f.first == 4 && f.count == 9 && count_of("default") == 9);
	verify(9);
	close_store();
	remove_dir();
}

/* Events of MANY_TYPES types of one stream, and of as many streams. */
enum { MANY_TYPES = 20000, MANY_LINE = 64 };

static void publish_many(const char *format, uint64_t wanted)
{
	char *lines = malloc((size_t)MANY_TYPES * MANY_LINE);
	size_t len = 0;
	CHECK(lines != NULL);
	for (int i = 0; i < MANY_TYPES; i++)
		len += (size_t)snprintf(lines + len, MANY_LINE, format, i);
	lines[len - 1] = '\0';
	publish(lines, wanted);
	free(lines);
}

/* Fails when each topic that loses events looks at all others for the range of its stream: 20,000 times as many steps. */
static void events_leave_at_a_cost_that_does_not_grow_with_the_names(void)
{
	struct stream_figures f;
	fresh_dir();
	open_store_with((struct store_options){.index_every = 4});
	publish_many("{\"stream\":\"one\",\"type\":\"t%d\",\"data\":1}\n", MANY_TYPES);
	publish_many("{\"stream\":\"s%d\",\"data\":1}\n", MANY_TYPES);
	publish_many("{\"stream\":\"one\",\"type\":\"t%d\",\"data\":1}\n", MANY_TYPES);
	CHECK(store_find_stream(store, slice_of("one"), &f) && f.first == 1 && f.last == 3 * MANY_TYPES &&
	      f.count == 2 * MANY_TYPES);
	uint64_t before = catalog_set_steps(store_catalog(store));
	leave_for_good(100);
	CHECK(store_find_stream(store, slice_of("one"), &f) && f.first == 101 && f.count == 2 * MANY_TYPES - 100);
	leave_for_good(2 * MANY_TYPES);
	CHECK(store_find_stream(store, slice_of("one"), &f) && f.first == 2 * MANY_TYPES + 1 && f.last == 3 * MANY_TYPES &&
	      f.count == MANY_TYPES);
	CHECK(!store_find_stream(store, slice_of("s0"), &f) && !store_find_stream(store, slice_of("s19999"), &f));
	CHECK(catalog_set_steps(store_catalog(store)) - before < (uint64_t)2 * MANY_TYPES * 64);
	verify(MANY_TYPES);
	close_store();
	open_store();
	CHECK(store_find_stream(store, slice_of("one"), &f) && f.first == 2 * MANY_TYPES + 1 && f.last == 3 * MANY_TYPES &&
	      f.count == MANY_TYPES);
	close_store();
	remove_dir();
}

/* What is listed from `from` on: as many streams as there are, each once, in order. */
static uint32_t count_listed(struct slice from)
{
	struct stream_figures f;
	char last[EVENT_NAME_MAX];
	bool there;
	uint32_t count = 0;
	while (store_stream_from(store, from, count > 0, &f, &there, &fault) == ERR_NONE && there) {
		CHECK(f.count == 1 && slice_compare(f.name, from) >= 0 && (count == 0 || !slice_eq(f.name, from)));
		slice_copy(last, f.name);
		from = (struct slice){last, f.name.len};
		count++;
	}
	return count;
}

/* Fails when all names are sorted, or moved, for a list that has only a few new ones: 200 times as many steps. */
static void streams_are_listed_in_order_while_new_ones_come(void)
{
	enum { BATCHES = 200, BATCH = 100 };
	char lines[BATCH * MANY_LINE];
	fresh_dir();
	open_store();
	CHECK(count_listed((struct slice){0}) == 0);
	for (uint32_t i = 0; i < BATCHES; i++) {
		size_t len = 0;
		for (uint32_t k = 0; k < BATCH; k++) /* in no order: an odd factor reaches each number once */
			len += (size_t)snprintf(lines + len, MANY_LINE, "{\"stream\":\"s%05u\",\"data\":1}\n",
						(i * BATCH + k) * 7919 % (BATCHES * BATCH));
		lines[len - 1] = '\0';
		publish(lines, BATCH);
		bool there;
		struct stream_figures f;
		CHECK(store_stream_from(store, slice_of("s1"), true, &f, &there, &fault) == ERR_NONE);
		if (i % 20 == 0)
			CHECK(count_listed((struct slice){0}) == (i + 1) * BATCH && there &&
			      slice_begins(f.name, slice_of("s1")));
	}
	CHECK(count_listed((struct slice){0}) == BATCHES * BATCH && count_listed(slice_of("s19990")) == 10);
	CHECK(count_listed(slice_of("s1999")) == 10 && count_listed(slice_of("t")) == 0);
	CHECK(stream_order_steps(store->order) < (uint64_t)BATCHES * BATCH * 64);
	close_store();
	remove_dir();
}

/* Fails when the first event of a topic is looked for from the first of all on. */
static void the_first_event_of_a_topic_is_found_at_once(void)
{
	struct index_tail *t = index_tail_create(7, 0);
	CHECK(t != NULL && index_tail_first(t, 1) == 0);
	for (uint32_t i = 0; i < 3 * MANY_TYPES; i++) {
		CHECK(index_tail_reserve(t, 1) == ERR_NONE);
		index_tail_add(t, i % MANY_TYPES * 4096, false);
	}
	for (uint32_t i = 0; i < MANY_TYPES; i++)
		CHECK(index_tail_first(t, i * 4096) == 8 + i && index_tail_first(t, i * 4096 + 1) == 0);
	CHECK(index_tail_first_steps(t) < (uint64_t)MANY_TYPES * 8);
	CHECK(index_tail_agree(t, 7 + 3 * MANY_TYPES) && index_tail_first(t, 4096) == 0);
	index_tail_add(t, 4096, false);
	CHECK(index_tail_first(t, 4096) == 8 + 3 * MANY_TYPES);
	index_tail_destroy(t);
}

/* Fails when the index goes along with every commit it is due for. */
static void brisk_commits_put_the_index_off_but_not_for_ever(void)
{
	fresh_dir();
	open_store_with((struct store_options){.index_every = 4});
	store_defer_flush(store, true);
	for (int i = 0; i < 16; i++)
		publish("{\"data\":1}", 1);
	CHECK(index_tail_upto(store_index_tail(store)) == 0);
	publish("{\"data\":1}", 1);
	CHECK(index_tail_upto(store_index_tail(store)) == 16);
	for (int i = 0; i < 6; i++)
		publish("{\"data\":1}", 1);
	CHECK(index_tail_upto(store_index_tail(store)) == 16);
	store_defer_flush(store, false);
	publish("{\"data\":1}", 1);
	CHECK(index_tail_upto(store_index_tail(store)) == 23);
	verify(24);
	close_store();
	remove_dir();
}

/* So many MiB, in commits of one each. */
static void publish_much(int mib)
{
	static char line[PIECE + 64];
	for (int i = 0; i < mib; i++) {
		int n = sprintf(line, "{\"data\":\"");
		memset(line + n, 'x', PIECE);
		strcpy(line + n + PIECE, "\"}");
		publish(line, 1);
		CHECK(store_maintain(store, false, &fault) == ERR_NONE);
	}
}

static void the_log_is_written_back_beside_commits_and_begins_anew(void)
{
	fresh_dir();
	open_store();
	CHECK(store_write_back_due(store) == 0);
	publish_much(4);
	int pages = store_write_back_due(store);
	CHECK(pages > 4 * PIECE / DB_FILE_PAGE && store_write_back_due(store) == 0);
	CHECK(size_of("tidemark.db") < 4 * PIECE);
	store_write_back(store, pages);
	CHECK(size_of("tidemark.db") >= 4 * PIECE && size_of("tidemark.db-wal") > 4 * PIECE);
	/* With somebody who writes back, and without: the log stays as long as it is. */
	for (int i = 0; i < 30; i++) {
		publish_much(2);
		if ((pages = store_write_back_due(store)) > 0)
			store_write_back(store, pages);
	}
	publish_much(60);
	CHECK(size_of("tidemark.db-wal") < 40 * PIECE);
	verify(124);
	close_store();
	remove_dir();
}

/* --- chosen names and ids --- */

enum { CHOSEN = 1000, CHOSEN_BITS = 0xfff, CHOSEN_LINE = 120 };

typedef bool chosen_fn(struct slice text);

static bool any_text(struct slice text)
{
	(void)text;
	return true;
}

/* The lowest bits are those that tables go by: these are more than a table of CHOSEN entries has. */
static bool id_collides(struct slice id)
{
	return (checksum_key(slice_of("s"), id) & CHOSEN_BITS) == 0;
}

static bool name_collides(struct slice name)
{
	return (checksum_name(name) & CHOSEN_BITS) == 0;
}

static bool topic_collides(struct slice name)
{
	return (checksum_names(name, slice_of("t")) & CHOSEN_BITS) == 0;
}

/* One batch of CHOSEN events: `format` takes a text. */
static void publish_chosen(const char *format, chosen_fn *chosen)
{
	static char lines[CHOSEN * CHOSEN_LINE];
	size_t len = 0;
	for (unsigned i = 0, n = 0; n < CHOSEN; i++) {
		char text[16];
		if (!chosen((struct slice){text, (size_t)snprintf(text, sizeof text, "%08u", i)}))
			continue;
		len += (size_t)snprintf(lines + len, CHOSEN_LINE, format, text);
		n++;
	}
	publish(lines, CHOSEN);
}

static uint64_t id_steps(const char *format, chosen_fn *chosen)
{
	fresh_dir();
	open_store();
	publish_chosen(format, chosen);
	uint64_t steps = index_tail_steps(store_index_tail(store));
	close_store();
	remove_dir();
	return steps;
}

/* Steps when they were published, and after a restart. */
static uint64_t name_steps(chosen_fn *chosen)
{
	fresh_dir();
	open_store();
	publish_chosen("{\"stream\":\"%s\",\"type\":\"t\",\"data\":1}\n", chosen);
	uint64_t steps = catalog_steps(store_catalog(store));
	close_store();
	open_store();
	steps += catalog_steps(store_catalog(store));
	close_store();
	remove_dir();
	return steps;
}

static void chosen_ids_cost_no_more_than_others(void)
{
	static const char format[] = "{\"stream\":\"s\",\"id\":\"%s\",\"data\":1}\n";
	uint64_t ordinary = id_steps(format, any_text);
	CHECK(ordinary >= CHOSEN);
	CHECK(id_steps(format, id_collides) <= 2 * ordinary);
}

/* Of a stream whose hash makes one factor of a product of XXH3 zero, so that the other does not matter: all keys are the
 * same 64 bits. */
static void equal_keys_cost_no_more_than_others(void)
{
	struct slice stream = slice_of("s843");
	CHECK(checksum_key(stream, slice_of("zUDd`tk+00000001abcdefghijklmnop")) ==
	      checksum_key(stream, slice_of("zUDd`tk+00000002abcdefghijklmnop")));
	uint64_t ordinary = id_steps("{\"stream\":\"s843\",\"id\":\"xUDd`tk+%sabcdefghijklmnop\",\"data\":1}\n", any_text);
	uint64_t chosen = id_steps("{\"stream\":\"s843\",\"id\":\"zUDd`tk+%sabcdefghijklmnop\",\"data\":1}\n", any_text);
	CHECK(ordinary >= CHOSEN && chosen <= 2 * ordinary);
}

static void ids_like_too_many_on_disk_are_refused(void)
{
	static const char format[] = "{\"stream\":\"s843\",\"id\":\"zUDd`tk+%sabcdefghijklmnop\",\"data\":1}\n";
	struct receipt r;
	fresh_dir();
	open_store_with((struct store_options){.index_every = 1});
	publish_chosen(format, any_text);
	publish("{\"data\":1}", 1); /* and the index with it */
	uint64_t head = store_head(store);
	CHECK(append("{\"data\":1}\n{\"stream\":\"s843\",\"id\":\"zUDd`tk+00001000abcdefghijklmnop\",\"data\":1}", NULL,
		     &r) == ERR_INVALID);
	CHECK(append("{\"stream\":\"s843\",\"id\":\"zUDd`tk+00000001abcdefghijklmnop\",\"data\":1}", NULL, &r) == ERR_NONE);
	CHECK(r.duplicates == 1);
	receipt_finish(&r);
	CHECK(append("{\"stream\":\"s843\",\"id\":\"other\",\"data\":1}", NULL, &r) == ERR_NONE && r.count == 1);
	receipt_finish(&r);
	commit(1); /* nothing of the refused batch */
	CHECK(store_head(store) == head + 1);
	close_store();
	remove_dir();
}

static void chosen_names_cost_no_more_than_others(void)
{
	uint64_t ordinary = name_steps(any_text);
	CHECK(ordinary >= 4 * CHOSEN); /* streams and topics, twice */
	CHECK(name_steps(name_collides) <= 2 * ordinary);
	CHECK(name_steps(topic_collides) <= 2 * ordinary);
}

/* Somebody puts another file in the place of the database while it is open. */
static void a_database_that_was_replaced_is_not_written_to(void)
{
	char path[128];
	char away[128];
	struct receipt r;
	fresh_dir();
	open_store();
	publish("{\"data\":1}", 1);
	snprintf(path, sizeof path, "%s/tidemark.db", dir);
	snprintf(away, sizeof away, "%s/away", dir);
	CHECK(rename(path, away) == 0);
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	CHECK(fd >= 0 && close(fd) == 0);
	CHECK(append("{\"data\":2}", NULL, &r) == ERR_IO && strstr(fault.text, "another file than the one in use") != NULL);
	store_rollback(store);
	CHECK(rename(away, path) == 0);
	publish("{\"data\":2}", 1);
	close_store();
	remove_dir();
}

static void *unlock_soon(void *arg)
{
	usleep(300000);
	CHECK(sqlite3_close(arg) == SQLITE_OK);
	return NULL;
}

/* Fails when a lock is not waited for before the first statement. */
static void opening_waits_for_a_lock(void)
{
	pthread_t thread;
	sqlite3 *other;
	sqlite3 *db;
	fresh_dir();
	open_store();
	publish("{\"data\":1}", 1);
	close_store();
	char path[TEMP_DIR_LEN + 16];
	snprintf(path, sizeof path, "%s/tidemark.db", dir);
	CHECK(sqlite3_open(path, &other) == SQLITE_OK);
	CHECK(sqlite3_exec(other, "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; SELECT * FROM meta", NULL, NULL,
			   NULL) == SQLITE_OK);
	CHECK(pthread_create(&thread, NULL, unlock_soon, other) == 0);
	CHECK(db_open(path, DB_READ, &db, &fault) == ERR_NONE);
	db_close(db);
	pthread_join(thread, NULL);
	remove_dir();
}

static void on_posted(void *arg, uint64_t seq)
{
	*(uint64_t *)arg += seq;
}

static void postings_that_are_none_are_refused(void)
{
	struct buf bytes;
	uint64_t sum = 0;
	buf_init(&bytes);
	postings_encode(&bytes, 0, 200);
	postings_encode(&bytes, 200, 201);
	CHECK(postings_decode(bytes.data, bytes.len, 201, on_posted, &sum) && sum == 401);
	CHECK(!postings_decode(bytes.data, bytes.len, 200, on_posted, &sum)); /* past its window */
	CHECK(!postings_decode(bytes.data, 1, 201, on_posted, &sum));         /* ends in a number */
	CHECK(!postings_decode("\x01\x00", 2, 201, on_posted, &sum));         /* twice the same */
	CHECK(!postings_decode("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, UINT64_MAX, on_posted, &sum));
	buf_finish(&bytes);
}

/* SQLite's own error for such a path was "No such file or directory". */
static void a_path_that_sqlite_cannot_take_is_refused_as_too_long(void)
{
	char path[STORE_DIR_MAX + 2];
	struct store *s;
	fresh_dir();
	size_t len = (size_t)snprintf(path, sizeof path, "%s/", dir);
	for (; len < STORE_DIR_MAX; len++)
		path[len] = len % 100 == 99 && len + 1 < STORE_DIR_MAX ? '/' : 'd';
	path[len] = '\0';
	CHECK(store_open(path, (struct store_options){.access = STORE_WRITE}, &s, &fault) == ERR_NONE);
	store_close(s);
	path[len] = 'd';
	path[len + 1] = '\0';
	CHECK(store_open(path, (struct store_options){.access = STORE_WRITE}, &s, &fault) == ERR_INVALID);
	CHECK(strstr(fault.text, "493 bytes") != NULL && strstr(fault.text, "492") != NULL);
	CHECK(store_open("", (struct store_options){.access = STORE_WRITE}, &s, &fault) == ERR_INVALID);
	remove_dir();
}

int main(void)
{
	RUN(a_path_that_sqlite_cannot_take_is_refused_as_too_long);
	RUN(a_database_that_was_replaced_is_not_written_to);
	RUN(postings_that_are_none_are_refused);
	RUN(opening_waits_for_a_lock);
	RUN(an_empty_store_has_an_epoch_and_no_events);
	RUN(a_second_writer_is_refused_and_a_reader_is_not);
	RUN(a_newer_or_foreign_file_is_refused);
	RUN(a_rollback_gives_everything_back);
	RUN(ids_are_stored_once);
	RUN(expectations_are_checked_against_the_stream);
	RUN(every_query_agrees_with_a_list);
	RUN(times_are_found_by_bisection);
	RUN(damage_is_found_and_named);
	RUN(sessions_come_back);
	RUN(a_leave_in_doubt_is_counted);
	RUN(events_leave_at_a_cost_that_does_not_grow_with_the_names);
	RUN(the_first_event_of_a_topic_is_found_at_once);
	RUN(streams_are_listed_in_order_while_new_ones_come);
	RUN(a_commit_in_doubt_has_written_the_index_once);
	RUN(brisk_commits_put_the_index_off_but_not_for_ever);
	RUN(the_log_is_written_back_beside_commits_and_begins_anew);
	RUN(chosen_ids_cost_no_more_than_others);
	RUN(equal_keys_cost_no_more_than_others);
	RUN(ids_like_too_many_on_disk_are_refused);
	RUN(chosen_names_cost_no_more_than_others);
	return check_end();
}
