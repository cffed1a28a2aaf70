/* GET /v1/export: history as an archive, packed while it is read. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/api.h"
#include "net/body.h"
#include "net/range.h"
#include "store/seal.h"

enum {
	PAGE_EVENTS = 4096,
	PAGE_BYTES = 1024 * 1024,
	SLOW_EXPORTS_MAX = 2, /* of one client, of those that are compressed more than usual */
	ALLOWED = Q_AFTER | Q_BEFORE | Q_TIME | Q_FILTER | Q_LEVEL
};

struct export
{
	struct history_query query; /* the rest that is still to come */
	struct archive_writer *writer;
	atomic_int *count;    /* of those that are being sent; NULL: this is not one of them yet */
	atomic_ullong *place; /* among those that are compressed more than usual; NULL: it has none */
	uint64_t first;       /* what the file is called by */
	uint64_t last;
	struct buf *out;  /* while a piece is being made */
	struct buf begun; /* the first piece, read before the status is sent: a read error can still set it */
	bool ended;
};

static void destroy(void *arg)
{
	struct export *e = arg;
	archive_writer_destroy(e->writer);
	selection_destroy(e->query.select);
	buf_finish(&e->begun);
	if (e->place != NULL)
		atomic_store(e->place, 0);
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

/* Reads and packs one page; there may be nothing to send yet. */
static enum err make_piece(struct export *e, struct reader *reader, struct buf *out, bool *end, struct fault *fault)
{
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
	e->query.after = page_last(page);
	page_unref(page);
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

/* Takes one of the places that a client has. */
static enum err take_place(struct api *api, struct export *e, uint64_t client, struct fault *fault)
{
	int others = 0;
	for (int i = 0; i < API_EXPORTS_MAX && e->place == NULL; i++) {
		unsigned long long nobody = 0;
		if (atomic_compare_exchange_strong(&api->slow_exports[i], &nobody, client))
			e->place = &api->slow_exports[i];
	}
	assert(e->place != NULL); /* there are as many as exports */
	for (int i = 0; i < API_EXPORTS_MAX; i++)
		others += &api->slow_exports[i] != e->place && atomic_load(&api->slow_exports[i]) == client;
	if (others < SLOW_EXPORTS_MAX)
		return ERR_NONE;
	return fault_set(
		fault, ERR_BUSY,
		"%d exports above level %d are being sent to this client already, the limit: wait for one, or leave "
		"`level` out",
		SLOW_EXPORTS_MAX, ARCHIVE_LEVEL);
}

/* What there is room for, of what may be read. */
static enum err admit(struct api *api, struct exchange *x, struct export *e, int level, struct fault *fault)
{
	e->count = &api->exports;
	if (atomic_fetch_add(e->count, 1) >= API_EXPORTS_MAX)
		return fault_set(fault, ERR_BUSY, "%d exports are being sent already, the limit", API_EXPORTS_MAX);
	uint64_t client = grant_client(exchange_grant(x), exchange_peer(x));
	return level > ARCHIVE_LEVEL ? take_place(api, e, client != 0 ? client : 1, fault) : ERR_NONE;
}

static enum err start(struct api *api, struct exchange *x, struct reader *reader, struct query *q, struct fault *fault)
{
	int level = q->level != 0 ? q->level : ARCHIVE_LEVEL;
	struct range range;
	struct export *e = calloc(1, sizeof *e);
	if (e == NULL)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	buf_init(&e->begun);
	exchange_keep(x, e, destroy);
	e->query.select = api_select_take(api, q);
	enum err err = e->query.select != NULL ? ERR_NONE : fault_set(fault, ERR_NOMEM, "out of memory");
	if (!err)
		err = admit(api, x, e, level, fault);
	if (!err)
		err = range_set(&range, api->store, reader, q, e->query.select, fault);
	if (!err)
		err = check(reader, &range, fault);
	if (!err)
		err = archive_writer_create((struct archive_options){level, 0}, store_lineage(api->store), NULL, on_bytes, e,
					    &e->writer, fault);
	if (err)
		return err;
	e->query = range.query;
	e->first = range.query.after + 1;
	e->last = range.query.before - 1;
	if (level > ARCHIVE_LEVEL)
		exchange_slow_down(x);
	return ERR_NONE;
}

static enum err begin_body(struct api *api, struct exchange *x, struct export *e, struct fault *fault)
{
	char disposition[96];
	snprintf(disposition, sizeof disposition, "attachment; filename=\"%llu-%llu" ARCHIVE_ENDING "\"",
		 (unsigned long long)e->first, (unsigned long long)e->last);
	exchange_status(x, 200, "application/zstd");
	exchange_add_header(x, "Content-Disposition", disposition);
	exchange_add_header(x, "Tidemark-Epoch", store_epoch(api->store));
	exchange_keep(x, NULL, NULL);
	return body_stream_take(x, fill, e, 0, destroy) ? fault_set(fault, ERR_NOMEM, "out of memory") : ERR_NONE;
}

/* A page at a time until there is something to send: other requests have their turns in between. */
static void begin(void *arg, struct exchange *x, struct reader *reader)
{
	struct api *api = arg;
	struct export *e = exchange_state(x);
	struct fault fault;
	enum err err = make_piece(e, reader, &e->begun, &e->ended, &fault);
	if (!err && buf_failed(&e->begun))
		err = fault_set(&fault, ERR_NOMEM, "out of memory");
	if (!err && e->begun.len == 0 && !e->ended) {
		exchange_defer(x, begin);
		return;
	}
	if (!err)
		err = begin_body(api, x, e, &fault);
	if (err)
		exchange_fault(x, &fault);
	exchange_done(x);
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
	if (!err) {
		exchange_defer(x, begin);
		return;
	}
	exchange_fault(x, &fault);
	exchange_done(x);
}
