/* Streams and types without events are forgotten; what readers and publishers need to know of them is not. */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "store/read/reader.h"
#include "unit/store/one_store.h"

static uint64_t forgotten_owners;

static void on_forgotten(void *arg, uint64_t owner)
{
	(void)arg;
	forgotten_owners += owner;
}

static void open_names(void)
{
	open_store_with((struct store_options){.index_every = 4, .on_forgotten = on_forgotten});
}

static struct selection *select_of(const char *stream, const char *type)
{
	struct filter *f = filter_create();
	CHECK(f != NULL && (stream == NULL || filter_add_stream(f, slice_of(stream)) == ERR_NONE) &&
	      (type == NULL || filter_add_type(f, slice_of(type)) == ERR_NONE));
	struct selection *select = history_select_take(store, f);
	CHECK(select != NULL);
	return select;
}

static bool may_miss(const char *stream, const char *type, uint64_t after)
{
	struct selection *select = select_of(stream, type);
	bool missing = history_may_miss(store, select, after);
	selection_destroy(select);
	return missing;
}

static bool has_stream(const char *name)
{
	struct stream_figures f;
	return store_find_stream(store, slice_of(name), &f);
}

static void expect_new(const char *stream, bool fine)
{
	struct receipt r;
	char line[64];
	snprintf(line, sizeof line, "{\"stream\":\"%s\",\"data\":1}", stream);
	enum err err = append(line, &(struct append_options){.expect = true}, &r);
	CHECK(err == (fine ? ERR_NONE : ERR_CONFLICT));
	receipt_finish(&r);
	store_rollback(store);
}

static sqlite3_int64 rows_of(const char *sql)
{
	sqlite3_stmt *st;
	CHECK(sqlite3_prepare_v2(reader->db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW);
	sqlite3_int64 rows = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return rows;
}

/* Two streams lose all their events, one some of them, one has newer ones only. */
static void lose_two_streams(void)
{
	fresh_dir();
	forgotten_owners = 0;
	open_names();
	struct receipt r;
	CHECK(append("{\"stream\":\"a\",\"type\":\"x\",\"data\":1}\n{\"stream\":\"a\",\"type\":\"y\",\"data\":1}\n"
		     "{\"stream\":\"b\",\"type\":\"x\",\"data\":1}\n{\"stream\":\"c\",\"type\":\"x\",\"data\":1}",
		     &(struct append_options){.owner = 7}, &r) == ERR_NONE);
	receipt_finish(&r);
	commit(4);
	publish("{\"stream\":\"c\",\"type\":\"x\",\"data\":1}\n{\"stream\":\"c\",\"type\":\"y\",\"data\":1}\n"
		"{\"stream\":\"d\",\"type\":\"x\",\"data\":1}\n{\"stream\":\"c\",\"type\":\"y\",\"data\":1}",
		4);
	publish("{\"stream\":\"d\",\"type\":\"x\",\"data\":1}", 1);
	leave_for_good(4);
}

static void check_two_streams_lost(void)
{
	CHECK(store_topics(store) == 3 && store_streams(store) == 2);
	CHECK(!has_stream("a") && !has_stream("b") && has_stream("c") && has_stream("d"));
	CHECK(rows_of("SELECT count(*) FROM topic") == 3 && rows_of("SELECT count(*) FROM forgotten") == 3);
	CHECK(may_miss("a", NULL, 0) && may_miss("a", "x", 0) && !may_miss("a", "x", 1) && may_miss("a", "y", 1));
	CHECK(!may_miss("a", NULL, 2) && may_miss("b*", NULL, 2) && !may_miss("b*", NULL, 3));
	CHECK(may_miss(NULL, "x", 3) && !may_miss(NULL, "x", 4) && may_miss(NULL, "y", 1) && !may_miss(NULL, "y", 2));
	CHECK(may_miss("c", "x", 3) && !may_miss("c", "y", 0) && !may_miss("d", NULL, 0) && !may_miss("new", NULL, 0));
	expect_new("a", false);
	expect_new("new", true);
}

static void what_has_no_events_is_forgotten(void)
{
	lose_two_streams();
	CHECK(forgotten_owners == 3 * 7);
	check_two_streams_lost();
	close_store();
	open_names();
	check_two_streams_lost();
	verify(5);
	/* They come back under other numbers. */
	uint32_t end = store_topics_end(store);
	publish("{\"stream\":\"a\",\"type\":\"x\",\"data\":1}", 1);
	CHECK(end == 6 && store_topics_end(store) == 7 && store_topics(store) == 4 && has_stream("a"));
	CHECK(may_miss("a", "x", 0) && !may_miss("a", "x", 1));
	verify(6);
	close_store();
	remove_dir();
}

/* Also when all are gone, so that no row says what numbers there were. */
static void numbers_are_not_given_again(void)
{
	fresh_dir();
	open_names();
	publish("{\"stream\":\"a\",\"data\":1}\n{\"stream\":\"a\",\"data\":1}\n{\"stream\":\"a\",\"data\":1}\n{\"stream\":"
		"\"a\",\"data\":1}",
		4);
	publish("{\"stream\":\"b\",\"data\":1}", 1);
	leave_for_good(4);
	close_store();
	open_names();
	publish("{\"stream\":\"c\",\"data\":1}\n{\"stream\":\"c\",\"data\":1}\n{\"stream\":\"c\",\"data\":1}\n{\"stream\":"
		"\"c\",\"data\":1}",
		4);
	leave_for_good(5);
	CHECK(store_topics_end(store) == 3 && store_topics(store) == 1 && rows_of("SELECT max(id) FROM topic") == 2);
	close_store();
	remove_dir();
}

/* Two streams of two events each, and one of one. */
static void publish_three(void)
{
	fresh_dir();
	open_names();
	publish("{\"stream\":\"a\",\"data\":1}\n{\"stream\":\"a\",\"data\":1}\n{\"stream\":\"b\",\"data\":1}\n{\"stream\":"
		"\"b\",\"data\":1}",
		4);
	publish("{\"stream\":\"c\",\"data\":1}", 1);
}

/* Fails when a topic is forgotten that gets an event in the transaction that takes its older ones. */
static void what_gets_events_meanwhile_stays(void)
{
	struct receipt r;
	uint64_t left;
	publish_three();
	CHECK(append("{\"stream\":\"a\",\"data\":1}", NULL, &r) == ERR_NONE);
	receipt_finish(&r);
	CHECK(store_evict(store, 4, 4, NULL, &left, &fault) == ERR_NONE && left == 4);
	CHECK(append("{\"stream\":\"a\",\"data\":1}", NULL, &r) == ERR_NONE);
	receipt_finish(&r);
	commit(2);
	CHECK(has_stream("a") && !has_stream("b") && store_topics(store) == 2);
	verify(3);
	close_store();
	open_names();
	CHECK(has_stream("a") && !has_stream("b") && store_topics(store) == 2);
	verify(3);
	close_store();
	remove_dir();
}

static void a_leave_in_doubt_forgets(void)
{
	uint64_t left;
	publish_three();
	CHECK(store_evict(store, 2, 2, NULL, &left, &fault) == ERR_NONE && left == 2);
	CHECK(!commit_in_doubt());
	CHECK(store_topics(store) == 2 && !has_stream("a") && may_miss("a", NULL, 0));
	/* And one that is rolled back does not. */
	CHECK(store_evict(store, 4, 4, NULL, &left, &fault) == ERR_NONE && left == 4);
	store_rollback(store);
	CHECK(store_topics(store) == 2 && has_stream("b"));
	publish("{\"stream\":\"b\",\"data\":1}", 1);
	verify(4);
	close_store();
	remove_dir();
}

/* A request that is refused, or whose events turn out to be there already. */
static void names_without_events_are_none(void)
{
	struct receipt r;
	uint64_t few = 1;
	fresh_dir();
	open_names();
	publish("{\"stream\":\"a\",\"id\":\"1\",\"data\":1}", 1);
	CHECK(append("{\"stream\":\"b\",\"data\":1}\n{\"stream\":\"c\",\"data\":1}",
		     &(struct append_options){.topics_left = &few}, &r) == ERR_RATE &&
	      r.topics == 0);
	publish("{\"stream\":\"a\",\"type\":\"other\",\"id\":\"1\",\"data\":1}", 0);
	publish("{\"stream\":\"d\",\"type\":\"x\",\"id\":\"2\",\"data\":1}\n{\"stream\":\"d\",\"type\":\"y\",\"id\":\"2\","
		"\"data\":1}",
		1);
	CHECK(store_topics(store) == 2 && rows_of("SELECT count(*) FROM topic") == 2 && !has_stream("b"));
	verify(2);
	close_store();
	remove_dir();
}

/* As a store of an older version has them, or one that was killed. */
static void rows_without_events_go_at_the_start(void)
{
	fresh_dir();
	open_names();
	publish("{\"stream\":\"a\",\"data\":1}\n{\"stream\":\"b\",\"data\":1}\n{\"stream\":\"a\",\"data\":1}\n{\"stream\":"
		"\"a\",\"data\":1}",
		4);
	close_store();
	damage("INSERT INTO topic(id, stream, type, gone) VALUES (2, 'old', 'x', 3), (3, 'none', 'x', 0)");
	open_names();
	CHECK(store_topics(store) == 2 && rows_of("SELECT count(*) FROM topic") == 2 && store_topics_end(store) == 4);
	CHECK(may_miss("old", NULL, 2) && !may_miss("none", NULL, 0));
	verify(4);
	close_store();
	remove_dir();
}

/* --- many, and for long --- */

enum { ROUNDS = 24, NAMES = 4000, LINE = 48 };

static void publish_round(int round)
{
	char *lines = malloc((size_t)NAMES * LINE);
	size_t len = 0;
	CHECK(lines != NULL);
	for (int i = 0; i < NAMES; i++)
		len += (size_t)snprintf(lines + len, LINE, "{\"stream\":\"r%d-%d\",\"data\":1}\n", round, i);
	lines[len - 1] = '\0';
	publish(lines, NAMES);
	free(lines);
}

static atomic_bool stop;

static void list_some(void)
{
	struct stream_figures f;
	char last[EVENT_NAME_MAX];
	struct slice from = {last, 0};
	bool there;
	struct fault why;
	for (int i = 0; i < 200; i++) {
		struct slice before = from;
		if (store_stream_from(store, from, true, &f, &there, &why) != ERR_NONE)
			return;
		if (!there)
			return;
		CHECK(f.name.len > 0 && slice_compare(before, f.name) < 0);
		slice_copy(last, f.name);
		from.len = f.name.len;
	}
}

/* Reads what there is, by pages and by names, while names come and go. */
static void *read_along(void *arg)
{
	(void)arg;
	struct reader *own;
	struct fault why;
	struct filter *f = filter_create();
	CHECK(reader_open(store, &own, &why) == ERR_NONE && f != NULL && filter_add_stream(f, slice_of("r*")) == ERR_NONE);
	struct selection *select = history_select_take(store, f);
	CHECK(select != NULL);
	while (!atomic_load(&stop)) {
		struct page *page;
		uint64_t after = store_first(store) - 1;
		struct history_query q = {.after = after, .count_max = 500, .bytes_max = 1 << 20, .select = select};
		enum err err = history_page(own, &q, &page, &why);
		CHECK(err == ERR_NONE || err == ERR_GONE);
		if (err == ERR_NONE)
			for (uint32_t i = 0; i < page_count(page); i++)
				CHECK(slice_begins(page_envelope(page, i), slice_of("{\"seq\":")));
		if (err == ERR_NONE)
			page_unref(page);
		CHECK(selection_count(select) <= 8 * NAMES);
		list_some();
	}
	selection_destroy(select);
	reader_close(own);
	return NULL;
}

/* Fails, and the sanitizers see it, when names go while somebody reads them; and when anything of them is kept. */
static void names_that_come_and_go_take_no_room(void)
{
	pthread_t threads[2];
	fresh_dir();
	open_store_with((struct store_options){.index_every = NAMES});
	for (int i = 0; i < 2; i++)
		CHECK(pthread_create(&threads[i], NULL, read_along, NULL) == 0);
	for (int round = 0; round < ROUNDS; round++) {
		publish_round(round);
		if (round > 1)
			leave_for_good((uint64_t)(round - 1) * NAMES);
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	CHECK(store_topics(store) == 2 * NAMES && store_streams(store) == 2 * NAMES);
	CHECK(store_topics_end(store) == ROUNDS * NAMES);
	/* That retention was faster than a reader is no damage. */
	struct fault why;
	CHECK(!store_unhealthy(store, &why));
	/* Of so many only the newest are known by name. */
	CHECK(rows_of("SELECT count(*) FROM forgotten") == FORGOTTEN_MAX);
	CHECK(may_miss("r0-0", NULL, 0) && may_miss("never", NULL, 0));
	uint64_t known = (uint64_t)(ROUNDS - 2) * NAMES - FORGOTTEN_MAX;
	CHECK(!may_miss("never", NULL, known) && may_miss("r21-*", NULL, known) && !may_miss("r22-*", NULL, known));
	verify(2 * NAMES);
	close_store();
	open_store();
	CHECK(store_topics(store) == 2 * NAMES && !may_miss("never", NULL, known) && may_miss("never", NULL, known - 1));
	verify(2 * NAMES);
	close_store();
	remove_dir();
}

int main(void)
{
	RUN(what_has_no_events_is_forgotten);
	RUN(numbers_are_not_given_again);
	RUN(what_gets_events_meanwhile_stays);
	RUN(a_leave_in_doubt_forgets);
	RUN(names_without_events_are_none);
	RUN(rows_without_events_go_at_the_start);
	RUN(names_that_come_and_go_take_no_room);
	return check_end();
}
