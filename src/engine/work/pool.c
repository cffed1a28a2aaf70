#include "engine/work/pool.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/system/thread.h"
#include "engine/work/fair_queue.h"

enum { NICE = 5, SLOW_NICE = 19 };

/* Jobs that wait. Its threads end when it is closing and empty. */
struct queue {
	pthread_cond_t wake;
	struct fair_queue jobs;
	struct fair_queue again; /* jobs that have run before: every other turn is theirs while both kinds wait */
	unsigned jobs_turn;      /* see fair_queue_current */
	unsigned again_turn;
	bool again_next;
	bool closing;
};

struct worker {
	struct pool *pool;
	struct queue *queue;
	int nice;
	struct reader *reader;
	struct thread thread;
};

struct pool {
	pthread_mutex_t lock;
	struct queue usual;
	struct queue slow;
	int count;               /* workers that run */
	struct worker workers[]; /* the first has the slow queue */
};

static bool is_idle(const struct queue *q)
{
	return fair_queue_empty(&q->jobs) && fair_queue_empty(&q->again);
}

/* The next job; the queue is not idle. With the lock. */
static struct pool_job *take(struct queue *q)
{
	assert(!is_idle(q));
	bool both = !fair_queue_empty(&q->jobs) && !fair_queue_empty(&q->again);
	bool again = both ? q->again_next : fair_queue_empty(&q->jobs);
	if (both)
		q->again_next = !q->again_next;
	struct fair_queue *from = again ? &q->again : &q->jobs;
	unsigned *turn = again ? &q->again_turn : &q->jobs_turn;
	struct pool_job *job = LIST_ITEM(fair_queue_current(from, turn)->next, struct pool_job, link);
	fair_queue_remove(from, *turn, &job->link);
	fair_queue_next(turn);
	return job;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct pool *p = w->pool;
	struct queue *q = w->queue;
	thread_background(w->nice);
	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (is_idle(q) && !q->closing)
			pthread_cond_wait(&q->wake, &p->lock);
		if (is_idle(q))
			break;
		struct pool_job *job = take(q);
		pthread_mutex_unlock(&p->lock);
		job->run(job, w->reader);
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static void queue_init(struct queue *q)
{
	pthread_cond_init(&q->wake, NULL);
	fair_queue_init(&q->jobs);
	fair_queue_init(&q->again);
}

enum err pool_create(struct store *store, int threads, struct pool **out, struct fault *fault)
{
	*out = NULL;
	struct pool *p = calloc(1, sizeof *p + (size_t)(threads + 1) * sizeof p->workers[0]);
	if (p == NULL)
		return fault_nomem(fault);
	pthread_mutex_init(&p->lock, NULL);
	queue_init(&p->usual);
	queue_init(&p->slow);
	enum err err = ERR_NONE;
	for (int i = 0; !err && i <= threads; i++) {
		struct worker *w = &p->workers[i];
		w->pool = p;
		w->queue = i == 0 ? &p->slow : &p->usual;
		w->nice = i == 0 ? SLOW_NICE : NICE;
		err = reader_open(store, &w->reader, fault);
		if (err)
			break;
		err = thread_start(&w->thread, i == 0 ? "pool-slow" : "pool", work, w, fault);
		if (err)
			reader_close(w->reader);
		p->count += !err;
	}
	if (err) {
		pool_destroy(p);
		return err;
	}
	*out = p;
	return ERR_NONE;
}

static void end(struct pool *p, struct queue *q)
{
	pthread_mutex_lock(&p->lock);
	q->closing = true;
	pthread_cond_broadcast(&q->wake);
	pthread_mutex_unlock(&p->lock);
	for (int i = 0; i < p->count; i++) {
		if (p->workers[i].queue != q)
			continue;
		thread_join(&p->workers[i].thread);
		reader_close(p->workers[i].reader);
	}
	pthread_cond_destroy(&q->wake);
}

/* Usual threads end first: a usual job may submit a slow one. */
void pool_destroy(struct pool *p)
{
	if (p == NULL)
		return;
	end(p, &p->usual);
	end(p, &p->slow);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static void submit(struct pool *p, struct queue *q, struct fair_queue *to, struct pool_job *job)
{
	pthread_mutex_lock(&p->lock);
	fair_queue_append(to, job->client, &job->link);
	pthread_cond_signal(&q->wake);
	pthread_mutex_unlock(&p->lock);
}

void pool_submit(struct pool *p, struct pool_job *job)
{
	submit(p, &p->usual, &p->usual.jobs, job);
}

void pool_submit_again(struct pool *p, struct pool_job *job)
{
	submit(p, &p->usual, &p->usual.again, job);
}

void pool_submit_slow(struct pool *p, struct pool_job *job)
{
	submit(p, &p->slow, &p->slow.jobs, job);
}
