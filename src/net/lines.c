#include "net/lines.h"

#include <stdlib.h>
#include <string.h>

#include "store/page_build.h"

enum { PAGE_EVENTS = 1024, PAGE_BYTES = 256 * 1024 };

struct lines {
	struct history_query query; /* the rest that is still to come */
	bool limited;
	uint32_t left; /* events, where it is limited */
	struct buf head;
	struct page *page;
	size_t sent; /* bytes of the page */
	bool ended;
	bool broken;
};

static void destroy(void *arg)
{
	struct lines *l = arg;
	page_unref(l->page);
	selection_destroy(l->query.select);
	buf_finish(&l->head);
	free(l);
}

/* On a pool thread, while the exchange waits. */
static void load(void *arg, struct exchange *x, struct reader *reader)
{
	(void)arg;
	struct lines *l = exchange_state(x);
	struct fault fault;
	page_unref(l->page);
	l->page = NULL;
	l->sent = 0;
	l->query.count_max = l->limited && l->left < PAGE_EVENTS ? l->left : PAGE_EVENTS;
	l->query.bytes_max = PAGE_BYTES;
	l->broken = history_page(reader, &l->query, &l->page, &fault) != ERR_NONE || page_form(l->page, WIRE_LINE) == NULL;
	if (!l->broken) {
		uint64_t last = page_last(l->page);
		l->left -= l->limited ? page_count(l->page) : 0;
		bool down = l->query.descending;
		l->ended = (down ? last <= l->query.after + 1 : last + 1 >= l->query.before) || (l->limited && l->left == 0);
		if (down)
			l->query.before = last;
		else
			l->query.after = last;
	}
	exchange_resume(x);
}

static long copy(const char *from, size_t len, char *out, size_t max)
{
	size_t n = len < max ? len : max;
	memcpy(out, from, n);
	return (long)n;
}

static long read_lines(struct exchange *x, void *state, char *out, size_t max)
{
	struct lines *l = state;
	if (l->broken || buf_failed(&l->head))
		return HTTP_BROKEN;
	if (l->head.len > 0) {
		long n = copy(l->head.data, l->head.len, out, max);
		buf_drop(&l->head, (size_t)n);
		return n;
	}
	if (l->page != NULL && page_count(l->page) > 0) {
		const struct page_form *form = page_form(l->page, WIRE_LINE);
		size_t size = form->ends[page_count(l->page) - 1];
		if (l->sent < size) {
			long n = copy(form->bytes + l->sent, size - l->sent, out, max);
			l->sent += (size_t)n;
			return n;
		}
	}
	if (l->ended)
		return HTTP_END;
	exchange_wait(x);
	exchange_defer(x, load);
	return HTTP_WAIT;
}

enum err lines_stream(struct exchange *x, const struct history_query *q, struct buf *head)
{
	struct lines *l = calloc(1, sizeof *l);
	if (l == NULL) {
		selection_destroy(q->select);
		buf_finish(head);
		return ERR_NOMEM;
	}
	l->query = *q;
	l->limited = q->count_max > 0;
	l->left = q->count_max;
	l->head = *head;
	l->ended = q->after + 1 >= q->before;
	exchange_keep(x, l, destroy);
	exchange_status(x, 200, "application/x-ndjson");
	exchange_add_header(x, "Cache-Control", "no-store");
	exchange_stream(x, read_lines);
	return ERR_NONE;
}
