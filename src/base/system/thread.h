/* The threads of the program. */
#ifndef BASE_SYSTEM_THREAD_H
#define BASE_SYSTEM_THREAD_H

#include <pthread.h>
#include <stdbool.h>

#include "base/err.h"

/* All zero: there is none. */
struct thread {
	pthread_t id;
	bool runs;
};

/* `name` is what debuggers and top show: 15 characters at most. ERR_NOMEM: the system has no thread left. */
enum err thread_start(struct thread *t, const char *name, void *(*run)(void *arg), void *arg, struct fault *fault);
/* Waits for its end; returns at once where there is none. */
void thread_join(struct thread *t);

/* Lowers the priority of the calling thread. `nice` as in setpriority(2). */
void thread_background(int nice);

#endif
