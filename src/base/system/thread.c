#include "base/system/thread.h"

#include <assert.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { NAME_LEN = 15 };

enum err thread_start(struct thread *t, const char *name, void *(*run)(void *arg), void *arg, struct fault *fault)
{
	assert(!t->runs && strlen(name) <= NAME_LEN);
	if (pthread_create(&t->id, NULL, run, arg) != 0)
		return fault_set(fault, ERR_NOMEM, "cannot start a thread");
	t->runs = true;
	pthread_setname_np(t->id, name);
	return ERR_NONE;
}

void thread_join(struct thread *t)
{
	if (t->runs)
		pthread_join(t->id, NULL);
	t->runs = false;
}

void thread_background(int nice)
{
	/* Both are hints: without them all works as well, only later. */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), nice);
	(void)sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0});
}
