#include "load/meter.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/system/clock.h"

static double seconds_of(clockid_t clock)
{
	struct timespec t;
	if (clock_gettime(clock, &t) != 0)
		die("a process whose time is to be measured is gone");
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds_of_all(const char *pids)
{
	double sum = 0;
	for (const char *p = pids; p != NULL && *p != '\0'; p = strchr(p, ',')) {
		p += *p == ',';
		clockid_t clock;
		if (clock_getcpuclockid(atoi(p), &clock) != 0)
			die("no process %s", p);
		sum += seconds_of(clock);
	}
	return sum;
}

void meter_start(struct meter *m, const struct args *a)
{
	m->pids = args_text(a, "pid", "");
	m->start_us = clock_mono_us();
	m->client = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
	m->server = seconds_of_all(m->pids);
}

double meter_stop(struct meter *m)
{
	double seconds = (double)(clock_mono_us() - m->start_us) / 1e6;
	figure("seconds", seconds);
	figure("client", seconds_of(CLOCK_PROCESS_CPUTIME_ID) - m->client);
	figure("server", seconds_of_all(m->pids) - m->server);
	return seconds;
}
