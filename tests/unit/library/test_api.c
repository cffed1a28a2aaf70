/* libtidemark through its public interface alone. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <tidemark/tidemark.h>
#include <unistd.h>

#include "unit/temp_dir.h"

static char dir[TEMP_DIR_LEN];
static struct tm_store *store;
static struct tm_error error;

#define OK(call)                                                                                                            \
	do {                                                                                                                \
		if ((call) != TM_OK)                                                                                        \
			check_fail(__FILE__, __LINE__, __func__, "%s: %s", #call, error.text);                              \
	} while (0)

static void open_store(const struct tm_options *options)
{
	OK(tm_open(dir, options, &store, &error));
}

static void set_up(void)
{
	temp_dir_make(dir);
	open_store(NULL);
}

static void tear_down(void)
{
	tm_close(store);
	temp_dir_remove(dir);
}

/* Appends `count` events with ids "PREFIX1" and so on, one each time. */
static void append(const char *stream, const char *prefix, int count)
{
	for (int i = 1; i <= count; i++) {
		char id[32];
		char data[64];
		snprintf(id, sizeof id, "%s%d", prefix, i);
		snprintf(data, sizeof data, "{ \"n\": %d }", i);
		struct tm_new_event e = {.stream = stream, .type = i % 2 ? "odd" : "even", .id = id, .data = data};
		OK(tm_append(store, &e, 1, NULL, NULL, &error));
	}
}

static struct tm_reader *reader_of(struct tm_reader_options options)
{
	struct tm_reader *r;
	OK(tm_reader_open(store, &options, &r, &error));
	return r;
}

/* Reads to the end, and compares the seqs with first, first + step and so on up to last. */
static void check_seqs(struct tm_reader_options options, uint64_t first, uint64_t last, int64_t step)
{
	struct tm_reader *r = reader_of(options);
	const struct tm_event *e;
	enum tm_err err;
	uint64_t wanted = first;
	while ((err = tm_reader_next(r, 0, &e, &error)) == TM_OK) {
		CHECK(e->seq == wanted && wanted != last + (uint64_t)step);
		wanted += (uint64_t)step;
	}
	CHECK(err == TM_END && wanted == last + (uint64_t)step);
	tm_reader_close(r);
}

/* --- version, errors, log --- */

static void test_version(void)
{
	char parts[32];
	snprintf(parts, sizeof parts, "%d.%d.%d", TM_VERSION_MAJOR, TM_VERSION_MINOR, TM_VERSION_PATCH);
	CHECK(strcmp(tm_version(), TM_VERSION) == 0 && strcmp(parts, TM_VERSION) == 0);
	for (int code = TM_OK; code <= TM_READ_ONLY; code++) {
		CHECK(strcmp(tm_error_name((enum tm_err)code), "unknown") != 0);
		for (int other = TM_OK; other < code; other++)
			CHECK(strcmp(tm_error_name((enum tm_err)code), tm_error_name((enum tm_err)other)) != 0);
	}
	CHECK(strcmp(tm_error_name((enum tm_err)999), "unknown") == 0);
}

static void on_log(void *arg, enum tm_log_level level, const char *text)
{
	CHECK(level == TM_LOG_INFO && strncmp(text, "msg=\"sealed an archive\" file=", 29) == 0);
	++*(int *)arg;
}

static void test_log(void)
{
	int lines = 0;
	set_up();
	append("s", "a", 6);
	tm_set_log(on_log, &lines, TM_LOG_INFO);
	OK(tm_seal(store, 2, NULL, NULL, &error));
	CHECK(lines == 1);
	tm_set_log(on_log, &lines, TM_LOG_WARN);
	OK(tm_seal(store, 4, NULL, NULL, &error));
	tm_set_log(NULL, NULL, TM_LOG_DEBUG);
	OK(tm_seal(store, 5, NULL, NULL, &error));
	CHECK(lines == 1);
	tear_down();
}

/* --- appending --- */

static void test_append(void)
{
	const struct tm_new_event events[] = {
		{.data = " { \"a\" : 1.50 } "},
		{.stream = "\"quoted\"", .type = "t\\", .id = "ä", .data = "[1]...", .data_len = 3},
		{.stream = "s", .type = "t", .id = "1", .data = "null"},
		{.stream = "s", .type = "t", .id = "1", .data = "\"again\""},
	};
	struct tm_receipt receipt;
	uint64_t seqs[4] = {0};
	set_up();
	OK(tm_append(store, events, 4, &(struct tm_append_options){.seqs = seqs, .seqs_max = 4}, &receipt, &error));
	CHECK(receipt.first == 1 && receipt.last == 3 && receipt.count == 3 && receipt.duplicates == 1);
	CHECK(seqs[0] == 1 && seqs[1] == 2 && seqs[2] == 3 && seqs[3] == 3 && receipt.time > 0);
	struct tm_reader *r = reader_of((struct tm_reader_options){0});
	struct tm_page *page;
	OK(tm_reader_page(r, 0, &page, &error));
	CHECK(tm_page_count(page) == 3 && tm_page_event(page, 3) == NULL && tm_reader_position(r) == 3);
	const struct tm_event *e = tm_page_event(page, 0);
	CHECK(strcmp(e->stream, "default") == 0 && strcmp(e->type, "event") == 0 && e->id[0] == '\0');
	CHECK(strcmp(e->data, "{\"a\":1.50}") == 0 && e->data_len == 10 && e->seq == 1 && e->time == receipt.time);
	e = tm_page_event(page, 1);
	CHECK(strcmp(e->stream, "\"quoted\"") == 0 && strcmp(e->type, "t\\") == 0 && strcmp(e->id, "ä") == 0);
	CHECK(strcmp(e->data, "[1]") == 0 && strlen(e->json) == e->json_len);
	CHECK(strstr(e->json, "\"stream\":\"\\\"quoted\\\"\",\"type\":\"t\\\\\",\"id\":\"ä\",\"data\":[1]}") != NULL);
	tm_reader_close(r);
	CHECK(strcmp(tm_page_event(page, 2)->data, "null") == 0); /* a page does not need its reader */
	tm_page_free(page);
	tear_down();
}

static void check_refused(struct tm_new_event bad, enum tm_err wanted, const char *why)
{
	const struct tm_new_event events[] = {{.data = "1"}, bad};
	struct tm_receipt receipt = {.first = 99};
	error = (struct tm_error){0};
	CHECK(tm_append(store, events, 2, NULL, &receipt, &error) == wanted && error.code == wanted);
	if (error.place != 1 || strstr(error.text, why) == NULL || receipt.first != 0)
		fprintf(stderr, "place %ld: %s\n", error.place, error.text);
	CHECK(error.place == 1 && strstr(error.text, why) != NULL && receipt.first == 0);
	CHECK(tm_append(store, events, 2, NULL, NULL, NULL) == wanted && tm_head(store) == 0);
}

static void test_refusals(void)
{
	char name[TM_NAME_MAX + 2];
	memset(name, 'x', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	temp_dir_make(dir);
	open_store(&(struct tm_options){.data_max = 10, .events_max = 2});
	check_refused((struct tm_new_event){.data = NULL}, TM_INVALID, "not JSON");
	check_refused((struct tm_new_event){.data = "{\"a\":}"}, TM_INVALID, "not JSON at byte 5");
	check_refused((struct tm_new_event){.data = "1},{\"data\":2"}, TM_INVALID, "not JSON");
	check_refused((struct tm_new_event){.data = "12345678901"}, TM_TOO_LARGE, "11 bytes");
	check_refused((struct tm_new_event){.stream = "", .data = "1"}, TM_INVALID, "\"stream\" is empty");
	check_refused((struct tm_new_event){.type = name, .data = "1"}, TM_INVALID, "\"type\" is longer");
	check_refused((struct tm_new_event){.id = "a\n", .data = "1"}, TM_INVALID, "\"id\" is not UTF-8");
	check_refused((struct tm_new_event){.id = "\xff", .data = "1"}, TM_INVALID, "\"id\" is not UTF-8");
	CHECK(tm_append(store, NULL, 0, NULL, NULL, &error) == TM_INVALID && error.place == -1);
	const struct tm_new_event three[] = {{.data = "1"}, {.data = "2"}, {.data = "3"}};
	CHECK(tm_append(store, three, 3, NULL, NULL, &error) == TM_TOO_LARGE && error.place == 2);
	tear_down();
}

static void test_json(void)
{
	static const char lines[] = "{\"stream\":\"s\",\"data\":1}\n\n{\"data\":{\"b\":2}}\n";
	static const char cloud[] = "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\"}";
	struct tm_receipt receipt;
	set_up();
	OK(tm_append_json(store, (struct tm_text){lines, sizeof lines - 1, TM_LINES}, NULL, &receipt, &error));
	CHECK(receipt.count == 2);
	OK(tm_append_json(store, (struct tm_text){"[{\"data\":1}]", 12, TM_JSON}, NULL, &receipt, &error));
	OK(tm_append_json(store, (struct tm_text){cloud, sizeof cloud - 1, TM_CLOUDEVENT}, NULL, &receipt, &error));
	CHECK(receipt.first == 4 && receipt.count == 1);
	CHECK(tm_append_json(store, (struct tm_text){"{}\n{", 4, TM_LINES}, NULL, NULL, &error) == TM_INVALID &&
	      error.place == 2);
	CHECK(tm_append_json(store, (struct tm_text){"[]", 2, TM_CLOUDEVENTS}, NULL, NULL, &error) == TM_INVALID);
	CHECK(tm_append_json(store, (struct tm_text){"1", 1, (enum tm_form)7}, NULL, NULL, &error) == TM_INVALID);
	CHECK(tm_head(store) == 4);
	tear_down();
}

static void test_expectation(void)
{
	const struct tm_new_event e = {.stream = "s", .data = "1"};
	set_up();
	OK(tm_append(store, &e, 1, &(struct tm_append_options){.expect = true}, NULL, &error));
	CHECK(tm_append(store, &e, 1, &(struct tm_append_options){.expect = true}, NULL, &error) == TM_CONFLICT);
	CHECK(error.expected == 0 && error.actual == 1);
	OK(tm_append(store, &e, 1, &(struct tm_append_options){.expect = true, .expect_last = 1}, NULL, &error));
	CHECK(tm_head(store) == 2);
	tear_down();
}

/* --- transactions and positions --- */

static void test_transaction(void)
{
	const struct tm_new_event e = {.stream = "s", .data = "1"};
	const struct tm_new_event bad = {.stream = "s", .data = "x"};
	struct tm_transaction *t;
	struct tm_transaction *second;
	struct tm_receipt receipt;
	uint64_t position;
	set_up();
	OK(tm_begin(store, &t, &error));
	OK(tm_add(t, &e, 1, NULL, &receipt, &error));
	CHECK(receipt.first == 1 && tm_head(store) == 0);
	CHECK(tm_add(t, &bad, 1, NULL, NULL, &error) == TM_INVALID); /* and it goes on */
	CHECK(tm_add_json(t, (struct tm_text){"]", 1, TM_JSON}, NULL, NULL, &error) == TM_INVALID);
	OK(tm_add_json(t, (struct tm_text){"{\"data\":2}", 10, TM_JSON}, NULL, &receipt, &error));
	CHECK(tm_add_position(t, "p", 3, &error) == TM_INVALID);
	OK(tm_add_position(t, "p", 2, &error));
	/* This thread would wait for itself. */
	CHECK(tm_append(store, &e, 1, NULL, NULL, &error) == TM_INVALID && strstr(error.text, "transaction") != NULL);
	CHECK(tm_begin(store, &second, &error) == TM_INVALID && second == NULL);
	CHECK(tm_seal(store, 1, NULL, NULL, &error) == TM_OK); /* there is nothing to seal yet */
	OK(tm_commit(t, &error));
	CHECK(tm_head(store) == 2 && receipt.last == 2);
	OK(tm_position(store, "p", &position, &error));
	CHECK(position == 2);
	OK(tm_begin(store, &t, &error));
	OK(tm_add(t, &e, 1, NULL, NULL, &error));
	OK(tm_add_position(t, "p", 3, &error));
	tm_rollback(t);
	tm_rollback(NULL);
	OK(tm_begin(store, &t, &error));
	OK(tm_commit(t, &error)); /* an empty one */
	OK(tm_append(store, &e, 1, NULL, &receipt, &error));
	CHECK(receipt.first == 3); /* what was given up has left no hole */
	OK(tm_position(store, "p", &position, &error));
	CHECK(position == 2);
	tear_down();
}

static void test_positions(void)
{
	uint64_t position = 7;
	set_up();
	append("s", "a", 3);
	CHECK(tm_position(store, "a", &position, &error) == TM_NOT_FOUND && position == 0);
	OK(tm_position_save(store, "a", 3, &error));
	OK(tm_position_save(store, "b", 0, &error));
	CHECK(tm_position_save(store, "a", 4, &error) == TM_INVALID);
	CHECK(tm_position_save(store, "", 1, &error) == TM_INVALID);
	CHECK(tm_position(store, NULL, &position, &error) == TM_INVALID);
	tm_close(store);
	open_store(NULL);
	OK(tm_position(store, "a", &position, &error));
	CHECK(position == 3);
	OK(tm_position_delete(store, "a", &error));
	OK(tm_position_delete(store, "a", &error));
	CHECK(tm_position(store, "a", &position, &error) == TM_NOT_FOUND);
	OK(tm_position(store, "b", &position, &error));
	tear_down();
}

/* --- reading --- */

static void test_reading(void)
{
	const char *const odd[] = {"o*", NULL};
	const char *const b[] = {"b", "none", NULL};
	const char *const two[] = {"/n=2", NULL};
	const char *const wrong[] = {"n=2", NULL};
	struct tm_reader *r;
	const struct tm_event *e;
	struct tm_page *page;
	set_up();
	check_seqs((struct tm_reader_options){0}, 1, 0, 1);
	append("a", "x", 10);
	append("b", "x", 10);
	check_seqs((struct tm_reader_options){0}, 1, 20, 1);
	check_seqs((struct tm_reader_options){.after = 5, .before = 9, .page_events = 2}, 6, 8, 1);
	check_seqs((struct tm_reader_options){.streams = b}, 11, 20, 1);
	check_seqs((struct tm_reader_options){.streams = b, .types = odd}, 11, 19, 2);
	check_seqs((struct tm_reader_options){.where = two}, 2, 12, 10);
	check_seqs((struct tm_reader_options){.descending = true, .page_events = 3}, 20, 1, -1);
	check_seqs((struct tm_reader_options){.descending = true, .before = 9, .after = 5}, 8, 6, -1);
	CHECK(tm_reader_open(store, &(struct tm_reader_options){.where = wrong}, &r, &error) == TM_INVALID && r == NULL);
	CHECK(strstr(error.text, "where \"n=2\"") != NULL);
	r = reader_of((struct tm_reader_options){.types = odd});
	OK(tm_reader_next(r, 0, &e, &error));
	OK(tm_reader_next(r, 0, &e, &error));
	CHECK(e->seq == 3 && tm_reader_position(r) == 3);
	OK(tm_reader_page(r, 0, &page, &error)); /* what is left of the page is read again */
	CHECK(tm_page_event(page, 0)->seq == 5 && tm_reader_position(r) == 20);
	tm_page_free(page);
	CHECK(tm_reader_next(r, 1, &e, &error) == TM_END && e == NULL);
	tm_reader_seek(r, 12);
	OK(tm_reader_next(r, 0, &e, &error));
	CHECK(e->seq == 13);
	OK(tm_reader_seek_time(r, e->time + 1000000, &error));
	CHECK(tm_reader_next(r, 0, &e, &error) == TM_END);
	OK(tm_reader_seek_time(r, 1, &error));
	OK(tm_reader_next(r, 0, &e, &error));
	CHECK(e->seq == 1 && tm_reader_skip(r) == 0);
	tm_reader_interrupt(r);
	CHECK(tm_reader_page(r, 0, &page, &error) == TM_INTERRUPTED && page == NULL);
	OK(tm_reader_page(r, 0, &page, &error));
	tm_page_free(page);
	tm_reader_close(r);
	tm_reader_close(NULL);
	tear_down();
}

static void test_streams(void)
{
	struct tm_stream s;
	struct tm_info info;
	set_up();
	append("b", "x", 3);
	append("a", "x", 2);
	OK(tm_find_stream(store, "b", &s, &error));
	CHECK(strcmp(s.name, "b") == 0 && s.first == 1 && s.last == 3 && s.count == 3 && s.bytes == 21);
	CHECK(tm_find_stream(store, "c", &s, &error) == TM_NOT_FOUND && tm_find_stream(store, "", &s, &error) == TM_INVALID);
	OK(tm_next_stream(store, "", &s, &error));
	CHECK(strcmp(s.name, "a") == 0);
	OK(tm_next_stream(store, s.name, &s, &error));
	CHECK(strcmp(s.name, "b") == 0);
	CHECK(tm_next_stream(store, s.name, &s, &error) == TM_END && s.name[0] == '\0');
	tm_get_info(store, &info);
	CHECK(info.first == 1 && info.head == 5 && info.log_first == 1 && info.streams == 2 && info.archives == 0);
	CHECK(info.last_time > 0 && info.log_bytes > 0 && strlen(info.epoch) == TM_EPOCH_LEN);
	tear_down();
}

/* --- live --- */

enum { WRITERS = 4, EACH = 200 };

static void *run_writer(void *arg)
{
	char prefix[8];
	snprintf(prefix, sizeof prefix, "w%d-", *(int *)arg);
	append("live", prefix, EACH);
	return NULL;
}

static void *run_reader(void *arg)
{
	(void)arg;
	struct tm_error why;
	struct tm_reader *r;
	const struct tm_event *e;
	const char *const live[] = {"live", NULL};
	CHECK(tm_reader_open(store, &(struct tm_reader_options){.streams = live}, &r, &why) == TM_OK);
	uint64_t last = 0;
	for (int i = 0; i < WRITERS * EACH; i++) {
		CHECK(tm_reader_next(r, -1, &e, &why) == TM_OK && e->seq > last);
		last = e->seq;
	}
	CHECK(tm_reader_next(r, 0, &e, &why) == TM_END);
	tm_reader_close(r);
	return NULL;
}

/* Writers, readers, a transaction now and then, and sealing, all at once. */
static void test_threads(void)
{
	pthread_t writers[WRITERS];
	pthread_t readers[WRITERS];
	int numbers[WRITERS];
	set_up();
	for (int i = 0; i < WRITERS; i++) {
		numbers[i] = i;
		CHECK(pthread_create(&readers[i], NULL, run_reader, NULL) == 0);
		CHECK(pthread_create(&writers[i], NULL, run_writer, &numbers[i]) == 0);
	}
	for (int i = 0; i < 20; i++) {
		const struct tm_new_event e = {.stream = "other", .data = "1"};
		struct tm_transaction *t;
		OK(tm_begin(store, &t, &error));
		OK(tm_add(t, &e, 1, NULL, NULL, &error));
		OK(tm_add(t, &e, 1, NULL, NULL, &error));
		OK(tm_commit(t, &error));
		OK(tm_seal(store, tm_head(store) / 2, NULL, NULL, &error));
	}
	for (int i = 0; i < WRITERS; i++)
		CHECK(pthread_join(writers[i], NULL) == 0 && pthread_join(readers[i], NULL) == 0);
	check_seqs((struct tm_reader_options){0}, 1, WRITERS * EACH + 40, 1);
	tm_close(store);
	struct tm_verified v;
	OK(tm_verify(dir, NULL, &v, &error));
	CHECK(v.events == WRITERS * EACH + 40 && v.first == 1 && v.head == v.events && v.skipped[0] == '\0');
	temp_dir_remove(dir);
}

static void *wait_for_event(void *arg)
{
	const struct tm_event *e;
	struct tm_error why;
	enum tm_err err = tm_reader_next(arg, 60000, &e, &why);
	return (void *)(uintptr_t)(err == TM_OK ? 1000 + e->seq : (uint64_t)err);
}

static void test_waiting(void)
{
	pthread_t thread;
	void *result;
	set_up();
	struct tm_reader *r = reader_of((struct tm_reader_options){0});
	CHECK(pthread_create(&thread, NULL, wait_for_event, r) == 0);
	usleep(20000);
	append("s", "a", 1);
	CHECK(pthread_join(thread, &result) == 0 && (uintptr_t)result == 1001);
	CHECK(pthread_create(&thread, NULL, wait_for_event, r) == 0);
	usleep(20000);
	tm_reader_interrupt(r);
	CHECK(pthread_join(thread, &result) == 0 && (uintptr_t)result == TM_INTERRUPTED);
	/* A bound or a direction that leaves nothing to wait for. */
	const struct tm_event *e;
	struct tm_reader *bounded = reader_of((struct tm_reader_options){.after = 1, .before = 2});
	CHECK(tm_reader_next(bounded, -1, &e, &error) == TM_END);
	tm_reader_close(bounded);
	bounded = reader_of((struct tm_reader_options){.descending = true, .before = 1});
	CHECK(tm_reader_next(bounded, -1, &e, &error) == TM_END);
	tm_reader_close(bounded);
	tm_reader_close(r);
	tear_down();
}

/* --- archives --- */

static bool on_stop(void *arg)
{
	(void)arg;
	return true;
}

static void on_progress(void *arg, uint64_t done, uint64_t all)
{
	uint64_t *seen = arg;
	CHECK(done >= seen[0] && done <= all);
	seen[0] = done;
	seen[1] = all;
}

static void test_seal(void)
{
	struct tm_sealed sealed;
	struct tm_info info;
	struct tm_archive_info a;
	uint64_t seen[2] = {0};
	struct tm_seal_options options = {.archive_events = 4, .level = 1, .watch = {.progress = on_progress, .arg = seen}};
	set_up();
	OK(tm_seal(store, 100, NULL, &sealed, &error)); /* nothing is there */
	append("s", "a", 12);
	const struct tm_seal_options stopped = {.watch = {.stop = on_stop}};
	CHECK(tm_seal(store, 100, &stopped, &sealed, &error) == TM_INTERRUPTED && sealed.events == 0);
	CHECK(tm_seal(store, 100, &(struct tm_seal_options){.level = 20}, NULL, &error) == TM_INVALID);
	OK(tm_seal(store, 100, &options, &sealed, &error));
	CHECK(sealed.archives == 3 && sealed.events == 11 && seen[0] == 11 && seen[1] == 11);
	tm_get_info(store, &info);
	CHECK(info.first == 1 && info.log_first == 12 && info.archives == 3 && info.archive_bytes > 0);
	check_seqs((struct tm_reader_options){.page_events = 3}, 1, 12, 1);
	check_seqs((struct tm_reader_options){.descending = true}, 12, 1, -1);
	OK(tm_archive_at(store, 1, &a, &error));
	CHECK(a.first == 5 && a.last == 8 && a.count == 4 && a.bytes > 0 && strlen(a.chain) == TM_DIGEST_LEN);
	CHECK(strcmp(a.epoch, info.epoch) == 0 && strstr(a.path, "/archives/5-8.ndjson.zst") != NULL);
	CHECK(tm_archive_delete(store, a.path, &error) == TM_CONFLICT);
	CHECK(tm_archive_delete(store, "1-1.ndjson.zst", &error) == TM_NOT_FOUND);
	CHECK(tm_archive_at(store, 3, &a, &error) == TM_END && a.path[0] == '\0');
	/* Ids are known also when the event is in an archive. */
	const struct tm_new_event again = {.stream = "s", .id = "a1", .data = "1"};
	struct tm_receipt receipt;
	OK(tm_append(store, &again, 1, NULL, &receipt, &error));
	CHECK(receipt.duplicates == 1 && receipt.first == 1);
	tear_down();
}

static bool stop_once_sealed(void *arg)
{
	(void)arg;
	struct tm_archive_info a;
	return tm_archive_at(store, 0, &a, NULL) == TM_OK;
}

/* Interrupted between the archive and the log: all can be read, and the next seal goes on with the archive that is there. */
static void test_interrupted_seal(void)
{
	const struct tm_seal_options stopped = {.archive_events = 5, .watch = {.stop = stop_once_sealed}};
	struct tm_sealed sealed;
	struct tm_info info;
	set_up();
	append("s", "a", 9);
	CHECK(tm_seal(store, 8, &stopped, &sealed, &error) == TM_INTERRUPTED && sealed.events == 0);
	tm_get_info(store, &info);
	CHECK(info.archives == 1 && info.log_first == 1);
	check_seqs((struct tm_reader_options){0}, 1, 9, 1);
	OK(tm_seal(store, 8, NULL, &sealed, &error));
	tm_get_info(store, &info);
	CHECK(sealed.archives == 2 && sealed.events == 8 && info.archives == 2 && info.log_first == 9);
	check_seqs((struct tm_reader_options){0}, 1, 9, 1);
	tear_down();
}

static void test_discard(void)
{
	const struct tm_event *e;
	uint64_t discarded;
	set_up();
	append("s", "a", 5);
	OK(tm_discard(store, 3, &discarded, &error));
	CHECK(discarded == 3);
	struct tm_reader *r = reader_of((struct tm_reader_options){.after = 1});
	CHECK(tm_reader_next(r, 0, &e, &error) == TM_GONE && tm_reader_position(r) == 1);
	CHECK(tm_reader_skip(r) == 2 && tm_reader_next(r, 0, &e, &error) == TM_OK && e->seq == 4);
	tm_reader_close(r);
	OK(tm_discard(store, UINT64_MAX, NULL, &error));
	check_seqs((struct tm_reader_options){.descending = true}, 5, 5, -1);
	append("s", "b", 1);
	CHECK(tm_head(store) == 6);
	tear_down();
}

static void test_archive_alone(void)
{
	struct tm_archive_info listed;
	struct tm_archive_info a;
	struct tm_archive *archive;
	const struct tm_event *e;
	struct tm_page *page;
	set_up();
	append("s", "a", 9);
	OK(tm_seal(store, 8, NULL, NULL, &error));
	OK(tm_archive_at(store, 0, &listed, &error));
	OK(tm_archive_verify(listed.path, NULL, &a, &error));
	CHECK(memcmp(&a, &listed, sizeof a) == 0);
	OK(tm_archive_open(listed.path, &archive, &error));
	tm_archive_get_info(archive, &a);
	CHECK(memcmp(&a, &listed, sizeof a) == 0);
	for (uint64_t seq = 1; seq <= 8; seq++) {
		OK(tm_archive_next(archive, &e, &error));
		CHECK(e->seq == seq && strcmp(e->stream, "s") == 0 && e->data[0] == '{');
	}
	CHECK(tm_archive_next(archive, &e, &error) == TM_END && e == NULL);
	OK(tm_archive_seek(archive, 5, &error));
	OK(tm_archive_next(archive, &e, &error));
	CHECK(e->seq == 6);
	OK(tm_archive_page(archive, &page, &error)); /* what is left of the page is read again */
	CHECK(tm_page_count(page) == 2 && tm_page_event(page, 0)->seq == 7);
	tm_page_free(page);
	OK(tm_archive_seek(archive, 8, &error));
	CHECK(tm_archive_page(archive, &page, &error) == TM_END && page == NULL);
	tm_archive_close(archive);
	tm_archive_close(NULL);
	CHECK(tm_archive_open("/nowhere", &archive, &error) == TM_NOT_FOUND && archive == NULL);
	/* A byte that is another. */
	FILE *file = fopen(listed.path, "r+");
	CHECK(file != NULL && fseek(file, 20, SEEK_SET) == 0 && fputc(0xff, file) == 0xff && fclose(file) == 0);
	CHECK(tm_archive_verify(listed.path, NULL, NULL, &error) == TM_CORRUPT && strstr(error.text, "1-8") != NULL);
	OK(tm_archive_open(listed.path, &archive, &error));
	CHECK(tm_archive_next(archive, &e, &error) == TM_CORRUPT && e == NULL);
	tm_archive_close(archive);
	struct tm_reader *r = reader_of((struct tm_reader_options){0});
	CHECK(tm_reader_next(r, 0, &e, &error) == TM_CORRUPT && tm_reader_position(r) == 0);
	tm_reader_close(r);
	CHECK(tm_verify(dir, NULL, NULL, &error) == TM_CORRUPT);
	tear_down();
}

/* --- opening --- */

static void test_opening(void)
{
	struct tm_store *second;
	const struct tm_new_event e = {.data = "1"};
	uint64_t position;
	struct tm_transaction *t;
	CHECK(tm_open("", NULL, &second, &error) == TM_INVALID && second == NULL);
	CHECK(tm_open("/nowhere", &(struct tm_options){.read_only = true}, &second, &error) == TM_NOT_FOUND);
	set_up();
	append("s", "a", 3);
	OK(tm_position_save(store, "p", 2, &error));
	CHECK(tm_open(dir, NULL, &second, &error) == TM_LOCKED);
	OK(tm_open(dir, &(struct tm_options){.read_only = true}, &second, &error));
	append("s", "b", 3);
	struct tm_store *writer = store;
	store = second;
	check_seqs((struct tm_reader_options){0}, 1, 3, 1);
	struct tm_reader *r = reader_of((struct tm_reader_options){.after = 3});
	const struct tm_event *found;
	CHECK(tm_reader_next(r, -1, &found, &error) == TM_END); /* nothing comes, so it does not wait */
	tm_reader_close(r);
	CHECK(tm_append(store, &e, 1, NULL, NULL, &error) == TM_READ_ONLY && tm_begin(store, &t, &error) == TM_READ_ONLY);
	CHECK(tm_append_json(store, (struct tm_text){"1", 1, TM_JSON}, NULL, NULL, &error) == TM_READ_ONLY);
	CHECK(tm_position_save(store, "p", 1, &error) == TM_READ_ONLY &&
	      tm_position_delete(store, "p", NULL) == TM_READ_ONLY);
	CHECK(tm_seal(store, 1, NULL, NULL, &error) == TM_READ_ONLY && tm_discard(store, 1, NULL, &error) == TM_READ_ONLY);
	CHECK(tm_archive_delete(store, "x", &error) == TM_READ_ONLY);
	OK(tm_position(store, "p", &position, &error));
	CHECK(position == 2);
	tm_close(store);
	store = writer;
	tear_down();
	tm_close(NULL);
}

/* Another process has the store, and is killed in the middle. */
static void test_other_process(void)
{
	int ready[2];
	char byte;
	temp_dir_make(dir);
	CHECK(pipe(ready) == 0);
	pid_t child = fork();
	if (child == 0) {
		open_store(NULL);
		append("s", "a", 5);
		struct tm_transaction *t;
		const struct tm_new_event e = {.data = "1"};
		OK(tm_begin(store, &t, &error));
		OK(tm_add(t, &e, 1, NULL, NULL, &error));
		CHECK(write(ready[1], "", 1) == 1);
		pause();
	}
	CHECK(child > 0 && read(ready[0], &byte, 1) == 1);
	CHECK(tm_open(dir, NULL, &store, &error) == TM_LOCKED && store == NULL);
	CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
	open_store(NULL);
	check_seqs((struct tm_reader_options){0}, 1, 5, 1);
	close(ready[0]);
	close(ready[1]);
	tear_down();
}

static void test_backup(void)
{
	char copy[TEMP_DIR_LEN + 8];
	struct tm_copied copied;
	struct tm_verified v;
	uint64_t seen[2] = {0};
	set_up();
	snprintf(copy, sizeof copy, "%s/copy", dir);
	append("s", "a", 9);
	OK(tm_seal(store, 4, NULL, NULL, &error));
	const struct tm_backup_options some = {.until = 7, .watch = {.progress = on_progress, .arg = seen}};
	OK(tm_backup(dir, copy, &some, &copied, &error));
	CHECK(copied.archives == 1 && copied.events == 3 && copied.first == 1 && copied.head == 7 && seen[0] > 0);
	const struct tm_backup_options stopped = {.watch = {.stop = on_stop}};
	CHECK(tm_backup(dir, copy, &stopped, NULL, &error) == TM_INTERRUPTED);
	OK(tm_backup(dir, copy, NULL, &copied, &error));
	CHECK(copied.archives == 0 && copied.events == 2 && copied.head == 9);
	OK(tm_verify(copy, &(struct tm_watch){.progress = NULL}, &v, &error));
	CHECK(v.events == 9 && v.head == 9);
	CHECK(tm_backup(copy, dir, NULL, NULL, &error) == TM_LOCKED);
	CHECK(tm_backup("/nowhere", copy, NULL, NULL, &error) == TM_NOT_FOUND);
	CHECK(tm_verify("/nowhere", NULL, NULL, &error) == TM_NOT_FOUND);
	tear_down();
}

/* A position that a copy has of events which it has not: where the two ways part. */
static void test_other_way(void)
{
	char copy[TEMP_DIR_LEN + 8];
	uint64_t position;
	set_up();
	snprintf(copy, sizeof copy, "%s/copy", dir);
	append("s", "a", 9);
	OK(tm_position_save(store, "p", 9, &error));
	OK(tm_backup(dir, copy, &(struct tm_backup_options){.until = 5}, NULL, &error));
	struct tm_store *original = store;
	OK(tm_open(copy, NULL, &store, &error));
	append("s", "b", 9);
	OK(tm_position(store, "p", &position, &error));
	CHECK(position == 5);
	tm_close(store);
	store = original;
	tear_down();
}

/* --- without memory --- */

static atomic_int calls_left = -1; /* negative: none fails */
static atomic_bool hit;

static bool fails(void)
{
	if (atomic_load(&calls_left) < 0 || atomic_fetch_sub(&calls_left, 1) != 0)
		return false;
	atomic_store(&hit, true);
	return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails() ? NULL : __real_realloc(old, size);
}

static enum tm_err read_some(void)
{
	const char *const streams[] = {"m", NULL};
	struct tm_reader *r;
	const struct tm_event *e;
	enum tm_err err = tm_reader_open(store, &(struct tm_reader_options){.streams = streams}, &r, &error);
	if (!err)
		err = tm_reader_next(r, 0, &e, &error);
	tm_reader_close(r);
	return err;
}

static enum tm_err write_some(int n)
{
	struct tm_transaction *t;
	char id[16];
	snprintf(id, sizeof id, "m%d", n);
	const struct tm_new_event e = {.stream = "m", .id = id, .data = "1"};
	const struct tm_new_event other = {.stream = "m", .data = "2"};
	enum tm_err err = tm_append(store, &e, 1, NULL, NULL, &error);
	if (!err)
		err = tm_begin(store, &t, &error);
	if (err)
		return err;
	err = tm_add(t, &other, 1, NULL, NULL, &error);
	enum tm_err ended = tm_commit(t, &error);
	CHECK(!err || ended);
	return ended;
}

static enum tm_err read_archive(const char *path)
{
	struct tm_archive *a;
	const struct tm_event *e;
	enum tm_err err = tm_archive_open(path, &a, &error);
	if (!err)
		err = tm_archive_next(a, &e, &error);
	tm_archive_close(a);
	return err ? err : tm_archive_verify(path, NULL, NULL, &error);
}

static enum tm_err open_again(void)
{
	tm_close(store);
	enum tm_err err = tm_open(dir, NULL, &store, &error);
	int left = atomic_exchange(&calls_left, -1);
	if (err)
		open_store(NULL);
	atomic_store(&calls_left, left);
	return err;
}

static enum tm_err run_task(int task, int n, const char *archive)
{
	switch (task) {
	case 0: return write_some(n);
	case 1: return read_some();
	case 2: return read_archive(archive);
	case 3: return tm_seal(store, tm_head(store) - 1, NULL, NULL, &error);
	default: return open_again();
	}
}

/* Each allocation fails once; then the same works, and nothing was lost or doubled. */
static void test_memory(void)
{
	enum { TASKS = 5, LEAST = 5, MOST = 1000 };
	struct tm_archive_info a;
	struct tm_verified v;
	set_up();
	append("m", "first", 3);
	OK(tm_seal(store, 1, NULL, NULL, &error));
	OK(tm_archive_at(store, 0, &a, &error));
	for (int task = 0; task < TASKS; task++) {
		int n = 0;
		for (bool any = true; any; n++) {
			const struct tm_new_event e = {.stream = "new", .data = "1"};
			OK(tm_append(store, &e, 1, NULL, NULL, &error)); /* something to seal */
			atomic_store(&hit, false);
			atomic_store(&calls_left, n);
			enum tm_err err = run_task(task, n, a.path);
			atomic_store(&calls_left, -1);
			any = atomic_load(&hit);
			if (err != TM_OK && !(any && err == TM_NOMEM))
				fprintf(stderr, "task %d, allocation %d: %s\n", task, n, error.text);
			CHECK(err == TM_OK || (any && err == TM_NOMEM));
			CHECK(n < MOST);
		}
		CHECK(n > LEAST);
		check_seqs((struct tm_reader_options){0}, 1, tm_head(store), 1);
	}
	tm_close(store);
	OK(tm_verify(dir, NULL, &v, &error));
	CHECK(v.skipped[0] == '\0');
	temp_dir_remove(dir);
}

/* --- a disk that fails --- */

/* The directory is elsewhere for a moment: the commit fails, and the next one finds out what became of it. */
static void test_failed_commit(void)
{
	char away[TEMP_DIR_LEN + 8];
	const struct tm_new_event e = {.stream = "s", .id = "x", .data = "1"};
	struct tm_receipt receipt;
	set_up();
	append("s", "a", 2);
	snprintf(away, sizeof away, "%s.away", dir);
	CHECK(rename(dir, away) == 0);
	CHECK(tm_append(store, &e, 1, NULL, NULL, &error) == TM_IO);
	CHECK(tm_append(store, &e, 1, NULL, NULL, &error) == TM_IO);
	CHECK(rename(away, dir) == 0);
	OK(tm_append(store, &e, 1, NULL, &receipt, &error)); /* once, whether the first had come through or not */
	CHECK(receipt.first == 3 && tm_head(store) == 3);
	check_seqs((struct tm_reader_options){0}, 1, 3, 1);
	tear_down();
}

int main(void)
{
	RUN(test_version);
	RUN(test_log);
	RUN(test_append);
	RUN(test_refusals);
	RUN(test_json);
	RUN(test_expectation);
	RUN(test_transaction);
	RUN(test_positions);
	RUN(test_reading);
	RUN(test_streams);
	RUN(test_threads);
	RUN(test_waiting);
	RUN(test_seal);
	RUN(test_interrupted_seal);
	RUN(test_discard);
	RUN(test_archive_alone);
	RUN(test_opening);
	RUN(test_other_process);
	RUN(test_backup);
	RUN(test_other_way);
	RUN(test_memory);
	RUN(test_failed_commit);
	return check_end();
}
