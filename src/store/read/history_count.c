/* Counting events. */
#include "store/read/history.h"

#include <assert.h>
#include <stdlib.h>

#include "store/read/reader.h"

enum { COUNT_EVENTS = 65536, COUNT_BYTES = 1024 * 1024 };

/* Counts up to COUNT_EVENTS events of the log in (*after, before), and moves *after. */
static enum err count_in_log(struct reader *r, struct selection *select, uint64_t *after, uint64_t before,
			     struct seq_list *found, struct fault *fault)
{
	struct seq_query q = {*after, before, false, COUNT_EVENTS};
	enum err err = index_tail_find(store_index_tail(r->store), &r->postings, select, q, found, fault);
	if (err)
		return err;
	assert(found->count <= COUNT_EVENTS);
	*after = found->count == COUNT_EVENTS ? found->seqs[COUNT_EVENTS - 1] : before - 1;
	return ERR_NONE;
}

/* Counts the events of one page of (*after, before), and moves *after. */
static enum err count_in_page(struct reader *r, struct selection *select, uint64_t *after, uint64_t before, uint64_t *count,
			      struct fault *fault)
{
	struct page *page;
	struct history_query q = {
		.after = *after, .before = before, .count_max = COUNT_EVENTS, .bytes_max = COUNT_BYTES, .select = select};
	enum err err = history_page(r, &q, &page, fault);
	if (err)
		return err;
	*count += page_count(page);
	*after = page_last(page);
	page_unref(page);
	return ERR_NONE;
}

enum err history_count(struct reader *r, struct selection *select, uint64_t after, uint64_t before, uint64_t *count,
		       struct fault *fault)
{
	enum err err = ERR_NONE;
	struct seq_list found = {malloc(COUNT_EVENTS * sizeof *found.seqs), 0};
	*count = 0;
	if (found.seqs == NULL)
		return fault_nomem(fault);
	while (!err && (after = store_next(r->store, after) - 1) + 1 < before) {
		uint64_t log_first = store_log_first(r->store);
		uint64_t before_after = after;
		if (after + 1 < log_first || selection_where(select) != NULL) {
			uint64_t end = after + 1 < log_first && log_first < before ? log_first : before;
			err = count_in_page(r, select, &after, end, count, fault);
			if (err == ERR_GONE && store_next(r->store, before_after) > before_after + 1)
				err = ERR_NONE;
		} else if (selection_is_open(select)) {
			*count += before - 1 - after;
			after = before - 1;
		} else {
			err = count_in_log(r, select, &after, before, &found, fault);
			if (before_after + 1 < store_log_first(r->store)) /* evicted meanwhile: they are in archives now */
				after = before_after;
			else
				*count += found.count;
		}
	}
	free(found.seqs);
	return err;
}
