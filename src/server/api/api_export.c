/* GET /v1/export: history as an archive, compressed while it is read. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/api/api.h"
#include "server/http/reply_stream.h"
#include "server/stream/history_range.h"
#include "store/index/selection.h"

enum { PAGE_EVENTS = 4096, PAGE_BYTES = 1024 * 1024, ALLOWED = Q_AFTER | Q_BEFORE | Q_TIME | Q_FILTER | Q_WHERE | Q_LEVEL };

struct export
{
	struct history_query query; /* the range that is not sent yet */
	struct archive_writer *writer;
	struct quota_hold slot;      /* QUOTA_EXPORTS */
	struct quota_hold slow_slot; /* QUOTA_SLOW_EXPORTS: compressed more than by default */
	/* The first and last event of the file, for its name. 0: not found yet. */
	uint64_t first;
	uint64_t last;
	bool selection;  /* a filter, or the token's streams, exclude some events */
	struct buf *out; /* set while a piece is being made */
	struct reply_piece begun;
};

static void destroy(void *arg)
{
	struct export *e = arg;
	archive_writer_destroy(e->writer);
	selection_destroy(e->query.select);
	buf_finish(&e->begun.bytes);
	quota_hold(&e->slow_slot, QUOTA_SLOW_EXPORTS, 0, NULL);
	quota_hold(&e->slot, QUOTA_EXPORTS, 0, NULL);
	free(e);
}

static enum err on_bytes(void *arg, struct slice bytes, struct fault *fault)
{
	struct export *e = arg;
	buf_add(e->out, bytes.p, bytes.len);
	return buf_failed(e->out) ? fault_nomem(fault) : ERR_NONE;
}

/* Reads and compresses one page; it may produce no bytes yet. Finds the first event if it is not known. */
static enum err make_piece(void *source, struct reader *reader, struct buf *out, bool *end, struct fault *fault)
{
	struct export *e = source;
	struct page *page;
	struct manifest manifest;
	e->out = out;
	if (e->query.after + 1 >= e->query.before) {
		*end = true;
		return archive_writer_end(e->writer, &manifest, fault);
	}
	e->query.count_max = PAGE_EVENTS;
	e->query.bytes_max = PAGE_BYTES;
	enum err err = history_page(reader, &e->query, &page, fault);
	if (err)
		return err;
	err = archive_writer_add(e->writer, page, fault);
	if (e->first == 0 && page_count(page) > 0)
		e->first = page_entry(page, 0).seq;
	e->query.after = page_last(page);
	page_unref(page);
	return err;
}

static enum err holds_nothing(struct fault *fault)
{
	return fault_set(fault, ERR_NOT_FOUND, "there are no events in this selection");
}

/* Scans one page, backwards, for the last event; the events after it are not read again. */
static enum err find_last(struct export *e, struct reader *reader, struct fault *fault)
{
	struct history_query q = e->query;
	struct page *page;
	if (q.after + 1 >= q.before)
		return holds_nothing(fault);
	q.descending = true;
	q.count_max = 1;
	q.bytes_max = 1;
	enum err err = history_page(reader, &q, &page, fault);
	if (err)
		return err;
	if (page_count(page) > 0) {
		e->last = page_entry(page, 0).seq;
		e->query.before = e->last + 1;
	} else {
		e->query.before = page_last(page);
	}
	page_unref(page);
	return ERR_NONE;
}

/* The whole range must be there: an archive cannot contain a gap. */
static enum err check(struct store *store, struct reader *reader, const struct history_range *r, struct fault *fault)
{
	static const char *const why[] = {"were removed by retention", "are of another store (epoch)",
					  "are of another line of history (epoch)", "have not happened yet", "are too old"};
	if (r->has_gap)
		return fault_set(fault, r->gap.reason == GAP_AHEAD ? ERR_NOT_FOUND : ERR_GONE,
				 "the events after %" PRIu64 " %s: the first stored event is %" PRIu64
				 " (after=first starts there)",
				 r->gap.requested, why[r->gap.reason], r->gap.first);
	if (r->query.after + 1 >= r->query.before)
		return holds_nothing(fault);
	uint64_t removed = history_removed(reader, r->query.after, r->query.before);
	if (removed != 0)
		return fault_set(fault, ERR_GONE,
				 "event %" PRIu64 " was removed by retention: the next stored event is %" PRIu64, removed,
				 store_next(store, removed));
	return ERR_NONE;
}

static enum err admit(struct api *api, const struct http_request *x, struct export *e, int level, struct fault *fault)
{
	e->slot = e->slow_slot = (struct quota_hold){api->quotas, request_client(x), 0, 0};
	enum err err = quota_hold(&e->slot, QUOTA_EXPORTS, 1, fault);
	if (!err && level > ARCHIVE_LEVEL)
		err = quota_hold(&e->slow_slot, QUOTA_SLOW_EXPORTS, 1, fault);
	return err;
}

static enum err start(struct api *api, struct http_request *x, struct reader *reader, struct reader_query *q,
		      struct fault *fault)
{
	int level = q->level != 0 ? q->level : ARCHIVE_LEVEL;
	struct history_range range;
	struct export *e = calloc(1, sizeof *e);
	if (e == NULL)
		return fault_nomem(fault);
	request_keep(x, e, destroy);
	e->query.select = api_select_take(api, q);
	enum err err = e->query.select != NULL ? ERR_NONE : fault_nomem(fault);
	if (!err)
		err = admit(api, x, e, level, fault);
	if (!err)
		err = history_range_set(&range, api->store, reader, q, e->query.select, fault);
	if (!err)
		err = check(api->store, reader, &range, fault);
	e->selection = !err && !selection_is_open(e->query.select);
	struct archive_options options = {level, 0, e->selection};
	if (!err)
		err = archive_writer_create(options, store_lineage(api->store), NULL, (struct archive_output){on_bytes, e},
					    &e->writer, fault);
	if (err)
		return err;
	e->query = range.query;
	if (!e->selection) {
		e->first = range.query.after + 1;
		e->last = range.query.before - 1;
	}
	if (level > ARCHIVE_LEVEL)
		request_slow_down(x);
	return ERR_NONE;
}

static enum err begin_body(struct api *api, struct http_request *x, struct export *e, struct fault *fault)
{
	char name[ARCHIVE_NAME_LEN];
	char disposition[ARCHIVE_NAME_LEN + 32];
	archive_name(name, e->first, e->last, e->selection ? SELECTION_ENDING : ARCHIVE_ENDING);
	snprintf(disposition, sizeof disposition, "attachment; filename=\"%s\"", name);
	request_status(x, 200, "application/zstd");
	request_add_header(x, "Content-Disposition", disposition);
	request_add_header(x, "Tidemark-Epoch", store_epoch(api->store));
	request_keep(x, NULL, NULL);
	return reply_stream_take(x, &e->begun, make_piece, e, 0, destroy) ? fault_nomem(fault) : ERR_NONE;
}

/* Scans the next page, until there is something to send. */
static enum err prepare(struct export *e, struct reader *reader, struct fault *fault)
{
	if (e->last == 0)
		return find_last(e, reader, fault);
	enum err err = make_piece(e, reader, &e->begun.bytes, &e->begun.end, fault);
	if (!err && buf_failed(&e->begun.bytes))
		err = fault_nomem(fault);
	if (!err && e->begun.end && e->first == 0)
		err = fault_set(fault, ERR_GONE, "the events have just been removed by retention: try again");
	return err;
}

/* Handles one page per run until there is something to send, so that other requests run in between. */
static void begin(void *arg, struct http_request *x, struct reader *reader)
{
	struct api *api = arg;
	struct export *e = request_state(x);
	struct fault fault;
	enum err err = prepare(e, reader, &fault);
	if (!err && e->begun.bytes.len == 0 && !e->begun.end) {
		request_defer(x, begin);
		return;
	}
	if (!err)
		err = begin_body(api, x, e, &fault);
	if (err)
		request_fault(x, &fault);
	request_done(x);
}

void api_export(void *arg, struct http_request *x, struct reader *reader)
{
	struct api *api = arg;
	struct reader_query q;
	struct fault fault;
	enum err err = reader_query_parse(request_url(x), ALLOWED, &q, &fault);
	if (!err)
		err = start(api, x, reader, &q, &fault);
	reader_query_finish(&q);
	if (!err) {
		request_defer(x, begin);
		return;
	}
	request_fault(x, &fault);
	request_done(x);
}
