/* Threads that may wait for the disk. Each has its own reader. Clients take turns; the jobs of one client run in order. One
 * more thread, of the lowest priority, has its own queue for jobs that need much processor time. */
#ifndef ENGINE_WORK_POOL_H
#define ENGINE_WORK_POOL_H

#include "base/list.h"
#include "store/read/history.h"

struct pool;

/* Embedded in what the job is for. The pool does not touch the job any more when `run` is called: it may free it. */
struct pool_job {
	struct list link;
	uint64_t client; /* clients take turns; 0: no particular client */
	void (*run)(struct pool_job *job, struct reader *reader);
};

/* `threads` for usual jobs, and one more for slow ones. ERR_NOMEM, and the errors of reader_open. */
enum err pool_create(struct store *store, int threads, struct pool **out, struct fault *fault);
/* Runs what is queued, then ends the threads. NULL is fine. */
void pool_destroy(struct pool *p);
/* Any thread. Cannot fail; callers bound the number of their jobs. */
void pool_submit(struct pool *p, struct pool_job *job);
/* The same for a job that has run before and continues: while both kinds wait, new jobs get every other turn. */
void pool_submit_again(struct pool *p, struct pool_job *job);
/* The same for the slow thread. A slow job must not submit a usual one: those threads end first. */
void pool_submit_slow(struct pool *p, struct pool_job *job);

#endif
