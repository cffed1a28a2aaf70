/* GET /v1/export: history as an archive, packed while it is read. */
#include <stdio.h>
#include <stdlib.h>

#include "net/api.h"
#include "net/body.h"
#include "net/range.h"
#include "store/seal.h"

enum {
	PAGE_EVENTS = 4096,
	PAGE_BYTES = 1024 * 1024,
	EXPORTS_MAX = 16, /* each has some MiB of its own */
	ALLOWED = Q_AFTER | Q_BEFORE | Q_TIME | Q_FILTER | Q_LEVEL
};

struct export
{
	struct history_query query; /* the rest that is still to come */
	struct archive_writer *writer;
	atomic_int *count; /* of those that are being sent; NULL: this is not one of them yet */
	struct buf *out;   /* while a piece is being made */
	struct buf begun;  /* the first piece: what cannot be read is told while there still is a status to tell it with */
	bool ended;
};

static void destroy(void *arg)
{
	struct export *e = arg;
	archive_writer_destroy(e->writer);
	selection_destroy(e->query.select);
	buf_finish(&e->begun);
	if (e->count != NULL)
		atomic_fetch_sub(e->count, 1);
	free(e);
}

static enum err on_bytes(void *arg, struct slice bytes, struct fault *fault)
{
	struct export *e = arg;
	buf_add(e->out, bytes.p, bytes.len);
	return buf_failed(e->out) ? fault_set(fault, ERR_NOMEM, "out of memory") : ERR_NONE;
}

/* Pages until there is something to send. */
static enum err make_piece(void *source, struct reader *reader, struct buf *out, bool *end, struct fault *fault)
{
	struct export *e = source;
	enum err err = ERR_NONE;
	e->out = out;
	e->query.count_max = PAGE_EVENTS;
	e->query.bytes_max = PAGE_BYTES;
	while (!err && out->len == 0 && !*end) {
		struct page *page;
		struct manifest manifest;
		if (e->query.after + 1 >= e->query.before) {
			*end = true;
			return archive_writer_end(e->writer, &manifest, fault);
		}
		err = history_page(reader, &e->query, &page, fault);
		if (err)
			break;
		err = archive_writer_add(e->writer, page, fault);
		e->query.after = page_last(page);
		page_unref(page);
	}
	return err;
}

static enum err fill(void *source, struct reader *reader, struct buf *out, bool *end, struct fault *fault)
{
	struct export *e = source;
	if (e->begun.len == 0)
		return make_piece(source, reader, out, end, fault);
	buf_add(out, e->begun.data, e->begun.len);
	buf_finish(&e->begun);
	*end = e->ended;
	return ERR_NONE;
}

/* All of the range has to be there: an archive cannot tell of a gap. */
static enum err check(struct reader *reader, const struct range *r, struct fault *fault)
{
	static const char *const why[] = {"were removed by retention", "are of another store (see epoch)",
					  "are of another line of history (see epoch)", "have not happened yet"};
	if (r->has_gap)
		return fault_set(fault, ERR_GONE, "the events after %llu %s: the first there is is %llu",
				 (unsigned long long)r->gap.requested, why[r->gap.reason], (unsigned long long)r->gap.first);
	uint64_t removed = history_removed(reader, r->query.after, r->query.before);
	if (removed != 0)
		return fault_set(fault, ERR_GONE, "event %llu was removed by retention: the next there is is %llu",
				 (unsigned long long)removed, (unsigned long long)history_next(reader, removed));
	return ERR_NONE;
}

static enum err start(struct api *api, struct exchange *x, struct reader *reader, struct query *q, struct fault *fault)
{
	struct range range;
	struct selection *select = api_select_take(api, q);
	struct export *e = calloc(1, sizeof *e);
	enum err err = select != NULL && e != NULL ? ERR_NONE : fault_set(fault, ERR_NOMEM, "out of memory");
	if (!err) {
		e->count = &api->exports;
		if (atomic_fetch_add(e->count, 1) >= EXPORTS_MAX)
			err = fault_set(fault, ERR_BUSY, "%d exports are being sent already, the limit", EXPORTS_MAX);
	}
	if (!err)
		err = range_set(&range, api->store, reader, q, select, fault);
	if (!err)
		err = check(reader, &range, fault);
	if (!err)
		err = archive_writer_create((struct archive_options){q->level != 0 ? q->level : ARCHIVE_LEVEL, 0},
					    store_lineage(api->store), NULL, on_bytes, e, &e->writer, fault);
	if (!err) {
		e->query = range.query;
		err = make_piece(e, reader, &e->begun, &e->ended, fault);
		if (!err && buf_failed(&e->begun))
			err = fault_set(fault, ERR_NOMEM, "out of memory");
	}
	if (err) {
		if (e != NULL) {
			e->query.select = NULL;
			destroy(e);
		}
		selection_destroy(select);
		return err;
	}
	char disposition[96];
	snprintf(disposition, sizeof disposition, "attachment; filename=\"%llu-%llu" ARCHIVE_ENDING "\"",
		 (unsigned long long)range.query.after + 1, (unsigned long long)range.query.before - 1);
	exchange_status(x, 200, "application/zstd");
	exchange_add_header(x, "Content-Disposition", disposition);
	exchange_add_header(x, "Tidemark-Epoch", store_epoch(api->store));
	return body_stream_take(x, fill, e, 0, destroy) ? fault_set(fault, ERR_NOMEM, "out of memory") : ERR_NONE;
}

void api_export(void *arg, struct exchange *x, struct reader *reader)
{
	struct api *api = arg;
	struct query q;
	struct fault fault;
	enum err err = query_parse(exchange_url(x), ALLOWED, &q, &fault);
	if (!err)
		err = start(api, x, reader, &q, &fault);
	query_finish(&q);
	if (err)
		exchange_fault(x, &fault);
	exchange_done(x);
}
