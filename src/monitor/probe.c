#include "monitor/probe.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"

enum { FRESH_MS = 1000 };

struct probe {
	struct writer *writer;
	pthread_mutex_t lock; /* held while one runs: who comes meanwhile takes its result */
	int64_t at_ms;        /* monotonic; 0: never */
	bool fine;
	double ms;
};

struct probe *probe_create(struct writer *w)
{
	struct probe *p = calloc(1, sizeof *p);
	if (p == NULL)
		return NULL;
	p->writer = w;
	pthread_mutex_init(&p->lock, NULL);
	return p;
}

void probe_destroy(struct probe *p)
{
	if (p == NULL)
		return;
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static enum err write_note(struct write_op *op, struct store *store, struct fault *fault)
{
	(void)op;
	return store_note_put(store, "probe", slice_of("health"), clock_wall_ms(), slice_of("[]"), fault);
}

bool probe_run(struct probe *p, double *ms)
{
	pthread_mutex_lock(&p->lock);
	if (p->at_ms == 0 || clock_mono_ms() - p->at_ms >= FRESH_MS) {
		int64_t start = clock_mono_us();
		p->fine = writer_wait(p->writer, write_note, PROBE_MAX_MS);
		p->ms = (double)(clock_mono_us() - start) / 1000;
		p->at_ms = clock_mono_ms();
	}
	bool fine = p->fine;
	*ms = p->ms;
	pthread_mutex_unlock(&p->lock);
	return fine;
}
