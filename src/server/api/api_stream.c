/* Streams and their figures. */
#include "server/api/api.h"

#include "server/stream/reader_query.h"
#include <inttypes.h>

enum {
	PAGE_BYTES = 4 * 1024 * 1024, /* a page ends once it has this many bytes */
	EMPTY_MAX = 10000,            /* a page ends after it has skipped this many streams without events */
};

static void write_stream(struct buf *out, const struct stream_figures *f)
{
	buf_adds(out, "{\"name\":");
	buf_json(out, f->name);
	buf_printf(out, ",\"first\":%" PRIu64 ",\"last\":%" PRIu64 ",\"count\":%" PRIu64 ",\"bytes\":%" PRIu64 "}", f->first,
		   f->last, f->count, f->bytes);
}

/* The position of a page. */
struct page_walk {
	const struct grant *grant;
	struct slice prefix;
	uint32_t limit;
	size_t bytes_max;
	uint32_t shown;
	uint32_t empty;
	struct slice from; /* continue at this stream, or */
	bool after;        /* after it */
	char last[EVENT_NAME_MAX];
	size_t last_len; /* of the last stream written or skipped; 0: none yet */
};

/* Finds the next stream that has the prefix and that the token may read. */
static enum err next_stream(struct page_walk *w, struct store *store, struct stream_figures *at, bool *there,
			    struct fault *fault)
{
	for (;;) {
		enum err err = store_stream_from(store, w->from, w->after, at, there, fault);
		*there = !err && *there && slice_begins(at->name, w->prefix);
		if (err || !*there || grant_has_stream(w->grant, at->name))
			return err;
		*there = grant_next_stream(w->grant, at->name, &w->from);
		w->after = false;
		if (!*there)
			return ERR_NONE;
	}
}

static void step_over(struct page_walk *w, struct slice name)
{
	slice_copy(w->last, name);
	w->last_len = name.len;
	w->from = (struct slice){w->last, w->last_len};
	w->after = true;
}

static enum err write_page(struct page_walk *w, struct store *store, struct buf *out, struct fault *fault)
{
	struct stream_figures at;
	bool there = false;
	enum err err;
	buf_adds(out, "{\"streams\":[");
	while (!(err = next_stream(w, store, &at, &there, fault)) && there) {
		if (w->shown == w->limit || w->empty == EMPTY_MAX || out->len > w->bytes_max)
			break;
		if (at.count > 0) {
			buf_adds(out, w->shown++ > 0 ? "," : "");
			write_stream(out, &at);
		} else {
			w->empty++;
		}
		step_over(w, at.name);
	}
	buf_adds(out, "],\"next\":");
	if (there)
		buf_json(out, (struct slice){w->last, w->last_len});
	else
		buf_adds(out, "null");
	buf_addc(out, '}');
	return err;
}

/* On a pool thread. */
void api_streams(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct api *api = arg;
	struct fault fault;
	struct reader_query q;
	size_t room = request_reply_max(x, &fault);
	if (room == 0) {
		api_fault_done(x, &fault);
		return;
	}
	if (reader_query_parse(request_url(x), Q_NAMES | Q_LIMIT, &q, &fault) != ERR_NONE) {
		api_fault_done(x, &fault);
		return;
	}
	bool after = q.after_name.len > 0 && slice_compare(q.after_name, q.prefix) >= 0;
	struct page_walk w = {.grant = request_grant(x),
			      .prefix = q.prefix,
			      .limit = q.limit != 0 ? q.limit : READER_QUERY_NAMES_DEFAULT,
			      .bytes_max = room < PAGE_BYTES ? room : PAGE_BYTES,
			      .from = after ? q.after_name : q.prefix,
			      .after = after};
	enum err err = write_page(&w, api->store, request_out(x), &fault);
	reader_query_finish(&q);
	if (err)
		api_fault_done(x, &fault);
	else
		api_json_done(x, 200);
}

void api_stream(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct api *api = arg;
	struct stream_figures f;
	if (!grant_has_stream(request_grant(x), request_segment(x))) {
		request_problem(x, 403, "this token may not read this stream");
		request_done(x);
		return;
	}
	if (!store_find_stream(api->store, request_segment(x), &f)) {
		request_problem(x, 404, "there is no such stream");
		request_done(x);
		return;
	}
	write_stream(request_out(x), &f);
	api_json_done(x, 200);
}
