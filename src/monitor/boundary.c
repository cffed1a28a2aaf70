#include "monitor/boundary.h"

#include <stdlib.h>

struct boundary {
	struct store *store;
	struct history_query rest; /* what was not looked at yet */
	enum service service;
	struct minute found;
};

enum err boundary_create(struct store *store, struct reader *reader, enum service service, int64_t since_ms,
			 struct boundary **out, struct fault *fault)
{
	enum { PAGE_EVENTS = 1000, PAGE_BYTES = 1024 * 1024 };
	struct boundary *b = calloc(1, sizeof *b);
	*out = NULL;
	if (b == NULL)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	b->store = store;
	b->service = service;
	b->found.minute = since_ms / MINUTE_MS;
	b->rest = (struct history_query){
		.count_max = PAGE_EVENTS, .bytes_max = PAGE_BYTES, .select = monitor_select(store, service)};
	enum err err = b->rest.select != NULL ? ERR_NONE : fault_set(fault, ERR_NOMEM, "out of memory");
	uint64_t last = 0;
	if (!err)
		err = history_seek_time(reader, since_ms, &b->rest.after, fault);
	if (!err)
		err = history_seek_time(reader, (b->found.minute + 1) * MINUTE_MS, &last, fault);
	b->rest.before = last + 1;
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

enum err boundary_read(struct boundary *b, struct reader *reader, bool *done, struct fault *fault)
{
	struct history_query *q = &b->rest;
	struct page *page = NULL;
	uint64_t next = store_next(b->store, q->after);
	q->after = next > q->after + 1 ? next - 1 : q->after;
	*done = q->after + 1 >= q->before;
	if (*done)
		return ERR_NONE;
	enum err err = history_page(reader, q, &page, fault);
	for (uint32_t i = 0; !err && i < page_count(page); i++) {
		struct flat f;
		bool fine = flat_read(page_envelope(page, i), page_entry(page, i).time_ms, &f);
		if (fine && f.service < SERVICES && f.time_ms / MINUTE_MS == b->found.minute)
			minute_add(&b->found, &f);
	}
	if (!err)
		q->after = page_last(page);
	page_unref(page);
	*done = err || q->after + 1 >= q->before;
	return err == ERR_NOMEM ? err : ERR_NONE; /* archives that are out of reach take nothing from what is newer */
}

const struct minute *boundary_minute(const struct boundary *b)
{
	return &b->found;
}
