#include "net/lines.h"

#include <stdlib.h>

#include "hub/cursor.h"
#include "net/body.h"
#include "store/page_build.h"
#include "store/squeeze.h"
#include "tidemark/history.h"

enum {
	PAGE_EVENTS = 1024,
	PAGE_BYTES = 256 * 1024,
	PAGE_BYTES_MIN = 8 * 1024, /* where many wait to be read */
	PAGES_PER_ROOM = 64,
	SQUEEZE_BYTES = 1400 * 1024, /* what packing takes up */
};

struct lines {
	struct exchange *exchange;
	struct store *store;
	struct history_query query; /* the rest that is still to come */
	bool limited;
	uint32_t left; /* events, where it is limited */
	struct buf text;
	struct squeeze *squeeze; /* NULL: as it is */
};

static void destroy(void *arg)
{
	struct lines *l = arg;
	selection_destroy(l->query.select);
	buf_finish(&l->text);
	squeeze_destroy(l->squeeze);
	free(l);
}

/* Smaller where room is short: whoever does not read keeps a page. */
static size_t page_bytes(const struct lines *l)
{
	size_t share = exchange_room_long(l->exchange) / PAGES_PER_ROOM;
	return share > PAGE_BYTES ? PAGE_BYTES : share > PAGE_BYTES_MIN ? share : PAGE_BYTES_MIN;
}

/* What is missing here is told where it is missing; false when nothing is. */
static bool tell_gap(struct lines *l, struct reader *reader)
{
	struct gap gap = {l->query.after, history_next(reader, l->query.after), GAP_RETENTION};
	if (l->query.descending || gap.first == gap.requested + 1)
		return false;
	if (history_may_miss(l->store, l->query.select, l->query.after)) {
		gap_write(&l->text, &gap);
		buf_addc(&l->text, '\n');
	}
	l->query.after = gap.first - 1;
	return true;
}

static bool is_done(const struct lines *l)
{
	return l->query.after + 1 >= l->query.before || (l->limited && l->left == 0);
}

static enum err add_page(struct lines *l, struct reader *reader, struct fault *fault)
{
	struct page *page;
	enum err err;
	tell_gap(l, reader);
	if (is_done(l))
		return ERR_NONE;
	l->query.count_max = l->limited && l->left < PAGE_EVENTS ? l->left : PAGE_EVENTS;
	l->query.bytes_max = page_bytes(l);
	while ((err = history_page(reader, &l->query, &page, fault)) == ERR_GONE && tell_gap(l, reader))
		if (is_done(l))
			return ERR_NONE;
	if (err)
		return err;
	const struct page_form *form = page_form(page, WIRE_LINE);
	uint32_t count = page_count(page);
	if (form == NULL)
		err = fault_set(fault, ERR_NOMEM, "out of memory");
	else if (count > 0)
		buf_add(&l->text, form->bytes, form->ends[count - 1]);
	l->left -= l->limited ? count : 0;
	if (l->query.descending)
		l->query.before = page_last(page);
	else
		l->query.after = page_last(page);
	page_unref(page);
	return err;
}

static enum err fill(void *source, struct reader *reader, struct buf *out, bool *end, struct fault *fault)
{
	struct lines *l = source;
	enum err err = is_done(l) ? ERR_NONE : add_page(l, reader, fault);
	*end = is_done(l);
	if (err)
		return err;
	if (l->squeeze != NULL)
		err = squeeze_add(l->squeeze, buf_slice(&l->text), *end, out, fault);
	else
		buf_add(out, l->text.data, l->text.len);
	bool failed = buf_failed(&l->text);
	buf_finish(&l->text); /* it is in `out` now, where it may stay for long */
	return err ? err : failed ? fault_set(fault, ERR_NOMEM, "out of memory") : ERR_NONE;
}

enum err lines_stream_take(struct exchange *x, const struct history_query *q, struct lines_options *options)
{
	struct lines *l = calloc(1, sizeof *l);
	bool packed = options->packed && exchange_room_long(x) > 4 * SQUEEZE_BYTES;
	struct squeeze *squeeze = packed ? squeeze_create() : NULL;
	if (l == NULL || (packed && squeeze == NULL)) {
		selection_destroy(q->select);
		buf_finish(&options->head);
		squeeze_destroy(squeeze);
		free(l);
		return ERR_NOMEM;
	}
	l->exchange = x;
	l->store = options->store;
	l->query = *q;
	l->limited = q->count_max > 0;
	l->left = q->count_max;
	l->text = options->head;
	l->squeeze = squeeze;
	exchange_status(x, 200, "application/x-ndjson");
	exchange_add_header(x, "Vary", "Accept, Accept-Encoding");
	if (squeeze != NULL)
		exchange_add_header(x, "Content-Encoding", "zstd");
	return body_stream_take(x, fill, l, packed ? SQUEEZE_BYTES : 0, destroy);
}
