/* The writer: what happens to the requests of a commit of which one fails, or all, and to those that it cannot take. */
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/system/clock.h"
#include "store/read/history.h"
#include "unit/engine/engine.h"

static void a_full_queue_refuses_and_forgets_nothing(void)
{
	enum { OPS = 200 };
	static struct write ops[OPS];
	static bool taken[OPS];
	char lines[4096];
	size_t n = 0;
	uint64_t accepted = 0;
	engine_set_up(1 << 20);
	engine_close();
	struct quotas *quotas = quotas_create((struct quota_limit[QUOTAS]){
		[QUOTA_QUEUE_EVENTS] = {.all = 100},
		[QUOTA_QUEUE_BYTES] = {.all = 1 << 20},
	});
	CHECK(quotas != NULL);
	engine_open(1 << 20, (struct writer_options){.quotas = quotas});
	for (int i = 0; i < 60; i++)
		n += (size_t)sprintf(lines + n, "{\"data\":%d}\n", i);
	for (int i = 0; i < OPS; i++) {
		enum err err = write_submit(&ops[i], lines);
		CHECK(!err || err == ERR_BUSY);
		taken[i] = !err;
		accepted += taken[i];
	}
	for (int i = 0; i < OPS; i++) {
		if (taken[i])
			bell_wait(&ops[i].bell, 1);
		CHECK(!taken[i] || ops[i].op.err == ERR_NONE);
		write_finish(&ops[i]);
	}
	CHECK(accepted > 0 && feed_head(feed) == accepted * 60);
	struct writer_figures w;
	writer_read(writer, &w);
	CHECK(w.refused == OPS - accepted && w.queued_bytes == 0 && w.queued_events == 0);
	CHECK(quota_read(quotas, QUOTA_QUEUE_EVENTS).held == 0 && quota_read(quotas, QUOTA_QUEUE_BYTES).held == 0);
	engine_close();
	quotas_destroy(quotas);
	temp_dir_remove(dir);
}

/* A disk that takes no more (here: a limit on the size of files) fails every waiting publisher and delivers nothing;
 * when it takes again, publishing goes on by itself. */
static void a_failed_commit_is_told_and_recovered_from(void)
{
	static char line[300000];
	struct rlimit small = {256 * 1024, RLIM_INFINITY};
	struct rlimit large = {RLIM_INFINITY, RLIM_INFINITY};
	signal(SIGXFSZ, SIG_IGN);
	engine_set_up(1 << 20);
	CHECK(engine_publish("{\"id\":\"a\",\"data\":1}") == ERR_NONE);
	snprintf(line, sizeof line, "{\"id\":\"b\",\"stream\":\"new\",\"data\":\"%0*d\"}", 290000, 0);
	CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
	enum err err = engine_publish(line);
	CHECK(err == ERR_FULL || err == ERR_IO);
	CHECK(feed_head(feed) == 1 && store_head(store) == 1);
	struct writer_figures w;
	writer_read(writer, &w);
	CHECK(w.breaker_opens == 1 && w.failed == 1);
	CHECK(setrlimit(RLIMIT_FSIZE, &large) == 0);
	int64_t end = clock_mono_ms() + 60000;
	while ((err = engine_publish("{\"id\":\"c\",\"data\":3}")) != ERR_NONE && clock_mono_ms() < end)
		usleep(10000);
	CHECK(!err);
	/* The big one may be there after all, whole: then it is a duplicate now. Either way it ends up there once. */
	CHECK(engine_publish(line) == ERR_NONE);
	CHECK(feed_head(feed) == 3 && store_head(store) == 3);
	writer_read(writer, &w);
	CHECK(w.breaker == BREAKER_CLOSED && w.reason[0] == '\0');
	CHECK(w.breaker_half_opens >= 1 && w.breaker_closes == 1);
	struct reader *reader;
	struct history_verified checked;
	CHECK(reader_open(store, &reader, &fault) == ERR_NONE);
	CHECK(history_verify(reader, NULL, NULL, &checked, &fault) == ERR_NONE && checked.events == 3);
	reader_close(reader);
	engine_tear_down();
}

static void a_closed_writer_has_done_what_it_accepted(void)
{
	struct write o[10];
	engine_set_up(1 << 20);
	for (int i = 0; i < 10; i++)
		CHECK(write_submit(&o[i], "{\"data\":1}") == ERR_NONE);
	writer_close(writer);
	for (int i = 0; i < 10; i++) {
		CHECK(bell_rings(&o[i].bell) == 1 && o[i].op.err == ERR_NONE);
		write_finish(&o[i]);
	}
	struct write late;
	CHECK(write_submit(&late, "{\"data\":1}") == ERR_CLOSED && bell_rings(&late.bell) == 0);
	write_finish(&late);
	CHECK(store_head(store) == 10);
	engine_tear_down();
}

/* --- changes that fail --- */

static int changes_run;

static enum err on_note(struct write_op *op, struct store *s, struct fault *f)
{
	(void)op;
	changes_run++;
	return store_note_put(s, "test", slice_of("fine"), 1, slice_of("{}"), f);
}

/* Fails when half of it is done. */
static enum err on_half_note(struct write_op *op, struct store *s, struct fault *f)
{
	(void)op;
	changes_run++;
	enum err err = store_note_put(s, "test", slice_of("half"), 1, slice_of("{}"), f);
	return err ? err : fault_set(f, ERR_CORRUPT, "a page is damaged");
}

enum { LEAVING = 500 };

static enum err on_leave(struct write_op *op, struct store *s, struct fault *f)
{
	(void)op;
	uint64_t left;
	changes_run++;
	return store_evict(s, LEAVING, LEAVING, NULL, &left, f);
}

static bool has_note_fine;
static bool has_note_half;

static enum err on_stored_note(void *arg, struct slice key, int64_t at, struct slice value)
{
	(void)arg;
	(void)at;
	(void)value;
	has_note_fine = has_note_fine || slice_is(key, "fine");
	has_note_half = has_note_half || slice_is(key, "half");
	return ERR_NONE;
}

static void submit_change(struct write *o, uint64_t client, write_change *change)
{
	write_prepare(o, client, NULL);
	o->op.change = change;
	CHECK(writer_submit(writer, &o->op, &fault) == ERR_NONE);
}

static void let_go_and_finish(struct write *holder, struct write *ops, int count)
{
	engine_release_writer();
	for (int i = 0; i < count; i++)
		bell_wait(&ops[i].bell, 1);
	bell_wait(&holder->bell, 1);
	write_finish(holder);
}

static void check_breaker_stayed_closed(uint64_t failed)
{
	struct writer_figures f;
	writer_read(writer, &f);
	CHECK(f.breaker == BREAKER_CLOSED && f.breaker_opens == 0 && f.breaker_failures == 0 && f.failed == failed);
	CHECK(f.queued_events == 0 && f.queued_bytes == 0 && f.queued_requests == 0);
}

/* Fails when a change that fails takes the requests with it that are in the same transaction, or opens the breaker; and when
 * the half of it that was done stays. */
static void a_change_that_fails_fails_alone(void)
{
	enum { CLIENT = 1, OTHER = 2, CHANGES = 3 };
	struct write holder;
	struct write ops[7];
	engine_set_up(1 << 20);
	CHECK(engine_publish("{\"data\":1}") == ERR_NONE);
	changes_run = 0;
	engine_hold_writer(&holder, OTHER, NULL);
	write_submit_as(&ops[0], CLIENT,
			"{\"id\":\"x\",\"stream\":\"new\",\"data\":1}\n{\"id\":\"x\",\"stream\":\"new\",\"data\":1}");
	submit_change(&ops[1], CLIENT, on_half_note);
	submit_change(&ops[2], CLIENT, on_note);
	write_submit_as(&ops[3], CLIENT, "{\"id\":\"x\",\"stream\":\"new\",\"data\":1}");
	submit_change(&ops[4], CLIENT, on_half_note);
	write_submit_as(&ops[5], CLIENT, "{\"id\":\"y\",\"stream\":\"new\",\"data\":1}");
	write_prepare(&ops[6], 0, NULL);
	ops[6].op.session = slice_of("s");
	ops[6].op.session_acked = 1;
	CHECK(writer_submit(writer, &ops[6].op, &fault) == ERR_NONE);
	let_go_and_finish(&holder, ops, 7);
	CHECK(ops[0].op.err == ERR_NONE && ops[0].op.receipt.first == 2 && ops[0].op.receipt.duplicates == 1);
	CHECK(ops[1].op.err == ERR_CORRUPT && strstr(ops[1].op.fault.text, "damaged") != NULL);
	CHECK(ops[2].op.err == ERR_NONE && ops[4].op.err == ERR_CORRUPT);
	CHECK(ops[3].op.err == ERR_NONE && ops[3].op.receipt.duplicates == 1 && ops[3].op.receipt.first == 2);
	CHECK(ops[5].op.err == ERR_NONE && ops[5].op.receipt.first == 3 && ops[6].op.err == ERR_NONE);
	CHECK(bell_rings(&ops[0].bell) == 1 && bell_rings(&ops[1].bell) == 1 && bell_rings(&ops[2].bell) == 1);
	CHECK(changes_run == CHANGES); /* each once: those behind the first wait for a transaction of their own */
	check_breaker_stayed_closed(2);
	CHECK(store_head(store) == 3);
	for (int i = 0; i < 7; i++)
		write_finish(&ops[i]);
	engine_close();
	engine_open(1 << 20, (struct writer_options){0});
	struct session_state state;
	has_note_fine = has_note_half = false;
	CHECK(store_note_each(store, "test", on_stored_note, NULL, &fault) == ERR_NONE);
	CHECK(has_note_fine && !has_note_half && store_head(store) == 3);
	CHECK(sessions_get(sessions, slice_of("s"), &state) && state.acked == 1);
	engine_tear_down();
}

/* Changes a byte in the database where `text` is. */
static void damage(const char *text)
{
	char path[TEMP_DIR_LEN + 32];
	static char all[1 << 20];
	snprintf(path, sizeof path, "%s/tidemark.db", dir);
	FILE *f = fopen(path, "r+");
	CHECK(f != NULL);
	size_t len = fread(all, 1, sizeof all, f);
	char *at = memmem(all, len, text, strlen(text));
	CHECK(at != NULL && fseek(f, at - all, SEEK_SET) == 0 && fputc('#', f) == '#' && fclose(f) == 0);
}

/* SQLite rolls back the whole transaction at a page that cannot be read: fails with a savepoint, too. */
static void events_that_cannot_leave_disturb_no_publisher(void)
{
	enum { CLIENT = 1, OTHER = 2, STORED = 400, DAMAGED = STORED + 1, ALL = DAMAGED + STORED };
	struct write holder;
	struct write ops[3];
	static char lines[STORED * LINE_LEN + 1];
	engine_set_up(1 << 20);
	put_lines(lines, STORED);
	CHECK(engine_publish(lines) == ERR_NONE);
	CHECK(engine_publish("{\"data\":\"an event that is damaged\"}") == ERR_NONE);
	CHECK(engine_publish(lines) == ERR_NONE);
	engine_close(); /* all of it is indexed, and in the database */
	damage("an event that is damaged");
	engine_open(1 << 20, (struct writer_options){0});
	engine_hold_writer(&holder, OTHER, NULL);
	write_submit_as(&ops[0], CLIENT, "{\"data\":2}");
	submit_change(&ops[1], CLIENT, on_leave);
	write_submit_as(&ops[2], CLIENT, "{\"data\":3}");
	let_go_and_finish(&holder, ops, 3);
	CHECK(ops[0].op.err == ERR_NONE && ops[0].op.receipt.first == ALL + 1);
	CHECK(ops[1].op.err != ERR_NONE);
	CHECK(ops[2].op.err == ERR_NONE && ops[2].op.receipt.first == ALL + 2);
	check_breaker_stayed_closed(1);
	CHECK(store_log_first(store) == 1 && store_head(store) == ALL + 2);
	for (int i = 0; i < 3; i++)
		write_finish(&ops[i]);
	engine_tear_down();
}

int main(void)
{
	RUN(a_change_that_fails_fails_alone);
	RUN(events_that_cannot_leave_disturb_no_publisher);
	RUN(a_full_queue_refuses_and_forgets_nothing);
	RUN(a_failed_commit_is_told_and_recovered_from);
	RUN(a_closed_writer_has_done_what_it_accepted);
	return check_end();
}
