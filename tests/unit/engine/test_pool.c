/* Jobs that wait for the disk: usual ones, slow ones, and long ones that come again. */
#include <stdbool.h>
#include <sys/resource.h>
#include <unistd.h>

#include "unit/engine/engine.h"

struct slow_job {
	struct pool_job job;
	struct bell held;
	struct bell hold;
	int nice;
};

static void run_slow(struct pool_job *job, struct reader *reader)
{
	struct slow_job *s = (struct slow_job *)job;
	CHECK(reader != NULL);
	s->nice = getpriority(PRIO_PROCESS, (id_t)gettid());
	bell_ring(&s->held);
	bell_wait(&s->hold, 1);
}

static struct bell usual_ran;

static void run_usual(struct pool_job *job, struct reader *reader)
{
	(void)job;
	CHECK(reader != NULL);
	bell_ring(&usual_ran);
}

/* Hangs where slow jobs are run by the threads for the usual ones: two of them keep both. */
static void slow_jobs_keep_no_usual_ones_waiting(void)
{
	enum { SLOW = 3, LOWEST = 19 };
	static struct slow_job slow[SLOW];
	struct pool_job usual = {.run = run_usual};
	engine_set_up(1 << 20);
	bell_init(&usual_ran);
	for (int i = 0; i < SLOW; i++) {
		slow[i].job.run = run_slow;
		list_init(&slow[i].job.link);
		bell_init(&slow[i].held);
		bell_init(&slow[i].hold);
		pool_submit_slow(pool, &slow[i].job);
	}
	bell_wait(&slow[0].held, 1);
	list_init(&usual.link);
	pool_submit(pool, &usual);
	bell_wait(&usual_ran, 1);
	CHECK(slow[0].nice == LOWEST && bell_rings(&slow[1].held) == 0);
	for (int i = 0; i < SLOW; i++)
		bell_ring(&slow[i].hold);
	engine_close(); /* runs them all */
	for (int i = 0; i < SLOW; i++)
		CHECK(bell_rings(&slow[i].held) == 1);
	temp_dir_remove(dir);
}

struct turn_job {
	struct pool_job job;
	int number;
};

static int turns[8];
static int turn_count;

static void run_turn(struct pool_job *job, struct reader *reader)
{
	(void)reader;
	turns[turn_count++] = ((struct turn_job *)job)->number;
}

/* Fails where what is new waits for the next part of everything that is long, or what is long for all that is new. */
static void what_is_new_waits_for_one_part_of_what_is_long(void)
{
	enum { LONG = 4, NEW = 3 };
	static const int order[LONG + NEW] = {10, 0, 11, 1, 12, 2, 3};
	struct slow_job holder = {.job.run = run_slow};
	struct turn_job jobs[LONG + NEW];
	struct pool *one;
	engine_set_up(1 << 20);
	CHECK(pool_create(store, 1, &one, &fault) == ERR_NONE);
	bell_init(&holder.held);
	bell_init(&holder.hold);
	list_init(&holder.job.link);
	pool_submit(one, &holder.job);
	bell_wait(&holder.held, 1);
	turn_count = 0;
	for (int i = 0; i < LONG + NEW; i++) {
		jobs[i] = (struct turn_job){.job.run = run_turn, .number = i < LONG ? i : 10 + i - LONG};
		list_init(&jobs[i].job.link);
		if (i < LONG)
			pool_submit_again(one, &jobs[i].job);
		else
			pool_submit(one, &jobs[i].job);
	}
	bell_ring(&holder.hold);
	pool_destroy(one);
	CHECK(turn_count == LONG + NEW && memcmp(turns, order, sizeof order) == 0);
	engine_tear_down();
}

int main(void)
{
	RUN(what_is_new_waits_for_one_part_of_what_is_long);
	RUN(slow_jobs_keep_no_usual_ones_waiting);
	return check_end();
}
