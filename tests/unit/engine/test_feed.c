/* The feed: pages that readers ask for, and requests that need the same pool. */
#include <stdbool.h>

#include "engine/read/cursor.h"
#include "unit/engine/engine.h"

enum { PLACES = 20, STORE_FILES_EVENTS = 512, LOADS_AT_ONCE = 8 };

/* A job that keeps a thread of the pool busy until it is let go. */
struct hold_job {
	struct pool_job job; /* first */
	struct bell begun;
	struct bell let_go;
};

static struct bell request_ran;
static uint64_t loads_before_request;

static void run_hold(struct pool_job *job, struct reader *reader)
{
	(void)reader;
	struct hold_job *h = (struct hold_job *)job;
	bell_ring(&h->begun);
	bell_wait(&h->let_go, 1);
}

/* Both threads of the pool are busy, and wait. */
static void hold_pool(struct hold_job holds[2])
{
	for (int i = 0; i < 2; i++) {
		holds[i].job.run = run_hold;
		bell_init(&holds[i].begun);
		bell_init(&holds[i].let_go);
		pool_submit(pool, &holds[i].job);
		bell_wait(&holds[i].begun, 1);
	}
}

static void run_request(struct pool_job *job, struct reader *reader)
{
	(void)job;
	(void)reader;
	struct feed_figures figures;
	feed_read(feed, &figures);
	loads_before_request = figures.loads;
	bell_ring(&request_ran);
}

static void publish_places(void)
{
	static char lines[STORE_FILES_EVENTS * LINE_LEN + 1];
	put_lines(lines, STORE_FILES_EVENTS);
	for (int i = 0; i < PLACES; i++)
		CHECK(engine_publish(lines) == ERR_NONE);
}

/* A hub that has just started, with nothing in memory, whose pool is held; and readers who ask for all places. */
static void let_a_herd_ask(struct hold_job holds[2], struct cursor *cursors[PLACES], struct bell *bell)
{
	struct chunk chunks[8];
	int count;
	engine_set_up(1 << 20);
	publish_places();
	engine_close();
	engine_open(1 << 20, (struct writer_options){0});
	hold_pool(holds);
	bell_init(bell);
	for (uint64_t i = 0; i < PLACES; i++) {
		struct position at = {.after = i * STORE_FILES_EVENTS};
		CHECK(cursor_create(feed, &(struct cursor_options){at, 0, NULL, ENCODING_WS, bell_ring, bell},
				    &cursors[i]) == ERR_NONE);
		CHECK(cursor_fill(cursors[i], chunks, 8, SIZE_MAX, &count) == CURSOR_LOAD);
		cursor_load(cursors[i]);
	}
}

/* Fails when each page that is asked for goes to the pool at once: the request then comes behind all 20. */
static void a_request_does_not_wait_for_the_pages_of_a_whole_herd(void)
{
	struct hold_job holds[2];
	struct pool_job request = {.run = run_request};
	struct cursor *cursors[PLACES];
	struct bell bell;
	let_a_herd_ask(holds, cursors, &bell);
	bell_init(&request_ran);
	pool_submit(pool, &request);
	bell_ring(&holds[0].let_go); /* one thread, so that there is an order */
	bell_wait(&request_ran, 1);
	CHECK(loads_before_request == LOADS_AT_ONCE);
	bell_ring(&holds[1].let_go);
	bell_wait(&bell, PLACES);
	for (int i = 0; i < PLACES; i++)
		cursor_destroy(cursors[i]);
	engine_tear_down();
}

/* Fails without feed_close (the pool reads all 20), and where it does not end what waits (nobody rings for them), nor
 * refuses what comes later (it goes to a pool that has gone). */
static void a_closed_feed_reads_no_more_pages(void)
{
	struct hold_job holds[2];
	struct cursor *cursors[PLACES];
	struct bell bell;
	struct chunk chunks[8];
	struct feed_figures figures;
	int count;
	let_a_herd_ask(holds, cursors, &bell);
	feed_close(feed);
	CHECK(bell_rings(&bell) == PLACES - LOADS_AT_ONCE);
	for (int i = 0; i < 2; i++)
		bell_ring(&holds[i].let_go);
	pool_destroy(pool); /* what it had is read */
	pool = NULL;
	CHECK(bell_rings(&bell) == PLACES);
	feed_read(feed, &figures);
	CHECK(figures.loads == LOADS_AT_ONCE);
	CHECK(cursor_fill(cursors[LOADS_AT_ONCE - 1], chunks, 8, SIZE_MAX, &count) ==
	      CURSOR_READY); /* and nothing prefetched */
	cursor_release(chunks, count);
	for (int i = LOADS_AT_ONCE; i < PLACES; i++)
		CHECK(cursor_fill(cursors[i], chunks, 8, SIZE_MAX, &count) == CURSOR_FAILED &&
		      cursor_fault(cursors[i])->code == ERR_CLOSED);
	for (int i = 0; i < PLACES; i++)
		cursor_destroy(cursors[i]);
	struct position last = {.after = (PLACES - 1) * STORE_FILES_EVENTS};
	struct selection *all = history_select_take(store, filter_create());
	CHECK(cursor_create(feed, &(struct cursor_options){last, 0, all, ENCODING_WS, bell_ring, &bell}, &cursors[0]) ==
	      ERR_NONE);
	CHECK(cursor_fill(cursors[0], chunks, 8, SIZE_MAX, &count) == CURSOR_LOAD);
	cursor_load(cursors[0]);
	CHECK(bell_rings(&bell) == PLACES + 1);
	cursor_destroy(cursors[0]);
	engine_tear_down();
}

int main(void)
{
	RUN(a_request_does_not_wait_for_the_pages_of_a_whole_herd);
	RUN(a_closed_feed_reads_no_more_pages);
	return check_end();
}
