#include "monitor/window.h"

#include <stdlib.h>

#include "monitor/tally.h"

struct second {
	int64_t second; /* Unix */
	uint32_t events;
	uint32_t errors;
};

struct response {
	int64_t time_ms;
	uint64_t us;
};

struct lane {
	struct second seconds[WINDOW_SECONDS];
	struct response responses[WINDOW_TIMES]; /* a circle */
	uint32_t next_response;
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
	free(w);
}

void window_add(struct window *w, const struct flat *f)
{
	struct lane *lane = &w->lanes[f->service];
	int64_t second = f->time_ms / 1000;
	struct second *s = &lane->seconds[second % WINDOW_SECONDS];
	bool failed = slice_is(f->direction, "error") || (f->error.p != NULL && f->error.len > 0);
	if (s->second != second)
		*s = (struct second){.second = second};
	s->events++;
	s->errors += failed;
	if (failed)
		lane->errors[lane->next_error++ % WINDOW_ERRORS] = f->seq;
	if (f->timed)
		lane->responses[lane->next_response++ % WINDOW_TIMES] = (struct response){f->time_ms, tally_response_us(f)};
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

/* Adds the response times of a lane since a time. */
static uint64_t collect(const struct lane *lane, int64_t since_ms, uint64_t *times, uint64_t count)
{
	for (int i = 0; i < WINDOW_TIMES; i++)
		if (lane->responses[i].time_ms >= since_ms && lane->responses[i].time_ms > 0)
			times[count++] = lane->responses[i].us;
	return count;
}

void window_read(const struct window *w, enum service service, int64_t since_ms, struct window_figures *out,
		 struct window_times *times)
{
	*out = (struct window_figures){0};
	for (int i = 0; i < SERVICES; i++) {
		const struct lane *lane = &w->lanes[i];
		if (service != SERVICES && service != (enum service)i)
			continue;
		for (int k = 0; k < WINDOW_SECONDS; k++) {
			if (lane->seconds[k].second * 1000 < since_ms)
				continue;
			out->events += lane->seconds[k].events;
			out->errors += lane->seconds[k].errors;
		}
		out->timed = collect(lane, since_ms, times->us, out->timed);
	}
}

void window_rank(struct window_figures *f, struct window_times *times)
{
	if (f->timed == 0)
		return;
	qsort(times->us, f->timed, sizeof *times->us, ascending);
	uint64_t rank = f->timed * 95 / 100;
	f->p95_ms = (double)times->us[rank < f->timed ? rank : f->timed - 1] / 1000;
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
