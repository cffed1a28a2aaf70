#include "profiles/monitoring/state/window.h"

#include <stdlib.h>

#include "profiles/monitoring/state/tally.h"

struct second {
	int64_t second; /* Unix */
	uint64_t events;
	uint64_t errors;
	struct histogram times;
};

struct service_window {
	struct second seconds[WINDOW_SECONDS];
	uint64_t errors[WINDOW_ERRORS]; /* ring buffer of seqs; 0: none */
	uint32_t next_error;
};

struct window {
	struct service_window services[SERVICES];
	int64_t whole_ms; /* Unix: no event is missing from this second on */
	bool missing;     /* events may be missing before the next one that is added */
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
			histogram_clear(&w->services[i].seconds[k].times);
	free(w);
}

/* The first full second at or after a time. */
static int64_t whole_second(int64_t ms)
{
	return (ms + 999) / 1000 * 1000;
}

void window_miss(struct window *w)
{
	w->missing = true;
}

void window_settle(struct window *w, int64_t now_ms)
{
	if (w->missing)
		w->whole_ms = whole_second(now_ms + 1);
	w->missing = false;
}

int64_t window_since(const struct window *w, int64_t since_ms)
{
	int64_t since = whole_second(since_ms);
	return since > w->whole_ms ? since : w->whole_ms;
}

void window_add(struct window *w, const struct flat *f)
{
	struct service_window *service_window = &w->services[f->service];
	int64_t second = f->time_ms / 1000;
	struct second *s = &service_window->seconds[second % WINDOW_SECONDS];
	bool failed = flat_is_error(f);
	if (w->missing)
		window_settle(w, f->time_ms);
	if (s->second != second) {
		histogram_clear(&s->times);
		*s = (struct second){.second = second};
	}
	s->events++;
	s->errors += failed;
	if (failed)
		service_window->errors[service_window->next_error++ % WINDOW_ERRORS] = f->seq;
	if (f->timed)
		histogram_add(&s->times, tally_response_us(f));
}

void window_read(const struct window *w, enum service service, int64_t since_ms, struct window_figures *out,
		 struct histogram_sum *times)
{
	const struct service_window *service_window = &w->services[service];
	for (int k = 0; k < WINDOW_SECONDS; k++) {
		const struct second *s = &service_window->seconds[k];
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
	const struct service_window *service_window = &w->services[service];
	int count = 0;
	for (uint32_t i = 0; i < WINDOW_ERRORS; i++) {
		uint64_t seq = service_window->errors[(service_window->next_error - 1 - i) % WINDOW_ERRORS];
		if (seq != 0)
			seqs[count++] = seq;
	}
	return count;
}
