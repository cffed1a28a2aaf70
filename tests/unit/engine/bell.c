#include "unit/engine/bell.h"

#include "base/system/clock.h"
#include "unit/check.h"

void bell_init(struct bell *b)
{
	b->rings = 0;
	pthread_mutex_init(&b->lock, NULL);
	clock_cond_init(&b->cond);
}

void bell_ring(void *arg)
{
	struct bell *b = arg;
	pthread_mutex_lock(&b->lock);
	b->rings++;
	pthread_cond_signal(&b->cond);
	pthread_mutex_unlock(&b->lock);
}

int bell_rings(struct bell *b)
{
	pthread_mutex_lock(&b->lock);
	int rings = b->rings;
	pthread_mutex_unlock(&b->lock);
	return rings;
}

void bell_wait(struct bell *b, int rings)
{
	int64_t end = clock_mono_ms() + 60000;
	pthread_mutex_lock(&b->lock);
	while (b->rings < rings && clock_mono_ms() < end)
		clock_cond_wait(&b->cond, &b->lock, 100);
	CHECK(b->rings >= rings);
	pthread_mutex_unlock(&b->lock);
}
