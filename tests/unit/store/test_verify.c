/* Verify beside a server: what it publishes, writes back and lets go meanwhile is in nobody's way. */
#include <sqlite3.h>
#include <sys/stat.h>

#include "store/log/store_internal.h"
#include "store/transfer/seal.h"
#include "unit/temp_dir.h"

enum { EVENTS = 20000, PART = 1000, LEFT = 15000, SLICE = 4096 };

static const struct batch_limits limits = {1 << 20, 1 << 20};
static char dir[TEMP_DIR_LEN];
static struct store *server;
static struct reader *server_reader;
static struct fault fault;

static void publish(int count)
{
	struct receipt r;
	struct batch *b;
	struct committed *c;
	char *lines = malloc((size_t)count * 64);
	size_t len = 0;
	for (int i = 0; i < count; i++)
		len += (size_t)sprintf(lines + len, "{\"stream\":\"s%d\",\"id\":\"%llu\",\"data\":1}\n", i % 7,
				       (unsigned long long)store_head(server) + (unsigned)i);
	CHECK(batch_parse_take(lines, len, BATCH_LINES, limits, &b, &fault) == ERR_NONE);
	CHECK(store_append(server, b, NULL, &r, &fault) == ERR_NONE && r.count == (uint64_t)count);
	CHECK(store_commit(server, &c, &fault) == ERR_NONE);
	committed_destroy(c);
	receipt_finish(&r);
	batch_destroy(b);
}

static void set_up(void)
{
	temp_dir_make(dir);
	CHECK(store_open(dir, (struct store_options){0}, &server, &fault) == ERR_NONE);
	CHECK(reader_open(server, &server_reader, &fault) == ERR_NONE);
	while (store_head(server) < EVENTS)
		publish(PART);
}

static void tear_down(void)
{
	reader_close(server_reader);
	store_close(server);
	temp_dir_remove(dir);
}

/* As the command does, with what the server does meanwhile. */
static uint64_t verify(void (*meanwhile)(void *arg, uint64_t done, uint64_t all))
{
	struct store *s;
	struct reader *r;
	struct history_verified found;
	int calls = 0;
	CHECK(store_open(dir, (struct store_options){.access = STORE_READ}, &s, &fault) == ERR_NONE);
	CHECK(reader_open(s, &r, &fault) == ERR_NONE);
	if (history_verify(r, meanwhile, &calls, &found, &fault) != ERR_NONE) {
		fprintf(stderr, "verify: %s\n", fault.text);
		CHECK(false);
	}
	CHECK(calls > 0 && found.skipped[0] == '\0');
	reader_close(r);
	store_close(s);
	return found.events;
}

static void publish_and_write_back(void *arg, uint64_t done, uint64_t all)
{
	(void)done;
	(void)all;
	++*(int *)arg;
	publish(1);
	CHECK(store_maintain(server, true, &fault) == ERR_NONE);
	CHECK(!store_has_log(server));
}

/* Fails where a transaction is held from one slice to the next. */
static void the_log_is_written_back_meanwhile(void)
{
	set_up();
	CHECK(verify(publish_and_write_back) == EVENTS);
	tear_down();
}

static void let_go(const char *chain)
{
	uint64_t left = 0;
	while (store_log_first(server) <= LEFT) {
		struct committed *c;
		CHECK(store_evict(server, LEFT, LEFT, chain, &left, &fault) == ERR_NONE);
		CHECK(store_commit(server, &c, &fault) == ERR_NONE);
		committed_destroy(c);
	}
}

static void archive_once(void *arg, uint64_t done, uint64_t all)
{
	(void)done;
	(void)all;
	struct manifest m;
	if (++*(int *)arg > 1)
		return;
	CHECK(seal_range(server_reader, (struct seq_range){1, LEFT}, (struct archive_options){.level = 1, .threads = 1},
			 NULL, &m, &fault) == ERR_NONE);
	let_go(m.chain);
}

static void remove_once(void *arg, uint64_t done, uint64_t all)
{
	(void)done;
	(void)all;
	if (++*(int *)arg == 1)
		let_go(NULL);
}

/* Fails where what is not in the log any more is missing. */
static void what_goes_into_an_archive_meanwhile_is_read_there(void)
{
	set_up();
	CHECK(verify(archive_once) == EVENTS);
	tear_down();
}

static void what_is_removed_meanwhile_is_passed_over(void)
{
	set_up();
	CHECK(verify(remove_once) == EVENTS - LEFT + SLICE);
	tear_down();
}

int main(void)
{
	RUN(the_log_is_written_back_meanwhile);
	RUN(what_goes_into_an_archive_meanwhile_is_read_there);
	RUN(what_is_removed_meanwhile_is_passed_over);
	return check_end();
}
