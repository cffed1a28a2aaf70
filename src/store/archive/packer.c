#include "store/archive/packer.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <zstd.h>

#include "base/system/thread.h"

enum { PACKER_AHEAD = 2 };

enum job_state { JOB_FREE, JOB_READY, JOB_DONE };

struct job {
	enum job_state state;
	struct buf raw;
	struct buf frame;
	enum err err;
};

struct packer {
	int level;
	int threads;
	packer_emit *emit;
	void *arg;
	struct thread thread[PACKER_THREADS_MAX];
	ZSTD_CCtx *context;   /* without threads: the caller's */
	pthread_mutex_t lock; /* guards what follows, except the bytes of jobs */
	pthread_cond_t ready;
	pthread_cond_t done;
	bool closing;
	bool emitting; /* a thread is passing on the oldest frame */
	enum err err;  /* the first error; nothing is passed on after it */
	struct fault fault;
	/* A ring: jobs [oldest, newest) are submitted; threads take `next`. The input is at `newest`. */
	struct job *jobs;
	unsigned count;
	unsigned oldest;
	unsigned next;
	unsigned newest;
};

static struct job *job_at(const struct packer *p, unsigned i)
{
	return &p->jobs[i % p->count];
}

static ZSTD_CCtx *context_create(int level)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();
	if (c == NULL)
		return NULL;
	ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, level);
	ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
	return c;
}

static enum err compress(ZSTD_CCtx *c, struct job *j)
{
	j->frame.len = 0;
	if (!buf_reserve(&j->frame, ZSTD_compressBound(j->raw.len)))
		return ERR_NOMEM;
	size_t n = ZSTD_compress2(c, j->frame.data, j->frame.cap, j->raw.data, j->raw.len);
	if (ZSTD_isError(n))
		return ERR_NOMEM; /* the buffer fits any result: only memory can fail */
	j->frame.len = n;
	return ERR_NONE;
}

/* Passes on finished frames, in order. With the lock, which is released meanwhile. */
static void pass_on(struct packer *p)
{
	while (!p->emitting && p->oldest != p->newest && job_at(p, p->oldest)->state == JOB_DONE) {
		struct job *j = job_at(p, p->oldest);
		struct fault fault;
		p->emitting = true;
		if (!p->err && j->err)
			p->err = fault_set(&p->fault, j->err, "out of memory");
		if (!p->err) {
			pthread_mutex_unlock(&p->lock);
			enum err err = p->emit(p->arg, buf_slice(&j->frame), buf_slice(&j->raw), &fault);
			pthread_mutex_lock(&p->lock);
			p->err = err;
			if (err)
				p->fault = fault;
		}
		j->raw.len = 0;
		j->state = JOB_FREE;
		p->oldest++;
		p->emitting = false;
		pthread_cond_broadcast(&p->done);
	}
}

static void *run(void *arg)
{
	struct packer *p = arg;
	ZSTD_CCtx *c = context_create(p->level);
	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (p->next == p->newest && !p->closing)
			pthread_cond_wait(&p->ready, &p->lock);
		if (p->closing)
			break;
		struct job *j = job_at(p, p->next++);
		assert(j->state == JOB_READY && p->newest - p->next <= p->newest - p->oldest);
		pthread_mutex_unlock(&p->lock);
		enum err err = c != NULL ? compress(c, j) : ERR_NOMEM;
		pthread_mutex_lock(&p->lock);
		j->err = err;
		j->state = JOB_DONE;
		pass_on(p);
	}
	pthread_mutex_unlock(&p->lock);
	ZSTD_freeCCtx(c);
	return NULL;
}

enum err packer_create(int level, int threads, packer_emit *emit, void *arg, struct packer **out, struct fault *fault)
{
	assert(threads >= 0 && threads <= PACKER_THREADS_MAX);
	*out = NULL;
	struct packer *p = calloc(1, sizeof *p);
	if (p == NULL)
		return fault_nomem(fault);
	p->level = level;
	p->emit = emit;
	p->arg = arg;
	p->count = threads > 0 ? (unsigned)threads * PACKER_AHEAD + 1 : 2;
	p->jobs = calloc(p->count, sizeof *p->jobs);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->ready, NULL);
	pthread_cond_init(&p->done, NULL);
	if (threads == 0)
		p->context = context_create(level);
	bool fine = p->jobs != NULL && (threads > 0 || p->context != NULL);
	for (int i = 0; fine && i < threads; i++) {
		fine = thread_start(&p->thread[i], "packer", run, p, fault) == ERR_NONE;
		p->threads += fine;
	}
	if (!fine) {
		packer_destroy(p);
		return fault_set(fault, ERR_NOMEM, "out of memory or threads");
	}
	*out = p;
	return ERR_NONE;
}

void packer_destroy(struct packer *p)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	p->closing = true;
	pthread_cond_broadcast(&p->ready);
	pthread_mutex_unlock(&p->lock);
	for (int i = 0; i < p->threads; i++)
		thread_join(&p->thread[i]);
	for (unsigned i = 0; p->jobs != NULL && i < p->count; i++) {
		buf_finish(&p->jobs[i].raw);
		buf_finish(&p->jobs[i].frame);
	}
	ZSTD_freeCCtx(p->context);
	pthread_cond_destroy(&p->ready);
	pthread_cond_destroy(&p->done);
	pthread_mutex_destroy(&p->lock);
	free(p->jobs);
	free(p);
}

struct buf *packer_input(struct packer *p)
{
	return &job_at(p, p->newest)->raw;
}

enum err packer_submit(struct packer *p, struct fault *fault)
{
	struct job *j = job_at(p, p->newest);
	if (buf_failed(&j->raw))
		return fault_nomem(fault);
	if (p->threads == 0)
		j->err = compress(p->context, j);
	pthread_mutex_lock(&p->lock);
	assert(j->state == JOB_FREE);
	j->state = p->threads == 0 ? JOB_DONE : JOB_READY;
	p->newest++;
	assert(p->newest - p->oldest < p->count);
	if (p->threads == 0)
		pass_on(p);
	pthread_cond_signal(&p->ready);
	while (p->newest - p->oldest >= p->count - 1 && !p->err)
		pthread_cond_wait(&p->done, &p->lock);
	enum err err = p->err;
	if (err && fault != NULL)
		*fault = p->fault;
	pthread_mutex_unlock(&p->lock);
	return err;
}

enum err packer_flush(struct packer *p, struct fault *fault)
{
	pthread_mutex_lock(&p->lock);
	while (p->oldest != p->newest && !p->err)
		pthread_cond_wait(&p->done, &p->lock);
	enum err err = p->err;
	if (err && fault != NULL)
		*fault = p->fault;
	pthread_mutex_unlock(&p->lock);
	return err;
}
