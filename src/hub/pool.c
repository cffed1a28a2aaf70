#include "hub/pool.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/background.h"

enum { NICE = 5 };

struct worker {
	struct pool *pool;
	struct reader *reader;
	pthread_t thread;
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct list jobs;
	bool closing;
	int count; /* workers that run */
	struct worker workers[];
};

static void *work(void *arg)
{
	struct worker *w = arg;
	struct pool *p = w->pool;
	background(NICE);
	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (list_empty(&p->jobs) && !p->closing)
			pthread_cond_wait(&p->wake, &p->lock);
		if (list_empty(&p->jobs))
			break;
		struct pool_job *job = LIST_ITEM(p->jobs.next, struct pool_job, link);
		list_remove(&job->link);
		pthread_mutex_unlock(&p->lock);
		job->run(job, w->reader);
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

enum err pool_create(struct store *store, int threads, struct pool **out, struct fault *fault)
{
	*out = NULL;
	struct pool *p = calloc(1, sizeof *p + (size_t)threads * sizeof p->workers[0]);
	if (p == NULL)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->wake, NULL);
	list_init(&p->jobs);
	enum err err = ERR_NONE;
	for (int i = 0; !err && i < threads; i++) {
		struct worker *w = &p->workers[i];
		w->pool = p;
		err = reader_open(store, &w->reader, fault);
		if (!err && pthread_create(&w->thread, NULL, work, w) != 0) {
			reader_close(w->reader);
			err = fault_set(fault, ERR_NOMEM, "cannot start a thread");
		}
		p->count += !err;
	}
	if (err) {
		pool_destroy(p);
		return err;
	}
	*out = p;
	return ERR_NONE;
}

void pool_destroy(struct pool *p)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	p->closing = true;
	pthread_cond_broadcast(&p->wake);
	pthread_mutex_unlock(&p->lock);
	for (int i = 0; i < p->count; i++) {
		pthread_join(p->workers[i].thread, NULL);
		reader_close(p->workers[i].reader);
	}
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

void pool_submit(struct pool *p, struct pool_job *job)
{
	pthread_mutex_lock(&p->lock);
	list_append(&p->jobs, &job->link);
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
}
