/* Sealing and leaving when the n-th system call fails, or is the last that the process makes: whatever is cut short, every
 * event can be read from seq 1 on, once, in order, with its contents; and doing it again works. */
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/system/sys.h"
#include "store/archives/archive_set.h"
#include "store/log/store_internal.h"
#include "store/sqlite/db.h"
#include "store/transfer/seal.h"
#include "unit/temp_dir.h"

enum { EVENTS = 60, FIRST_PART = 20, SECOND_PART = 45, CRASH_CODE = 77, CALLS_MAX = 200, INDEX_EVERY = 40 };

static const struct batch_limits limits = {1 << 20, 1 << 20};
static const struct archive_options options = {.level = 3, .threads = 0};
static char dir[TEMP_DIR_LEN];
static struct store *store;
static struct reader *reader;
static struct fault fault;
static struct buf wanted; /* all lines, as they were before anything was sealed */

/* --- the n-th call --- */

static int calls_left; /* 0: the next one */
static bool crash;     /* end there, not fail */
static bool hit;

static bool on_call(const char *call)
{
	(void)call;
	if (calls_left-- != 0)
		return false;
	hit = true;
	if (crash)
		_exit(CRASH_CODE);
	return true;
}

static void fail_at(int n, bool crash_there)
{
	calls_left = n;
	crash = crash_there;
	hit = false;
	sys_fault = on_call;
}

/* --- a store --- */

static void open_store(void)
{
	enum err err = store_open(dir, (struct store_options){0}, &store, &fault);
	if (!err)
		err = reader_open(store, &reader, &fault);
	if (err)
		fprintf(stderr, "%s\n", fault.text);
	CHECK(!err);
}

static void close_store(void)
{
	reader_close(reader);
	store_close(store);
}

static void commit(void)
{
	struct committed *c;
	CHECK(store_commit(store, &c, &fault) == ERR_NONE);
	committed_destroy(c);
	CHECK(store_maintain(store, true, &fault) == ERR_NONE);
}

static void append_lines(char *lines, size_t len, uint64_t first, uint64_t last)
{
	struct batch *b;
	struct receipt r;
	CHECK(batch_parse(lines, len, BATCH_LINES, limits, &b, &fault) == ERR_NONE);
	CHECK(store_append(store, b, NULL, &r, &fault) == ERR_NONE && r.first == first && r.last == last);
	batch_destroy(b);
	receipt_finish(&r);
	commit();
}

static void append(uint64_t first, uint64_t last)
{
	struct buf lines;
	buf_init(&lines);
	for (uint64_t i = first; i <= last; i++)
		buf_printf(&lines, "{\"stream\":\"s%d\",\"type\":\"t%d\",\"id\":\"i%d\",\"data\":{\"n\":%d}}\n", (int)i % 3,
			   (int)i % 2, (int)i, (int)i);
	append_lines(lines.data, lines.len, first, last);
	buf_finish(&lines);
}

/* Every line there is from `after` on, a few at a time. */
static void read_all(uint64_t after, struct buf *out)
{
	buf_init(out);
	while (after < store_head(store)) {
		struct page *p;
		struct history_query q = {.after = after, .count_max = 7, .bytes_max = 1 << 20};
		enum err err = history_page(reader, &q, &p, &fault);
		if (err)
			fprintf(stderr, "after %llu: %s\n", (unsigned long long)after, fault.text);
		CHECK(!err && page_last(p) > after);
		for (uint32_t i = 0; i < page_count(p); i++) {
			struct slice e = page_envelope(p, i);
			buf_add(out, e.p, e.len);
			buf_addc(out, '\n');
		}
		after = page_last(p);
		page_unref(p);
	}
	CHECK(!buf_failed(out));
}

static void check_all(void)
{
	struct buf got;
	CHECK(store_first(store) == 1 && store_head(store) == EVENTS);
	read_all(0, &got);
	CHECK(slice_eq(buf_slice(&got), buf_slice(&wanted)));
	buf_finish(&got);
}

static void set_up(void)
{
	temp_dir_make(dir);
	open_store();
	append(1, EVENTS);
	buf_finish(&wanted);
	read_all(0, &wanted);
}

static void tear_down(void)
{
	temp_dir_remove(dir);
}

/* As the archiver does it: seals, then evicts, from where an earlier attempt has stopped. */
static enum err take_out(uint64_t upto)
{
	struct manifest m;
	uint64_t left = 0;
	uint64_t log_first = store_log_first(store);
	if (log_first > upto)
		return ERR_NONE;
	if (archive_set_find(store_archives(store), log_first, &m) && m.last == upto)
		log_first = m.first;
	enum err err = seal_range(reader, (struct seq_range){log_first, upto}, options, NULL, &m, &fault);
	while (!err && store_log_first(store) <= upto) {
		err = store_evict(store, upto, m.last, m.chain, &left, &fault);
		if (!err)
			commit();
	}
	return err;
}

static enum err take_both_out(void)
{
	enum err err = take_out(FIRST_PART);
	return err ? err : take_out(SECOND_PART);
}

/* Both parts are out, their archives follow each other. */
static void check_taken_out(void)
{
	struct manifest first;
	struct manifest second;
	struct manifest found;
	check_all();
	CHECK(store_log_first(store) == SECOND_PART + 1);
	CHECK(archive_set_at(store_archives(store), 0, &first) && archive_set_at(store_archives(store), 1, &second) &&
	      !archive_set_at(store_archives(store), 2, &found));
	CHECK(first.first == 1 && first.last == FIRST_PART && second.first == FIRST_PART + 1 && second.last == SECOND_PART);
	CHECK(strcmp(first.chain, second.previous) == 0);
	/* What is kept in archives still counts. */
	uint64_t count = 0;
	struct stream_figures f;
	char name[EVENT_NAME_MAX];
	bool there;
	for (struct slice from = {name, 0}; store_stream_from(store, from, true, &f, &there, &fault) == ERR_NONE && there;) {
		CHECK(f.first <= store_streams(store));
		count += f.count;
		slice_copy(name, f.name);
		from.len = f.name.len;
	}
	CHECK(count == EVENTS);
}

/* --- the sweeps --- */

static void any_call_that_fails_loses_nothing(void)
{
	int n = 0;
	for (hit = true; hit; n++) {
		CHECK(n < CALLS_MAX);
		set_up();
		fail_at(n, false);
		enum err err = take_both_out();
		sys_fault = NULL;
		CHECK(hit == (err != ERR_NONE));
		if (err)
			CHECK(fault.text[0] != '\0' && strstr(fault.text, dir) != NULL);
		store_rollback(store);
		check_all();
		if (n % 2 == 1) { /* also after a restart */
			close_store();
			open_store();
			check_all();
		}
		err = take_both_out();
		if (err)
			fprintf(stderr, "again, after call %d: %s\n", n, fault.text);
		CHECK(!err);
		check_taken_out();
		close_store();
		tear_down();
	}
	CHECK(n > 8);
}

static void an_end_at_any_call_loses_nothing(void)
{
	int n = 0;
	for (hit = true; hit; n++) {
		CHECK(n < CALLS_MAX);
		set_up();
		close_store();
		int status;
		pid_t child = fork();
		CHECK(child >= 0);
		if (child == 0) {
			open_store();
			fail_at(n, true);
			_exit(take_both_out() == ERR_NONE ? 0 : 1); /* without closing anything */
		}
		CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
		CHECK(WEXITSTATUS(status) == CRASH_CODE || WEXITSTATUS(status) == 0);
		hit = WEXITSTATUS(status) == CRASH_CODE;
		open_store();
		check_all();
		enum err err = take_both_out();
		if (err)
			fprintf(stderr, "again, after the end at call %d: %s\n", n, fault.text);
		CHECK(!err);
		check_taken_out();
		close_store();
		tear_down();
	}
	CHECK(n > 8);
}

/* Between leaving and its commit: SQLite gives back what was not committed. */
static void an_end_inside_the_transaction_loses_nothing(void)
{
	for (int committed = 0; committed < 2; committed++) {
		set_up();
		close_store();
		int status;
		pid_t child = fork();
		CHECK(child >= 0);
		if (child == 0) {
			struct manifest m;
			uint64_t left;
			open_store();
			CHECK(seal_range(reader, (struct seq_range){1, FIRST_PART}, options, NULL, &m, &fault) == ERR_NONE);
			CHECK(store_evict(store, FIRST_PART, m.last, m.chain, &left, &fault) == ERR_NONE);
			if (left < FIRST_PART) { /* the trailing index came first */
				commit();
				CHECK(store_evict(store, FIRST_PART, m.last, m.chain, &left, &fault) == ERR_NONE);
			}
			CHECK(left == FIRST_PART);
			if (committed)
				commit();
			_exit(CRASH_CODE);
		}
		CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == CRASH_CODE);
		open_store();
		CHECK(store_log_first(store) == (committed ? FIRST_PART + 1 : 1));
		check_all();
		CHECK(take_both_out() == ERR_NONE);
		check_taken_out();
		close_store();
		tear_down();
	}
}

static void a_rollback_brings_back_what_was_leaving(void)
{
	struct manifest m;
	uint64_t left;
	set_up();
	CHECK(take_out(FIRST_PART) == ERR_NONE);
	CHECK(seal_range(reader, (struct seq_range){FIRST_PART + 1, SECOND_PART}, options, NULL, &m, &fault) == ERR_NONE);
	CHECK(store_evict(store, SECOND_PART, m.last, m.chain, &left, &fault) == ERR_NONE && left == SECOND_PART);
	store_rollback(store);
	CHECK(store_log_first(store) == FIRST_PART + 1);
	check_all();
	CHECK(take_both_out() == ERR_NONE);
	check_taken_out();
	close_store();
	tear_down();
}

/* An archive of another store has the name that ours would have: it stays as it is. */
static void nobody_elses_archive_is_cleared_away(void)
{
	char path[PATH_MAX];
	char command[PATH_MAX + 400];
	struct manifest m;
	set_up();
	CHECK(seal_range(reader, (struct seq_range){1, FIRST_PART}, options, NULL, &m, &fault) == ERR_NONE);
	archive_set_path(store_archives(store), m.file, path);
	close_store();
	snprintf(command, sizeof command, "cp -r %s/archives %s-archives && rm -r %s", dir, dir, dir);
	CHECK(system(command) == 0);
	char kept[80];
	snprintf(kept, sizeof kept, "%s-archives", dir);
	set_up(); /* another epoch */
	close_store();
	snprintf(command, sizeof command,
		 "mv %s %s/archives && echo mine > %s/archives/notes.part && echo > %s/archives/x.json", kept, dir, dir,
		 dir);
	CHECK(system(command) == 0);
	open_store();
	CHECK(!archive_set_at(store_archives(store), 0, &m));
	CHECK(seal_range(reader, (struct seq_range){1, FIRST_PART}, options, NULL, &m, &fault) == ERR_CONFLICT);
	CHECK(strstr(fault.text, "another store") != NULL && strstr(fault.text, "1-20.ndjson.zst") != NULL);
	check_all();
	CHECK(seal_range(reader, (struct seq_range){1, FIRST_PART + 1}, options, NULL, &m, &fault) == ERR_NONE);
	snprintf(command, sizeof command,
		 "cd %s/archives && test -s 1-20.ndjson.zst -a -s 1-20.json -a -s notes.part -a -e x.json", dir);
	CHECK(system(command) == 0);
	close_store();
	tear_down();
}

/* --- an end while a thread writes --- */

enum { LARGE = 900 * 1000 /* bytes: two are more than a frame */, LARGE_EVENTS = 4, HELD_MS = 500 };

static atomic_bool writing;
static atomic_bool removed;
static atomic_bool wrote_after;

/* The thread that writes a frame is held until the file has been removed; where that waits for the thread, for a while. */
static bool on_held_write(const char *call)
{
	if (strcmp(call, "remove") == 0 && atomic_load(&writing))
		atomic_store(&removed, true);
	if (strcmp(call, "write") != 0)
		return false;
	atomic_store(&writing, true);
	for (int i = 0; i < HELD_MS && !atomic_load(&removed); i++)
		usleep(1000);
	if (atomic_load(&removed))
		atomic_store(&wrote_after, true);
	return false;
}

static bool stop_while_writing(void *arg)
{
	int *asked = arg;
	if (++*asked < LARGE_EVENTS)
		return false;
	while (!atomic_load(&writing))
		usleep(1000);
	return true;
}

/* Fails when the file is closed and removed before the threads that write to it have ended: its descriptor may be another
 * file's by then. */
static void a_seal_that_is_stopped_has_stopped_writing(void)
{
	static char lines[LARGE_EVENTS * (LARGE + 32)];
	size_t len = 0;
	int asked = 0;
	struct manifest m;
	struct seal_watch watch = {.stop = stop_while_writing, .arg = &asked};
	temp_dir_make(dir);
	open_store();
	for (int i = 0; i < LARGE_EVENTS; i++)
		len += (size_t)sprintf(lines + len, "{\"data\":\"%0*d\"}\n", LARGE, i);
	append_lines(lines, len, 1, LARGE_EVENTS);
	sys_fault = on_held_write;
	CHECK(seal_range(reader, (struct seq_range){1, LARGE_EVENTS}, (struct archive_options){.level = 3, .threads = 2},
			 &watch, &m, &fault) == ERR_CLOSED);
	sys_fault = NULL;
	CHECK(atomic_load(&writing) && !atomic_load(&wrote_after));
	CHECK(seal_range(reader, (struct seq_range){1, LARGE_EVENTS}, (struct archive_options){.level = 3, .threads = 2},
			 NULL, &m, &fault) == ERR_NONE);
	close_store();
	tear_down();
}

static bool stop_at_last(void *arg)
{
	return --*(int *)arg <= 0;
}

/* Stopped at the n-th question, n = 1, 2, …: writing, and reading back. */
static void a_seal_that_is_stopped_anywhere_leaves_no_archive(void)
{
	enum err err = ERR_CLOSED;
	struct manifest m;
	int stops = 0;
	temp_dir_make(dir);
	open_store();
	append(1, EVENTS);
	for (; err == ERR_CLOSED; stops++) {
		int left = stops + 1;
		struct seal_watch watch = {.stop = stop_at_last, .arg = &left};
		CHECK(!seal_find_range(store, 1, FIRST_PART));
		err = seal_range(reader, (struct seq_range){1, FIRST_PART}, options, &watch, &m, &fault);
	}
	CHECK(err == ERR_NONE && stops > 2 && seal_find_range(store, 1, FIRST_PART));
	close_store();
	tear_down();
}

static void expect_moved_on(void (*change)(void), const char *says)
{
	struct store *before;
	struct reader *r;
	struct history_verified found;
	CHECK(store_open(dir, (struct store_options){.access = STORE_READ}, &before, &fault) == ERR_NONE);
	CHECK(reader_open(before, &r, &fault) == ERR_NONE);
	CHECK(history_verify(r, NULL, NULL, &found, &fault) == ERR_NONE && found.events == store_head(before));
	change();
	CHECK(history_verify(r, NULL, NULL, &found, &fault) == ERR_BUSY && strstr(fault.text, says) != NULL);
	reader_close(r);
	store_close(before);
}

static void append_many(void)
{
	append(EVENTS + 1, EVENTS + INDEX_EVERY);
	append(EVENTS + INDEX_EVERY + 1, EVENTS + INDEX_EVERY + 1);
}

static void leave_first_part(void)
{
	uint64_t left;
	CHECK(store_evict(store, FIRST_PART, FIRST_PART, NULL, &left, &fault) == ERR_NONE && left == FIRST_PART);
	commit();
}

/* A store in use is verified without finding damage, and the result says that it is in use. */
static void a_store_that_has_moved_on_is_not_called_damaged(void)
{
	temp_dir_make(dir);
	CHECK(store_open(dir, (struct store_options){.index_every = INDEX_EVERY}, &store, &fault) == ERR_NONE);
	CHECK(reader_open(store, &reader, &fault) == ERR_NONE);
	append(1, EVENTS);
	expect_moved_on(append_many, "the store has moved on");
	expect_moved_on(leave_first_part, "events have left the log");
	close_store();
	tear_down();
}

static void a_log_with_a_hole_is_not_sealed(void)
{
	struct manifest m;
	temp_dir_make(dir);
	open_store();
	append(1, EVENTS);
	CHECK(db_exec(store->db, "DELETE FROM event WHERE seq = 7", &fault) == ERR_NONE);
	CHECK(seal_range(reader, (struct seq_range){1, FIRST_PART}, options, NULL, &m, &fault) == ERR_CORRUPT);
	CHECK(strstr(fault.text, "event 7 is missing") != NULL && !seal_find_range(store, 1, FIRST_PART));
	close_store();
	tear_down();
}

static void expect_corrupt(uint64_t after, bool descending)
{
	struct page *p;
	struct history_query q = {.after = descending ? 0 : after,
				  .before = 21,
				  .descending = descending,
				  .count_max = 100,
				  .bytes_max = 1 << 20};
	for (int i = 0; i < 2; i++) { /* the second time it is open already */
		fault = (struct fault){0};
		CHECK(history_page(reader, &q, &p, &fault) == ERR_CORRUPT);
		CHECK(strstr(fault.text, "1-20.ndjson.zst") != NULL);
	}
}

/* An archive that is sound, but not the one that its manifest is of, is no reason to skip what is not in it; nor is one
 * without any frame, or one that is none. What is elsewhere can be read all the same. */
static void an_archive_in_the_place_of_another_is_not_believed(void)
{
	static const char *const changes[] = {
		"cp 21-40.ndjson.zst 1-20.ndjson.zst",
		"printf '\\136\\052\\115\\030\\011\\0\\0\\0\\0\\0\\0\\0\\200\\261\\352\\222\\217' > 1-20.ndjson.zst",
		"echo nothing > 1-20.ndjson.zst",
		": > 1-20.ndjson.zst",
	};
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		char command[PATH_MAX + 400];
		struct page *p;
		set_up();
		CHECK(take_out(20) == ERR_NONE && take_out(40) == ERR_NONE);
		reader_close(reader);
		CHECK(reader_open(store, &reader, &fault) == ERR_NONE); /* which has nothing open */
		snprintf(command, sizeof command, "cd %s/archives && %s", dir, changes[i]);
		CHECK(system(command) == 0);
		expect_corrupt(0, false);
		expect_corrupt(10, false);
		expect_corrupt(0, true);
		struct history_query q = {.after = 20, .count_max = 100, .bytes_max = 1 << 20};
		CHECK(history_page(reader, &q, &p, &fault) == ERR_NONE && page_entry(p, 0).seq == 21);
		page_unref(p);
		close_store();
		open_store(); /* now its size is seen to be wrong, and it does not count */
		q.after = 0;
		if (i > 0)
			CHECK(history_page(reader, &q, &p, &fault) == ERR_IO &&
			      strstr(fault.text, "its archive cannot be used") != NULL);
		close_store();
		tear_down();
	}
}

/* A damaged or missing archive is made again, as long as the log has all of it. */
static void a_spoilt_archive_is_made_anew_from_the_log(void)
{
	static const char *const changes[] = {"rm 1-20.ndjson.zst", "rm 1-20.*", "echo nothing > 1-20.ndjson.zst"};
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		char command[PATH_MAX + 400];
		struct manifest m;
		set_up();
		CHECK(seal_range(reader, (struct seq_range){1, FIRST_PART}, options, NULL, &m, &fault) == ERR_NONE);
		snprintf(command, sizeof command, "cd %s/archives && %s", dir, changes[i]);
		CHECK(system(command) == 0);
		CHECK(take_both_out() == ERR_NONE);
		check_taken_out();
		close_store();
		tear_down();
	}
}

/* Pages that events have left are room: a disk that looks full to others is not for the log. */
static void what_has_left_makes_room(void)
{
	static char text[1000001];
	struct batch *b;
	struct receipt r;
	uint64_t left;
	uint64_t room;
	uint64_t free_bytes;
	set_up();
	memset(text, 'x', sizeof text - 1);
	bool less = false;
	for (int i = 0; i < 16; i++) {
		struct buf body;
		struct committed *c;
		buf_init(&body);
		buf_printf(&body, "{\"data\":\"%s\"}\n", text);
		CHECK(batch_parse_take(body.data, body.len, BATCH_LINES, limits, &b, &fault) == ERR_NONE);
		CHECK(store_append(store, b, NULL, &r, &fault) == ERR_NONE);
		batch_destroy(b);
		receipt_finish(&r);
		CHECK(store_commit(store, &c, &fault) == ERR_NONE);
		committed_destroy(c);
		/* What the log holds is still to be written back; others may be writing, too. */
		CHECK(store_measure_room(store) == ERR_NONE && store_room(store, &room) == ERR_NONE);
		CHECK(store_disk_free(store, &free_bytes) == ERR_NONE);
		less = less || room + (900 << 10) <= free_bytes;
		CHECK(store_maintain(store, true, &fault) == ERR_NONE);
	}
	CHECK(less);
	for (int i = 0; i < 3; i++) {
		CHECK(store_evict(store, EVENTS + 12, EVENTS + 12, NULL, &left, &fault) == ERR_NONE);
		commit();
	}
	CHECK(store_maintain(store, true, &fault) == ERR_NONE);
	CHECK(left == EVENTS + 12);
	CHECK(store_measure_room(store) == ERR_NONE && store_room(store, &room) == ERR_NONE &&
	      store_disk_free(store, &free_bytes) == ERR_NONE);
	CHECK(room >= free_bytes + (4 << 20)); /* 12 MiB are, others may be writing */
	close_store();
	tear_down();
}

/* Where archives overlap, those are read that the log's events went to. */
static void an_archive_of_another_history_is_not_preferred(void)
{
	char command[PATH_MAX + 400];
	struct manifest m;
	struct manifest found;
	set_up();
	CHECK(take_out(FIRST_PART) == ERR_NONE);
	CHECK(archive_set_find(store_archives(store), 10, &m) && m.last == FIRST_PART);
	m.last = SECOND_PART;
	m.count = m.last;
	archive_name(m.file, 1, SECOND_PART, ARCHIVE_ENDING);
	char path[PATH_MAX];
	archive_set_path(store_archives(store), m.file, path);
	snprintf(command, sizeof command, "cp %s/archives/1-20.ndjson.zst %s", dir, path);
	CHECK(system(command) == 0 && manifest_save(path, &m, &fault) == ERR_NONE);
	close_store();
	open_store();
	CHECK(archive_set_find(store_archives(store), 10, &found) && found.last == FIRST_PART);
	close_store();
	tear_down();
}

int main(void)
{
	RUN(any_call_that_fails_loses_nothing);
	RUN(an_end_at_any_call_loses_nothing);
	RUN(an_end_inside_the_transaction_loses_nothing);
	RUN(a_rollback_brings_back_what_was_leaving);
	RUN(a_seal_that_is_stopped_has_stopped_writing);
	RUN(a_seal_that_is_stopped_anywhere_leaves_no_archive);
	RUN(a_log_with_a_hole_is_not_sealed);
	RUN(a_store_that_has_moved_on_is_not_called_damaged);
	RUN(nobody_elses_archive_is_cleared_away);
	RUN(an_archive_in_the_place_of_another_is_not_believed);
	RUN(a_spoilt_archive_is_made_anew_from_the_log);
	RUN(what_has_left_makes_room);
	RUN(an_archive_of_another_history_is_not_preferred);
	return check_end();
}
