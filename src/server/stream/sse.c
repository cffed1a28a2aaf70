/* Server-sent events (text/event-stream). The network thread reads the cursor; while a stream waits, the waiters' thread
 * owns the cursor. */
#include <stdlib.h>
#include <string.h>

#include "base/system/clock.h"
#include "base/system/random.h"
#include "event/where.h"
#include "server/stream/reader_start.h"
#include "server/stream/replay_speed.h"
#include "server/stream/waiters_internal.h"
#include "store/read/history.h"

enum {
	HEARTBEAT_MS = 15000,
	CHECKPOINT_MS = 8000, /* a filtered reader learns its position within 10 s */
	RETRY_MIN_MS = 1000,  /* browsers reconnect after 1 to 4 s, randomly, so that they do not all come at once */
	RETRY_SPREAD_MS = 3000,
	CHUNKS = 16,
};

struct stream {
	struct waiter_stream shared;
	struct waiters *waiters;
	struct cursor *cursor;
	struct replay_speed speed;
	struct quota_hold conditions;
	struct session_reader reader; /* `sent` is the last position that was sent as an id */
	struct slice session;         /* lives as long as the request; empty: none */
	atomic_uint news;             /* enum session_news of the session */
	struct buf pending;           /* comments and blocks that are sent before the next event */
	int64_t beat_ms;              /* monotonic: when the last comment was sent */
	int64_t reported_ms;          /* monotonic: when the last id was sent */
};

static void stream_destroy(void *arg)
{
	struct stream *s = arg;
	if (s->session.len > 0)
		sessions_detach(s->waiters->options.sessions, s->session, &s->reader);
	pthread_mutex_lock(&s->waiters->lock);
	list_remove(&s->shared.link);
	pthread_mutex_unlock(&s->waiters->lock);
	subscription_finish(&s->shared.waiter.subscription);
	cursor_destroy(s->cursor);
	buf_finish(&s->pending);
	quota_hold(&s->conditions, QUOTA_CONDITIONS, 0, NULL);
	free(s);
}

static void on_loaded(void *arg)
{
	request_resume(((struct stream *)arg)->shared.request);
}

static bool on_stream_due(struct waiter *item, bool time_is_up)
{
	(void)time_is_up; /* the network thread checks the deadline itself */
	struct stream *s = LIST_ITEM(item, struct stream, shared.waiter);
	atomic_store(&s->shared.after, cursor_after(s->cursor));
	request_resume(s->shared.request);
	return true;
}

static void on_news(struct session_reader *r, enum session_news news)
{
	struct stream *s = LIST_ITEM(r, struct stream, reader);
	atomic_fetch_or(&s->news, news);
	waiters_urge(s->waiters, &s->shared.waiter);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Waits for a commit if `c` is at the head, for at most `wait_ms`, and no longer than until the next heartbeat or
 * checkpoint is due. */
static long wait_for(struct stream *s, struct cursor *c, int64_t wait_ms)
{
	request_wait(s->shared.request);
	int64_t now = clock_mono_ms();
	s->shared.waiter.deadline_ms = earlier(now + wait_ms, s->beat_ms + HEARTBEAT_MS);
	if (cursor_is_filtered(s->cursor)) {
		int64_t reported = s->reported_ms > now - CHECKPOINT_MS
					   ? s->reported_ms
					   : now; /* checkpoints are due only if the position moves */
		s->shared.waiter.deadline_ms = earlier(s->shared.waiter.deadline_ms, reported + CHECKPOINT_MS);
	}
	s->shared.waiter.cursor = c;
	s->shared.waiter.wake = on_stream_due;
	waiters_wait(s->waiters, &s->shared.waiter);
	return HTTP_WAIT;
}

/* The position `seq` was sent to the reader as an id. */
static void note_reported(struct stream *s, uint64_t seq)
{
	atomic_store(&s->reader.sent, seq);
	s->reported_ms = clock_mono_ms();
}

/* Sends as much of the chunks as fits. */
static long send_chunks(struct stream *s, struct chunk *chunks, int count, char *out, size_t max)
{
	size_t n = 0;
	for (int i = 0; i < count && n < max; i++) {
		size_t len = chunks[i].len < max - n ? chunks[i].len : max - n;
		memcpy(out + n, chunks[i].bytes, len);
		n += len;
	}
	uint64_t events = cursor_advance(s->cursor, chunks, count, n);
	atomic_fetch_add(&s->waiters->delivered, events);
	atomic_store(&s->shared.after, cursor_after(s->cursor));
	if (atomic_load(&s->shared.live))
		feed_delivered(s->waiters->options.feed, chunks[0].page, events);
	if (events > 0)
		note_reported(s, cursor_sent(s->cursor));
	return (long)n;
}

/* Adds a block other than an event: its id is the position, and comes last (encoding.h). Finishes `data`. */
static void add_block(struct stream *s, const char *event, struct buf *data)
{
	buf_printf(&s->pending, "event: %s\ndata: %.*s\nid: ", event, (int)data->len, data->data);
	reader_start_event_id(&s->pending, s->waiters->options.feed, cursor_after(s->cursor));
	buf_adds(&s->pending, "\n\n");
	s->pending.failed = s->pending.failed || buf_failed(data); /* the block must not be lost silently */
	buf_finish(data);
	note_reported(s, cursor_after(s->cursor));
}

static void add_hello(struct stream *s, bool resumed)
{
	struct buf data;
	struct document d;
	struct doc root = document_begin(&d);
	reader_start_hello(root, s->waiters->options.feed, cursor_after(s->cursor));
	if (s->session.len > 0) {
		doc_text(root, "session", s->session);
		doc_bool(root, "resumed", resumed);
	}
	buf_init(&data);
	document_end(&d, &data);
	buf_printf(&s->pending, "retry: %d\n", RETRY_MIN_MS + (int)(random_u64() % RETRY_SPREAD_MS));
	add_block(s, "hello", &data);
}

static void add_gap(struct stream *s)
{
	struct buf data;
	buf_init(&data);
	gap_write(&data, cursor_gap(s->cursor));
	add_block(s, "gap", &data);
}

/* Sends a filtered reader its position if it has advanced without a match. */
static void add_checkpoint(struct stream *s)
{
	struct buf data;
	uint64_t after = cursor_after(s->cursor);
	if (!cursor_is_filtered(s->cursor) || cursor_is_inside(s->cursor) || after <= atomic_load(&s->reader.sent) ||
	    clock_mono_ms() - s->reported_ms < CHECKPOINT_MS)
		return;
	buf_init(&data);
	reader_start_checkpoint(&data, after);
	add_block(s, "checkpoint", &data);
}

/* The session was moved, and the reader continues there. */
static void add_move(struct stream *s)
{
	struct buf data;
	uint64_t after;
	if (!sessions_take_move(s->waiters->options.sessions, s->session, &s->reader, &after))
		return;
	cursor_seek(s->cursor, (struct position){.after = after});
	s->speed = (struct replay_speed){.speed = s->speed.speed};
	atomic_store(&s->shared.live, false); /* the new position may be far from the head */
	buf_init(&data);
	reader_start_moved(&data, after);
	add_block(s, "moved", &data);
}

static long send_pending(struct stream *s, char *out, size_t max)
{
	size_t n = s->pending.len < max ? s->pending.len : max;
	memcpy(out, s->pending.data, n);
	buf_drop(&s->pending, n);
	return (long)n;
}

/* Adds a comment regularly, so that each side notices when the other is gone. */
static void add_heartbeat(struct stream *s)
{
	int64_t now = clock_mono_ms();
	if (now - s->beat_ms < HEARTBEAT_MS || cursor_is_inside(s->cursor))
		return;
	s->beat_ms = now;
	buf_adds(&s->pending, ":\n");
}

static bool is_closing(struct waiters *p)
{
	pthread_mutex_lock(&p->lock);
	bool closing = p->closing;
	pthread_mutex_unlock(&p->lock);
	return closing;
}

static long read_stream(struct http_request *x, void *state, char *out, size_t max)
{
	(void)x;
	struct stream *s = state;
	/* With a replay speed, one event is sent at a time. */
	int chunks_max = s->speed.speed > 0 ? 1 : CHUNKS;
	size_t bytes_max = s->speed.speed > 0 ? 1 : max;
	for (;;) {
		bool inside = cursor_is_inside(s->cursor);
		unsigned news = atomic_load(&s->news);
		if ((news & (SESSION_TAKEN | SESSION_DELETED)) != 0)
			return inside ? HTTP_BROKEN : HTTP_END;
		if ((news & SESSION_MOVED) != 0 && !inside) {
			atomic_fetch_and(&s->news, ~(unsigned)SESSION_MOVED);
			add_move(s);
		}
		add_heartbeat(s);
		add_checkpoint(s);
		if (buf_failed(&s->pending))
			return HTTP_BROKEN;
		if (s->pending.len > 0)
			return send_pending(s, out, max);
		if (waiter_stream_lags(&s->shared, s->waiters->options.lag_max, feed_head(s->waiters->options.feed)))
			return HTTP_BROKEN;
		if (is_closing(s->waiters))
			return inside ? HTTP_BROKEN : HTTP_END;
		struct chunk chunks[CHUNKS];
		int count;
		switch (cursor_fill(s->cursor, chunks, chunks_max, bytes_max, &count)) {
		case CURSOR_READY: {
			int64_t time_ms = page_entry(chunks[0].page, chunks[0].index).time_ms;
			int64_t wait_ms = inside ? 0 : replay_speed_wait(&s->speed, time_ms);
			long n = 0;
			if (wait_ms == 0)
				n = send_chunks(s, chunks, count, out, max);
			cursor_release(chunks, count);
			return wait_ms == 0 ? n : wait_for(s, NULL, wait_ms);
		}
		case CURSOR_GAP: add_gap(s); break;
		case CURSOR_LOAD:
			request_wait(s->shared.request);
			cursor_load(s->cursor);
			return HTTP_WAIT;
		case CURSOR_LIVE:
			atomic_store(&s->shared.after, cursor_after(s->cursor));
			atomic_store(&s->shared.live, true);
			return wait_for(s, s->cursor, HEARTBEAT_MS);
		case CURSOR_END: return HTTP_END;
		case CURSOR_FAILED: return HTTP_BROKEN;
		}
	}
}

/* Finds the start, and attaches the session. */
static enum err begin(struct stream *s, struct reader_query *query, bool *resumed, struct fault *fault)
{
	const struct waiters_options *o = &s->waiters->options;
	struct reader_start reading = {o->feed, o->sessions, o->writer, request_client(s->shared.request)};
	struct position start;
	s->conditions = (struct quota_hold){o->quotas, request_client(s->shared.request), 0, 0};
	enum err err = quota_hold(&s->conditions, QUOTA_CONDITIONS, where_count(filter_where(query->filter)), fault);
	if (!err)
		err = reader_start_begin(&reading, query, &s->reader, &start, resumed, fault);
	if (err)
		return err;
	s->session = query->session;
	struct selection *select = history_select_take(feed_store(o->feed), query->filter);
	query->filter = NULL;
	struct cursor_options options = {start, query->before, select, ENCODING_SSE, on_loaded, s};
	if (select != NULL)
		err = cursor_create(o->feed, &options, &s->cursor);
	if (select != NULL && !err && query->max_age_ms > 0)
		cursor_set_max_age(s->cursor, query->max_age_ms, query->older);
	return select == NULL || err ? fault_nomem(fault) : ERR_NONE;
}

enum err sse_stream(struct waiters *p, struct http_request *x, struct reader_query *query, struct fault *fault)
{
	bool resumed;
	enum err err = request_stay(x, fault);
	if (err)
		return err;
	struct stream *s = calloc(1, sizeof *s);
	if (s == NULL)
		return fault_nomem(fault);
	s->waiters = p;
	s->shared.request = x;
	s->speed.speed = query->speed;
	s->reader.on_news = on_news;
	list_init(&s->shared.link);
	list_init(&s->shared.waiter.link);
	subscription_init(&s->shared.waiter.subscription);
	s->beat_ms = clock_mono_ms();
	err = begin(s, query, &resumed, fault);
	if (err) {
		stream_destroy(s);
		return err;
	}
	atomic_store(&s->shared.after, cursor_after(s->cursor));
	add_hello(s, resumed);
	pthread_mutex_lock(&p->lock);
	list_append(&p->streams, &s->shared.link);
	pthread_mutex_unlock(&p->lock);
	request_keep(x, s, stream_destroy);
	request_status(x, 200, "text/event-stream");
	request_add_header(x, "Cache-Control",
			   "no-store, no-transform"); /* no transformation by proxies: compression would delay events */
	request_add_header(x, "Vary", "Accept");
	request_add_header(x, "X-Accel-Buffering", "no"); /* nginx would hold events back until a buffer is full */
	request_stream(x, read_stream);
	return ERR_NONE;
}
