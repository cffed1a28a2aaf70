/* Something that other threads ring, and that a test waits for. */
#ifndef TESTS_UNIT_ENGINE_BELL_H
#define TESTS_UNIT_ENGINE_BELL_H

#include <pthread.h>

struct bell {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int rings;
};

void bell_init(struct bell *b);
/* `arg` is a struct bell: a callback of cursors. */
void bell_ring(void *arg);
int bell_rings(struct bell *b);
/* Fails the test when it has not rung so often within a minute. */
void bell_wait(struct bell *b, int rings);

#endif
