#include "engine/work/write_back_thread.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/system/thread.h"

enum { NICE = 10 };

struct write_back {
	struct store *store;
	struct thread thread;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t wake;
	int pages; /* asked for and not written back yet */
	bool closing;
};

static void *work(void *arg)
{
	struct write_back *b = arg;
	thread_background(NICE);
	pthread_mutex_lock(&b->lock);
	while (!b->closing) {
		if (b->pages == 0) {
			pthread_cond_wait(&b->wake, &b->lock);
			continue;
		}
		int pages = b->pages;
		pthread_mutex_unlock(&b->lock);
		store_write_back(b->store, pages);
		pthread_mutex_lock(&b->lock);
		assert(b->pages >= pages);
		b->pages -= pages;
	}
	pthread_mutex_unlock(&b->lock);
	return NULL;
}

enum err write_back_create(struct store *store, struct write_back **out, struct fault *fault)
{
	*out = NULL;
	struct write_back *b = calloc(1, sizeof *b);
	if (b == NULL)
		return fault_nomem(fault);
	b->store = store;
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->wake, NULL);
	enum err err = store_write_back_open(store, fault);
	if (!err)
		err = thread_start(&b->thread, "write-back", work, b, fault);
	if (err) {
		pthread_cond_destroy(&b->wake);
		pthread_mutex_destroy(&b->lock);
		free(b);
		return err;
	}
	*out = b;
	return ERR_NONE;
}

void write_back_ask(struct write_back *b, int pages)
{
	if (pages == 0)
		return;
	pthread_mutex_lock(&b->lock);
	b->pages += pages;
	pthread_cond_signal(&b->wake);
	pthread_mutex_unlock(&b->lock);
}

void write_back_destroy(struct write_back *b)
{
	if (b == NULL)
		return;
	pthread_mutex_lock(&b->lock);
	b->closing = true;
	pthread_cond_signal(&b->wake);
	pthread_mutex_unlock(&b->lock);
	thread_join(&b->thread);
	pthread_cond_destroy(&b->wake);
	pthread_mutex_destroy(&b->lock);
	free(b);
}
