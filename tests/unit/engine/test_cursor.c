/* Cursors: they read the store first, then what is in memory, without a gap and without an event twice. */
#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

#include "engine/read/cursor.h"
#include "event/page_build.h"
#include "unit/engine/engine.h"

/* Reads on from the cursor and checks that its events are the next ones of `step`. Returns the last seq. */
static uint64_t read_on(struct cursor *c, struct bell *bell, uint64_t after, uint64_t until, unsigned step)
{
	while (after < until) {
		struct chunk chunks[8];
		int count;
		int rings = bell_rings(bell);
		switch (cursor_fill(c, chunks, 8, 1 + (size_t)rand() % 20000, &count)) {
		case CURSOR_READY: break;
		case CURSOR_LOAD:
			cursor_load(c);
			bell_wait(bell, rings + 1);
			continue;
		case CURSOR_LIVE: usleep(200); continue;
		default: CHECK(false);
		}
		size_t all = 0;
		for (int i = 0; i < count; i++)
			all += chunks[i].len;
		/* Sometimes the socket takes less, in the middle of a record. */
		size_t sent = rand() % 2 ? all : (size_t)rand() % (all + 1);
		const char *rest;
		size_t rest_len = cursor_record_rest(c, chunks, count, sent, &rest);
		if (rand() % 2)
			sent += rest_len;
		uint64_t before = cursor_after(c);
		cursor_advance(c, chunks, count, sent);
		for (int i = 0; i < count; i++)
			for (uint32_t k = 0; k < chunks[i].count; k++) {
				uint64_t seq = page_entry(chunks[i].page, chunks[i].index + k).seq;
				if (seq <= before || seq > cursor_after(c))
					continue;
				uint64_t next = after + 1;
				while (step > 1 && next % step != 0)
					next++;
				CHECK(seq == next);
				after = seq;
			}
		cursor_release(chunks, count);
	}
	return after;
}

enum { EVENTS = 20000, BATCH = 50, STEP = 5 };

static void *publish_all(void *arg)
{
	(void)arg;
	for (int seq = 1; seq <= EVENTS;) {
		char lines[BATCH * 128];
		size_t n = 0;
		for (int i = 0; i < BATCH; i++, seq++)
			n += (size_t)sprintf(lines + n, "{\"stream\":\"%s\",\"data\":\"%060d\"}\n",
					     seq % STEP == 0 ? "few" : "many", seq);
		CHECK(engine_publish(lines) == ERR_NONE);
	}
	return NULL;
}

static void *follow(void *arg)
{
	unsigned step = *(unsigned *)arg;
	struct bell bell;
	struct cursor *c;
	bell_init(&bell);
	for (uint64_t start = 0; start < EVENTS - STEP; start += 1 + (uint64_t)rand() % (EVENTS / 4)) {
		struct filter *f = filter_create();
		CHECK(step == 1 || filter_add_stream(f, slice_of("few")) == ERR_NONE);
		struct position position = {.after = start};
		while (feed_head(feed) < start)
			usleep(100);
		CHECK(cursor_create(feed,
				    &(struct cursor_options){position, 0, history_select_take(store, f), ENCODING_WS,
							     bell_ring, &bell},
				    &c) == ERR_NONE);
		read_on(c, &bell, start, EVENTS, step);
		cursor_destroy(c);
	}
	return NULL;
}

/* The ring holds a fraction: cursors start in the store, and cross into the ring while it moves. */
static void cursors_cross_the_seam_under_load(void)
{
	pthread_t threads[4];
	static unsigned steps[] = {1, STEP, 1};
	engine_set_up(64 * 1024);
	pthread_create(&threads[3], NULL, publish_all, NULL);
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, follow, &steps[i]);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	engine_tear_down();
}

/* What is committed but not published yet is nobody's: a reader of it would be past the head, perhaps inside a record. */
static void a_load_ends_where_the_feed_does(void)
{
	static const char *const streams[] = {"a", NULL};
	engine_set_up(1);
	for (int i = 0; i < 3; i++)
		CHECK(engine_publish("{\"stream\":\"a\",\"data\":1}\n{\"stream\":\"a\",\"data\":2}") == ERR_NONE);
	writer_close(writer);
	struct batch *batch;
	struct receipt receipt;
	struct committed *committed;
	const char lines[] = "{\"stream\":\"a\",\"data\":3}";
	CHECK(batch_parse_take(strdup(lines), strlen(lines), BATCH_LINES, limits, &batch, &fault) == ERR_NONE);
	CHECK(store_append(store, batch, NULL, &receipt, &fault) == ERR_NONE);
	CHECK(store_commit(store, &committed, &fault) == ERR_NONE && store_head(store) == 7 && feed_head(feed) == 6);
	for (int i = 0; i < 2; i++) {
		struct bell bell;
		struct cursor *c;
		struct chunk chunks[8];
		int count;
		struct filter *f = filter_create();
		bell_init(&bell);
		CHECK(streams[i] == NULL || filter_add_stream(f, slice_of(streams[i])) == ERR_NONE);
		CHECK(cursor_create(feed,
				    &(struct cursor_options){(struct position){.from_first = true}, 0,
							     history_select_take(store, f), ENCODING_WS, bell_ring, &bell},
				    &c) == ERR_NONE);
		read_on(c, &bell, 0, 6, 1);
		CHECK(cursor_after(c) == 6 && cursor_fill(c, chunks, 8, SIZE_MAX, &count) == CURSOR_LIVE);
		cursor_destroy(c);
	}
	feed_publish_take(feed, committed, 0);
	receipt_finish(&receipt);
	batch_destroy(batch);
	engine_tear_down();
}

int main(void)
{
	RUN(cursors_cross_the_seam_under_load);
	RUN(a_load_ends_where_the_feed_does);
	return check_end();
}
