/* Threads that may wait for the disk: each has a reader of its own and runs jobs in the order they came.
 * One thread more, of the lowest priority, has a queue of its own for jobs that take much of a processor. */
#ifndef ENGINE_WORK_POOL_H
#define ENGINE_WORK_POOL_H

#include "base/list.h"
#include "store/read/history.h"

struct pool;

/* Embedded in whatever a job belongs to. The job is out of the pool's hands when `run` is called. */
struct pool_job {
	struct list link;
	uint64_t client; /* whose it is: clients take turns; 0: nobody's in particular */
	void (*run)(struct pool_job *job, struct reader *reader);
};

/* `threads` for the usual jobs. */
enum err pool_create(struct store *store, int threads, struct pool **out, struct fault *fault);
/* Runs what is queued, then ends the threads. */
void pool_destroy(struct pool *p);
/* Any thread. Cannot fail: whoever submits bounds how many jobs there can be. */
void pool_submit(struct pool *p, struct pool_job *job);
/* The same for the next part of something that has had a turn: what is new waits for one such part at the most. */
void pool_submit_again(struct pool *p, struct pool_job *job);
/* The same for the slow thread. A slow job submits no usual one: those threads end first. */
void pool_submit_slow(struct pool *p, struct pool_job *job);

#endif
