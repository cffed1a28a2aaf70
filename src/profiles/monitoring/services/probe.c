#include "profiles/monitoring/services/probe.h"
#include "base/system/thread.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/system/clock.h"

enum { FRESH_MS = 1000 };

struct probe {
	struct writer *writer;
	const struct flags *flags;
	struct thread thread;
	pthread_mutex_t lock; /* guards everything below */
	pthread_cond_t wake;
	struct list waiting; /* probe_ask that wait for the next result */
	bool closing;
	int64_t at_ms; /* monotonic: when the last result came; 0: never */
	struct probe_result result;
};

static enum err write_note(struct write_op *op, struct store *store, struct fault *fault)
{
	(void)op;
	return store_note_put(store, "probe", slice_of("health"), clock_wall_ms(), slice_of("[]"), fault);
}

static struct probe_result try_write(const struct probe *p)
{
	struct probe_result r;
	int64_t start = clock_mono_us();
	r.fine = writer_wait(p->writer, write_note, flags_get(p->flags, FLAG_TIMEOUT_MS));
	r.ms = (double)(clock_mono_us() - start) / 1000;
	return r;
}

/* Answers all waiting requests. Needs the lock, and releases it during each callback. */
static void answer(struct probe *p)
{
	while (!list_empty(&p->waiting)) {
		struct probe_ask *ask = LIST_ITEM(p->waiting.next, struct probe_ask, link);
		list_remove(&ask->link);
		ask->result = p->result;
		pthread_mutex_unlock(&p->lock);
		ask->done(ask);
		pthread_mutex_lock(&p->lock);
	}
}

static void *work(void *arg)
{
	struct probe *p = arg;
	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (list_empty(&p->waiting) && !p->closing)
			pthread_cond_wait(&p->wake, &p->lock);
		if (list_empty(&p->waiting))
			break;
		pthread_mutex_unlock(&p->lock);
		struct probe_result result = try_write(p);
		pthread_mutex_lock(&p->lock);
		p->result = result;
		p->at_ms = clock_mono_ms();
		answer(p);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

struct probe *probe_create(struct writer *w, const struct flags *flags)
{
	struct probe *p = calloc(1, sizeof *p);
	if (p == NULL)
		return NULL;
	p->writer = w;
	p->flags = flags;
	pthread_mutex_init(&p->lock, NULL);
	clock_cond_init(&p->wake);
	list_init(&p->waiting);
	if (thread_start(&p->thread, "probe", work, p, NULL) == ERR_NONE)
		return p;
	probe_destroy(p);
	return NULL;
}

void probe_submit(struct probe *p, struct probe_ask *ask)
{
	pthread_mutex_lock(&p->lock);
	bool fresh = p->closing || (p->at_ms != 0 && clock_mono_ms() - p->at_ms < FRESH_MS);
	if (fresh) {
		ask->result = p->result;
	} else {
		list_init(&ask->link);
		list_append(&p->waiting, &ask->link);
		pthread_cond_signal(&p->wake);
	}
	pthread_mutex_unlock(&p->lock);
	if (fresh)
		ask->done(ask);
}

void probe_close(struct probe *p)
{
	pthread_mutex_lock(&p->lock);
	p->closing = true;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	thread_join(&p->thread);
}

void probe_destroy(struct probe *p)
{
	if (p == NULL)
		return;
	probe_close(p);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
