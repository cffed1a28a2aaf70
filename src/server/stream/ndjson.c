#include "server/stream/ndjson.h"

#include <stdlib.h>

#include "event/page_build.h"
#include "server/http/reply_stream.h"
#include "server/message/content_encoding.h"
#include "server/message/problem.h"

enum {
	PAGE_EVENTS = 1024,
	PAGE_BYTES = 256 * 1024,
	PAGE_BYTES_MIN = 8 * 1024, /* when many replies wait to be read */
	PAGES_PER_REPLY_MAX = 64,
	ENCODER_BYTES = 1400 * 1024, /* memory of a content encoder */
};

struct lines {
	struct http_request *request;
	struct ndjson_options options;
	struct history_query query; /* the range that is not sent yet */
	uint64_t asked;             /* see struct history_range */
	bool ends_with_gap;         /* see struct history_range */
	struct gap end_gap;
	uint32_t left; /* events left, if there is a limit */
	struct buf text;
	struct content_encoder *encoder; /* NULL: not compressed */
};

static void destroy(void *arg)
{
	struct lines *l = arg;
	selection_destroy(l->query.select);
	buf_finish(&l->text);
	content_encoder_destroy(l->encoder);
	free(l);
}

/* Pages are smaller when reply memory is short, because a slow reader keeps one page in memory. */
static size_t page_bytes(const struct lines *l)
{
	size_t bytes = request_reply_max_long(l->request) / PAGES_PER_REPLY_MAX;
	return bytes > PAGE_BYTES ? PAGE_BYTES : bytes > PAGE_BYTES_MIN ? bytes : PAGE_BYTES_MIN;
}

static void add_gap(struct lines *l, const struct gap *gap)
{
	gap_write(&l->text, gap);
	buf_addc(&l->text, '\n');
}

/* Reports missing events at the place where they are missing; false: none are. */
static bool skip_gap(struct lines *l)
{
	struct gap gap;
	bool matters;
	if (!history_range_missing(l->options.store, &l->query, l->asked, &gap, &matters))
		return false;
	if (matters)
		add_gap(l, &gap);
	history_range_skip(l->options.store, &l->query);
	return true;
}

static bool is_done(const struct lines *l)
{
	return l->query.after + 1 >= l->query.before || (l->options.limit > 0 && l->left == 0);
}

static enum err add_page(struct lines *l, struct reader *reader, struct fault *fault)
{
	struct page *page;
	enum err err;
	skip_gap(l);
	if (is_done(l))
		return ERR_NONE;
	l->query.count_max = l->options.limit > 0 && l->left < PAGE_EVENTS ? l->left : PAGE_EVENTS;
	l->query.bytes_max = page_bytes(l);
	while ((err = history_page(reader, &l->query, &page, fault)) == ERR_GONE && skip_gap(l))
		if (is_done(l))
			return ERR_NONE;
	if (err)
		return err;
	const struct page_encoding *form = page_encoding(page, ENCODING_LINE);
	uint32_t count = page_count(page);
	if (form == NULL)
		err = fault_nomem(fault);
	else if (count > 0)
		buf_add(&l->text, form->bytes, form->ends[count - 1]);
	l->left -= l->options.limit > 0 ? count : 0;
	if (l->query.descending)
		l->query.before = page_last(page);
	else
		l->query.after = page_last(page);
	page_unref(page);
	return err;
}

/* Hands the text on, compressed if that was asked for. */
static enum err flush(struct lines *l, struct buf *out, bool end, struct fault *fault)
{
	enum err err = ERR_NONE;
	if (buf_failed(&l->text))
		err = fault_nomem(fault);
	else if (l->encoder != NULL)
		err = content_encoder_add(l->encoder, buf_slice(&l->text), end, out, fault);
	else
		buf_add(out, l->text.data, l->text.len);
	buf_finish(&l->text); /* it is in `out` now, which may be kept for long */
	return err;
}

static enum err make_piece(struct lines *l, struct reader *reader, struct buf *out, bool *end, struct fault *fault)
{
	enum err err = is_done(l) ? ERR_NONE : add_page(l, reader, fault);
	*end = is_done(l);
	if (!err && *end && l->ends_with_gap && l->query.after + 1 >= l->query.before)
		add_gap(l, &l->end_gap);
	return err ? err : flush(l, out, *end, fault);
}

/* Makes a piece after the first. The status is already sent, so an error becomes the last line. */
static enum err fill(void *source, struct reader *reader, struct buf *out, bool *end, struct fault *fault)
{
	struct lines *l = source;
	struct fault ignored;
	enum err err = make_piece(l, reader, out, end, fault);
	if (!err)
		return ERR_NONE;
	problem_write_op(&l->text, problem_status(err), fault, l->options.base, (struct slice){NULL, 0});
	buf_addc(&l->text, '\n');
	(void)flush(l, out, true, &ignored);
	return err;
}

static struct lines *create(struct http_request *x, const struct history_range *range, struct ndjson_options options)
{
	struct lines *l = calloc(1, sizeof *l);
	bool packed = options.coding != CONTENT_CODING_NONE && request_reply_max_long(x) > 4 * ENCODER_BYTES;
	struct content_encoder *encoder = packed ? content_encoder_create(options.coding) : NULL;
	if (l == NULL || (packed && encoder == NULL)) {
		selection_destroy(range->query.select);
		content_encoder_destroy(encoder);
		free(l);
		return NULL;
	}
	*l = (struct lines){.request = x,
			    .options = options,
			    .query = range->query,
			    .asked = range->asked,
			    .ends_with_gap = range->ends_with_gap,
			    .end_gap = range->end_gap,
			    .left = options.limit,
			    .encoder = encoder};
	return l;
}

enum err ndjson_stream_take(struct http_request *x, struct reader *reader, const struct history_range *range,
			    struct ndjson_options options, struct fault *fault)
{
	struct reply_piece first = {0};
	struct lines *l = create(x, range, options);
	if (l == NULL)
		return fault_nomem(fault);
	if (range->has_gap)
		add_gap(l, &range->gap);
	enum err err = make_piece(l, reader, &first.bytes, &first.end, fault);
	if (err) {
		buf_finish(&first.bytes);
		destroy(l);
		return err;
	}
	size_t held = l->encoder != NULL ? ENCODER_BYTES : 0;
	request_status(x, 200, "application/x-ndjson");
	request_add_header(x, "Vary", "Accept, Accept-Encoding");
	if (l->encoder != NULL)
		request_add_header(x, "Content-Encoding", content_coding_name(content_encoder_coding(l->encoder)));
	err = reply_stream_take(x, &first, fill, l, held, destroy);
	return err ? fault_set(fault, err, "out of memory") : ERR_NONE;
}
