#include "profiles/monitoring/state/boundary.h"

#include <pthread.h>
#include <stdlib.h>

#include "profiles/monitoring/state/monitor.h"

enum { SECONDS = 60, KEPT = 16 };

struct seconds {
	int64_t minute; /* Unix; 0: none */
	struct minute of[SERVICES][SECONDS];
};

struct boundaries {
	pthread_mutex_t lock;
	uint64_t next; /* index of the next one: a ring buffer */
	struct seconds kept[KEPT];
};

struct boundary {
	struct boundaries *all;
	struct store *store;
	struct history_query rest; /* the range that was not read yet */
	int64_t since_ms;
	bool whole; /* the minute is over, and all its events were read */
	struct seconds found;
};

struct boundaries *boundaries_create(void)
{
	struct boundaries *all = calloc(1, sizeof *all);
	if (all != NULL)
		pthread_mutex_init(&all->lock, NULL);
	return all;
}

void boundaries_destroy(struct boundaries *all)
{
	if (all == NULL)
		return;
	pthread_mutex_destroy(&all->lock);
	free(all);
}

/* False: the minute is not cached. */
static bool find(struct boundaries *all, int64_t minute, struct seconds *out)
{
	bool found = false;
	pthread_mutex_lock(&all->lock);
	for (int i = 0; i < KEPT && !found; i++) {
		found = all->kept[i].minute == minute && minute > 0;
		if (found)
			*out = all->kept[i];
	}
	pthread_mutex_unlock(&all->lock);
	return found;
}

static void keep(struct boundaries *all, const struct seconds *found)
{
	pthread_mutex_lock(&all->lock);
	all->kept[all->next++ % KEPT] = *found;
	pthread_mutex_unlock(&all->lock);
}

/* Reads the whole minute, of all services: the next query begins a little later, or is about another service. */
static enum err begin(struct boundary *b, struct reader *reader, struct fault *fault)
{
	enum { PAGE_EVENTS = 1000, PAGE_BYTES = 1024 * 1024 };
	int64_t start_ms = b->found.minute * MINUTE_MS;
	uint64_t last = 0;
	b->whole = store_last_time(b->store) >= start_ms + MINUTE_MS;
	b->rest = (struct history_query){
		.count_max = PAGE_EVENTS, .bytes_max = PAGE_BYTES, .select = monitor_select(b->store, SERVICES)};
	if (b->rest.select == NULL)
		return fault_nomem(fault);
	enum err err = history_seek_time(reader, start_ms, &b->rest.after, fault);
	if (!err)
		err = history_seek_time(reader, start_ms + MINUTE_MS, &last, fault);
	b->rest.before = last + 1;
	return err;
}

enum err boundary_create(struct boundaries *all, struct store *store, struct reader *reader, int64_t since_ms,
			 struct boundary **out, struct fault *fault)
{
	struct boundary *b = calloc(1, sizeof *b);
	*out = NULL;
	if (b == NULL)
		return fault_nomem(fault);
	b->all = all;
	b->store = store;
	b->since_ms = since_ms;
	b->found.minute = since_ms / MINUTE_MS;
	enum err err = find(all, b->found.minute, &b->found) ? ERR_NONE : begin(b, reader, fault);
	if (err)
		boundary_destroy(b);
	else
		*out = b;
	return err;
}

void boundary_destroy(struct boundary *b)
{
	if (b == NULL)
		return;
	selection_destroy(b->rest.select);
	free(b);
}

static void count_page(struct boundary *b, const struct page *page)
{
	for (uint32_t i = 0; i < page_count(page); i++) {
		struct flat f;
		if (flat_read(page_envelope(page, i), page_entry(page, i).time_ms, &f) && f.service < SERVICES &&
		    f.time_ms / MINUTE_MS == b->found.minute)
			minute_add(&b->found.of[f.service][f.time_ms / 1000 % SECONDS], &f);
	}
}

enum err boundary_read(struct boundary *b, struct reader *reader, bool *done, struct fault *fault)
{
	struct history_query *q = &b->rest;
	struct page *page = NULL;
	enum err err = ERR_NONE;
	uint64_t next = store_next(b->store, q->after);
	q->after = next > q->after + 1 ? next - 1 : q->after;
	*done = q->after + 1 >= q->before;
	if (!*done) {
		err = history_page(reader, q, &page, fault);
		if (!err) {
			count_page(b, page);
			q->after = page_last(page);
		}
		page_unref(page);
		*done = err || q->after + 1 >= q->before;
	}
	if (*done && !err && b->whole)
		keep(b->all, &b->found);
	return err == ERR_NOMEM ? err : ERR_NONE; /* unreadable archives do not affect newer events */
}

struct minute boundary_minute(const struct boundary *b, enum service service)
{
	struct minute sum = {.minute = b->found.minute};
	int64_t first = (b->since_ms + 999) / 1000 - b->found.minute * SECONDS;
	for (int s = 0; s < SERVICES; s++)
		for (int64_t i = first; i < SECONDS && (service == SERVICES || service == (enum service)s); i++)
			minute_join(&sum, &b->found.of[s][i]);
	return sum;
}
