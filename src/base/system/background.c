#include "base/system/background.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

void background(int nice)
{
	/* Both are hints: without them all works as well, only later. */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), nice);
	(void)sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0});
}
