#include "profiles/monitoring/services/watch.h"
#include "base/system/thread.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/system/clock.h"
#include "base/system/sys.h"

enum { TICK_MS = 1000, SAMPLE_MS = 60 * 1000, SAMPLES = 180 };

struct sample {
	int64_t at_ms; /* monotonic */
	uint64_t resident;
};

struct watch {
	struct monitor *monitor;
	struct leases *leases;
	struct auditor *auditor;
	struct writer *writer;
	struct thread thread;
	pthread_mutex_t lock; /* guards everything below */
	pthread_cond_t wake;
	bool closing;
	struct sample samples[SAMPLES]; /* ring buffer */
	uint64_t sampled;
	uint64_t baseline;
	int64_t baseline_ms;
};

static double system_percent(void)
{
	unsigned long total = 0;
	unsigned long available = 0;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "r");
	if (f == NULL)
		return 0;
	while (fgets(line, sizeof line, f) != NULL) {
		sscanf(line, "MemTotal: %lu", &total);
		sscanf(line, "MemAvailable: %lu", &available);
	}
	fclose(f);
	return total > 0 ? 100.0 * (double)(total - available) / (double)total : 0;
}

static void sample(struct watch *w, int64_t now)
{
	if (w->sampled > 0 && now - w->samples[(w->sampled - 1) % SAMPLES].at_ms < SAMPLE_MS)
		return;
	w->samples[w->sampled++ % SAMPLES] = (struct sample){now, sys_resident()};
	if (w->sampled == 1) {
		w->baseline = w->samples[0].resident;
		w->baseline_ms = clock_wall_ms();
	}
}

static void *work(void *arg)
{
	struct watch *w = arg;
	pthread_mutex_lock(&w->lock);
	while (!w->closing) {
		sample(w, clock_mono_ms());
		pthread_mutex_unlock(&w->lock);
		leases_sweep(w->leases, w->writer);
		auditor_run(w->auditor, w->writer);
		monitor_save(w->monitor, w->writer, false);
		pthread_mutex_lock(&w->lock);
		if (!w->closing)
			clock_cond_wait(&w->wake, &w->lock, TICK_MS);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

enum err watch_create(struct monitor *monitor, struct leases *leases, struct auditor *auditor, struct writer *writer,
		      struct watch **out, struct fault *fault)
{
	*out = NULL;
	struct watch *w = calloc(1, sizeof *w);
	if (w == NULL)
		return fault_nomem(fault);
	w->monitor = monitor;
	w->leases = leases;
	w->auditor = auditor;
	w->writer = writer;
	pthread_mutex_init(&w->lock, NULL);
	clock_cond_init(&w->wake);
	enum err err = thread_start(&w->thread, "watch", work, w, fault);
	if (err) {
		watch_destroy(w);
		return err;
	}
	*out = w;
	return ERR_NONE;
}

void watch_close(struct watch *w)
{
	pthread_mutex_lock(&w->lock);
	w->closing = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	thread_join(&w->thread);
}

void watch_destroy(struct watch *w)
{
	if (w == NULL)
		return;
	watch_close(w);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

void watch_memory(struct watch *w, struct memory_figures *out)
{
	*out = (struct memory_figures){.resident = sys_resident(), .system_percent = system_percent()};
	pthread_mutex_lock(&w->lock);
	out->samples = w->sampled < SAMPLES ? w->sampled : SAMPLES;
	out->baseline = w->baseline;
	out->baseline_ms = w->baseline_ms;
	if (out->samples >= 2) {
		const struct sample *first = &w->samples[w->sampled < SAMPLES ? 0 : w->sampled % SAMPLES];
		const struct sample *last = &w->samples[(w->sampled - 1) % SAMPLES];
		double hours = (double)(last->at_ms - first->at_ms) / 3600000;
		out->growth_mb_per_hour = ((double)last->resident - (double)first->resident) / (1024 * 1024) / hours;
	}
	pthread_mutex_unlock(&w->lock);
}
