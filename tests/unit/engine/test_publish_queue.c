/* Which of the requests that wait goes into a commit first, and how many: clients that publish little do not wait for those
 * that publish much, and nobody starves. */
#include <stdbool.h>
#include <stdlib.h>

#include "engine/write/publish_queue.h"
#include "unit/engine/engine.h"

enum { LARGE_EVENTS = 1000, LARGES = 20, SMALLS = 5000 };

static struct write smalls[SMALLS];

static uint64_t head_held;

static void on_held_done(struct write_op *op)
{
	head_held = store_head(store);
	bell_ring(&((struct write *)op)->bell);
}

static int smalls_sent;
static int larges_left;
static struct bell smalls_end;

static void on_large_done(struct write_op *op)
{
	larges_left--;
	bell_ring(&((struct write *)op)->bell);
}

/* The next one is submitted as soon as this one is answered, until all large ones are. */
static void on_small_done(struct write_op *op)
{
	(void)op;
	if (larges_left > 0 && smalls_sent < SMALLS)
		CHECK(writer_submit(writer, &smalls[smalls_sent++].op, &fault) == ERR_NONE);
	else
		bell_ring(&smalls_end);
}

static int smalls_between(uint64_t after, uint64_t before)
{
	int n = 0;
	for (int i = 0; i < smalls_sent; i++)
		n += smalls[i].op.receipt.first > after && smalls[i].op.receipt.first < before;
	return n;
}

/* Fails when clients only take turns, or small and large requests by the same turn: the second small one then has seq 1002.
 * When small ones always go first: the large ones then come last. When small ones that arrive during an append wait for the
 * next commit. And when a large one need not wait after another: there are then two small ones between two of them.
 */
static void small_requests_do_not_wait_for_large_ones_nor_hold_them_up(void)
{
	static struct write larges[LARGES];
	static char lines[LARGE_EVENTS * LINE_LEN + 1];
	struct write holder;
	put_lines(lines, LARGE_EVENTS);
	engine_set_up(1 << 20);
	bell_init(&smalls_end);
	engine_hold_writer(&holder, 2, NULL); /* whose turn is over then */
	holder.op.done = on_held_done;
	larges_left = LARGES;
	for (int i = 0; i < LARGES; i++) {
		write_prepare(&larges[i], 1, lines);
		larges[i].op.done = on_large_done;
		CHECK(writer_submit(writer, &larges[i].op, &fault) == ERR_NONE);
	}
	for (int i = 0; i < SMALLS; i++) {
		write_prepare(&smalls[i], 2, "{\"data\":2}");
		smalls[i].op.done = on_small_done;
	}
	smalls_sent = 1;
	CHECK(writer_submit(writer, &smalls[0].op, &fault) == ERR_NONE);
	engine_release_writer();
	bell_wait(&smalls_end, 1);
	CHECK(larges_left == 0 && head_held == 1 && smalls[0].op.receipt.first == 1);
	CHECK(smalls[1].op.receipt.first == 2);
	CHECK(smalls_between(larges[0].op.receipt.last, larges[LARGES - 1].op.receipt.first) > 2 * (LARGES - 1));
	for (int i = 0; i < LARGES; i++) {
		bell_wait(&larges[i].bell, 1);
		write_finish(&larges[i]);
	}
	for (int i = 0; i < SMALLS; i++)
		write_finish(&smalls[i]);
	write_finish(&holder);
	engine_tear_down();
}

/* Fails where each of many is as good as one alone: all of them then come before those of the clients behind. */
static void small_requests_that_pile_up_are_no_less_than_a_large_one(void)
{
	enum { PILE = 100, OTHERS = 8, SMALL_EVENTS = 16 };
	static struct write pile[PILE];
	struct write others[OTHERS];
	struct write holder;
	engine_set_up(1 << 20);
	engine_hold_writer(&holder, 2, NULL); /* whose turn is over then */
	for (int i = 0; i < PILE; i++) {
		write_prepare(&pile[i], 1, "{\"data\":1}");
		CHECK(writer_submit(writer, &pile[i].op, &fault) == ERR_NONE);
	}
	for (int i = 0; i < OTHERS; i++) {
		write_prepare(&others[i], (uint64_t)i + 2, "{\"data\":2}");
		CHECK(writer_submit(writer, &others[i].op, &fault) == ERR_NONE);
	}
	engine_release_writer();
	for (int i = 0; i < OTHERS; i++) {
		bell_wait(&others[i].bell, 1);
		CHECK(others[i].op.receipt.first <= SMALL_EVENTS + OTHERS);
		write_finish(&others[i]);
	}
	for (int i = 0; i < PILE; i++) {
		bell_wait(&pile[i].bell, 1);
		CHECK(i == 0 || pile[i].op.receipt.first > pile[i - 1].op.receipt.first);
		write_finish(&pile[i]);
	}
	write_finish(&holder);
	engine_tear_down();
}

static const struct write *answered[3];
static int answers;

static void on_answer(struct write_op *op)
{
	struct write *o = (struct write *)op;
	answered[answers++] = o;
	bell_ring(&o->bell);
}

/* Fails when a commit's answers come in the order of its events, or when all small ones are answered first. */
static void who_publishes_little_is_answered_before_what_is_large(void)
{
	static char lines[LARGE_EVENTS * LINE_LEN + 1];
	struct write o[3];
	put_lines(lines, LARGE_EVENTS);
	engine_set_up(1 << 20);
	engine_hold_writer(&o[0], 1, lines);
	o[0].op.done = on_answer;
	for (int i = 1; i < 3; i++) {
		write_prepare(&o[i], (uint64_t)i, "{\"data\":2}");
		o[i].op.done = on_answer;
		CHECK(writer_submit(writer, &o[i].op, &fault) == ERR_NONE);
	}
	engine_release_writer();
	for (int i = 0; i < 3; i++)
		bell_wait(&o[i].bell, 1);
	CHECK(answered[0] == &o[2] && answered[1] == &o[0] && answered[2] == &o[1]);
	CHECK(o[0].op.receipt.last < o[1].op.receipt.first && o[0].op.receipt.last < o[2].op.receipt.first);
	for (int i = 0; i < 3; i++)
		write_finish(&o[i]);
	engine_tear_down();
}

/* Fails when its own large request counts as another client's: it then gets 128 events a commit. */
static void one_client_alone_gets_large_commits(void)
{
	static struct write o[1000];
	static char lines[LARGE_EVENTS * LINE_LEN + 1];
	struct write holder;
	struct writer_figures before;
	struct writer_figures after;
	put_lines(lines, LARGE_EVENTS);
	engine_set_up(1 << 20);
	writer_read(writer, &before);
	engine_hold_writer(&holder, 1, lines);
	for (int i = 0; i < 1000; i++) {
		write_prepare(&o[i], 1, "{\"data\":2}");
		CHECK(writer_submit(writer, &o[i].op, &fault) == ERR_NONE);
	}
	engine_release_writer();
	for (int i = 0; i < 1000; i++) {
		bell_wait(&o[i].bell, 1);
		write_finish(&o[i]);
	}
	writer_read(writer, &after);
	CHECK(after.commits - before.commits <= 2);
	write_finish(&holder);
	engine_tear_down();
}

enum { CLIENTS = 24, REQUESTS = 80, REQUEST_EVENTS = 16 };
enum { MIDDLE_CLIENTS = 3, MIDDLE_REQUESTS = 12, MIDDLE_EVENTS = 100, LARGE_CLIENTS = 2, LARGE_REQUESTS = 6 };

static int by_first(const void *a, const void *b)
{
	const struct write *x = *(struct write *const *)a;
	const struct write *y = *(struct write *const *)b;
	return x->op.receipt.first < y->op.receipt.first ? -1 : x->op.receipt.first > y->op.receipt.first;
}

static void add_requests(struct write **all, size_t *count, uint64_t first_client, int clients, int requests,
			 const char *lines)
{
	for (int i = 0; i < clients * requests; i++) {
		struct write *o = malloc(sizeof *o);
		CHECK(o != NULL);
		write_prepare(o, first_client + (uint64_t)(i % clients), lines);
		CHECK(writer_submit(writer, &o->op, &fault) == ERR_NONE);
		all[(*count)++] = o;
	}
}

static struct write chain[CLIENTS * REQUESTS]; /* each client's one after the other */

/* The client's next one comes as soon as this one is answered. */
static void on_chained_done(struct write_op *op)
{
	size_t i = (size_t)((struct write *)op - chain);
	if (i % REQUESTS + 1 < REQUESTS)
		CHECK(writer_submit(writer, &chain[i + 1].op, &fault) == ERR_NONE);
	bell_ring(&((struct write *)op)->bell);
}

static void add_chains(struct write **all, size_t *count, uint64_t first_client, const char *lines)
{
	for (int i = 0; i < CLIENTS * REQUESTS; i++) {
		write_prepare(&chain[i], first_client + (uint64_t)(i / REQUESTS), lines);
		chain[i].op.done = on_chained_done;
		all[(*count)++] = &chain[i];
	}
	for (int i = 0; i < CLIENTS; i++)
		CHECK(writer_submit(writer, &chain[i * REQUESTS].op, &fault) == ERR_NONE);
}

/* No client is further ahead of another than `ahead` requests, as long as all have some. */
static void check_pace(struct write **all, size_t count, uint64_t first_client, int clients, int requests, int ahead)
{
	int had[CLIENTS] = {0};
	int most = 0;
	for (size_t i = 0; i < count && most < requests; i++) {
		uint64_t client = all[i]->op.client - first_client;
		if (client >= (uint64_t)clients)
			continue;
		most = ++had[client] > most ? had[client] : most;
		for (int k = 0; k < clients; k++)
			CHECK(most - had[k] <= ahead);
	}
}

/* Fails when a turn goes on in the next transaction though it has had something: with 100 events it then never ends. */
static void all_have_their_turns_among_many_of_both_kinds(void)
{
	static struct write *all[CLIENTS * REQUESTS + MIDDLE_CLIENTS * MIDDLE_REQUESTS + LARGE_CLIENTS * LARGE_REQUESTS];
	static char lines[LARGE_EVENTS * LINE_LEN + 1];
	struct write holder;
	size_t count = 0;
	put_lines(lines, LARGE_EVENTS);
	engine_set_up(1 << 20);
	engine_hold_writer(&holder, 999, NULL);
	add_requests(all, &count, 100, LARGE_CLIENTS, LARGE_REQUESTS, lines);
	put_lines(lines, MIDDLE_EVENTS);
	add_requests(all, &count, 200, MIDDLE_CLIENTS, MIDDLE_REQUESTS, lines);
	put_lines(lines, REQUEST_EVENTS);
	add_chains(all, &count, 1, lines);
	engine_release_writer();
	for (size_t i = 0; i < count; i++)
		bell_wait(&all[i]->bell, 1);
	qsort(all, count, sizeof *all, by_first);
	check_pace(all, count, 1, CLIENTS, REQUESTS, REQUESTS / 4);
	check_pace(all, count, 200, MIDDLE_CLIENTS, MIDDLE_REQUESTS, 2);
	check_pace(all, count, 100, LARGE_CLIENTS, LARGE_REQUESTS, 1);
	for (size_t i = 0; i < count; i++) {
		write_finish(all[i]);
		if (all[i]->op.client >= 100)
			free(all[i]);
	}
	write_finish(&holder);
	engine_tear_down();
}

int main(void)
{
	RUN(who_publishes_little_is_answered_before_what_is_large);
	RUN(one_client_alone_gets_large_commits);
	RUN(all_have_their_turns_among_many_of_both_kinds);
	RUN(small_requests_that_pile_up_are_no_less_than_a_large_one);
	RUN(small_requests_do_not_wait_for_large_ones_nor_hold_them_up);
	return check_end();
}
