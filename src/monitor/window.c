#include "monitor/window.h"

#include <stdlib.h>

#include "monitor/tally.h"

struct second {
	int64_t second; /* Unix */
	uint64_t events;
	uint64_t errors;
	struct histogram times;
};

struct lane {
	struct second seconds[WINDOW_SECONDS];
	uint64_t errors[WINDOW_ERRORS]; /* a circle of seqs; 0: none */
	uint32_t next_error;
};

struct window {
	struct lane lanes[SERVICES];
};

struct window *window_create(void)
{
	return calloc(1, sizeof(struct window));
}

void window_destroy(struct window *w)
{
	if (w == NULL)
		return;
	for (int i = 0; i < SERVICES; i++)
		for (int k = 0; k < WINDOW_SECONDS; k++)
			histogram_clear(&w->lanes[i].seconds[k].times);
	free(w);
}

void window_add(struct window *w, const struct flat *f)
{
	struct lane *lane = &w->lanes[f->service];
	int64_t second = f->time_ms / 1000;
	struct second *s = &lane->seconds[second % WINDOW_SECONDS];
	bool failed = flat_is_error(f);
	if (s->second != second) {
		histogram_clear(&s->times);
		*s = (struct second){.second = second};
	}
	s->events++;
	s->errors += failed;
	if (failed)
		lane->errors[lane->next_error++ % WINDOW_ERRORS] = f->seq;
	if (f->timed)
		histogram_add(&s->times, tally_response_us(f));
}

void window_read(const struct window *w, enum service service, int64_t since_ms, struct window_figures *out,
		 struct histogram_sum *times)
{
	const struct lane *lane = &w->lanes[service];
	for (int k = 0; k < WINDOW_SECONDS; k++) {
		const struct second *s = &lane->seconds[k];
		if (s->events == 0 || s->second * 1000 < since_ms)
			continue;
		out->events += s->events;
		out->errors += s->errors;
		histogram_sum_add(times, &s->times);
	}
}

void window_rank(struct window_figures *f, const struct histogram_sum *times)
{
	f->timed = times->count;
	f->p95_ms = (double)histogram_percentile(times, 95) / 1000;
}

int window_errors(const struct window *w, enum service service, uint64_t seqs[WINDOW_ERRORS])
{
	const struct lane *lane = &w->lanes[service];
	int count = 0;
	for (uint32_t i = 0; i < WINDOW_ERRORS; i++) {
		uint64_t seq = lane->errors[(lane->next_error - 1 - i) % WINDOW_ERRORS];
		if (seq != 0)
			seqs[count++] = seq;
	}
	return count;
}
