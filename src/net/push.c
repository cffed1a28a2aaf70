#include "net/push.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/random.h"
#include "net/pace.h"

enum {
	HEARTBEAT_MS = 15000,
	RETRY_MIN_MS = 1000, /* a browser comes back after 1 to 4 s: spread, so that a herd does not come at once */
	RETRY_SPREAD_MS = 3000,
	LAG_CHECK_MS = 1000,
	CHUNKS = 16,
	FOREVER_MS = 3600 * 1000,
};

/* Something that waits for a commit or for a time. In push.parked, or nowhere. */
struct parked {
	struct list link;
	int64_t deadline_ms; /* monotonic */
	/* With the lock, after the item was taken out. False: park it again. */
	bool (*wake)(struct parked *item, bool time_is_up);
};

struct push {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t thread;
	bool running;
	struct feed *feed;
	struct list parked;
	struct list streams; /* all, for the figures */
	bool committed;      /* since the thread last looked */
	bool closing;
	uint64_t long_polls;
	uint64_t lag_max;
	atomic_ullong delivered;
};

static void on_commit(void *arg)
{
	struct push *p = arg;
	pthread_mutex_lock(&p->lock);
	if (!list_empty(&p->parked) && !p->committed) {
		p->committed = true;
		pthread_cond_signal(&p->wake);
	}
	pthread_mutex_unlock(&p->lock);
}

/* Wakes what is due. Returns the time of the next deadline. With the lock. */
static int64_t wake_due(struct push *p)
{
	int64_t now = clock_mono_ms();
	int64_t next = now + FOREVER_MS;
	bool all = p->committed || p->closing;
	p->committed = false;
	struct list due;
	list_init(&due);
	LIST_EACH (link, &p->parked) {
		struct parked *item = LIST_ITEM(link, struct parked, link);
		if (!all && item->deadline_ms > now) {
			next = item->deadline_ms < next ? item->deadline_ms : next;
			continue;
		}
		list_remove(link);
		bool time_is_up = p->closing || item->deadline_ms <= now;
		if (item->wake(item, time_is_up))
			continue;
		next = item->deadline_ms < next ? item->deadline_ms : next;
		list_append(&due, link);
	}
	list_move_all(&p->parked, &due);
	return next;
}

/* Parks the item unless a commit has come by since its owner looked at `head`: then it is woken at once. */
static void park(struct push *p, struct parked *item, uint64_t head)
{
	pthread_mutex_lock(&p->lock);
	list_append(&p->parked, &item->link);
	if (feed_head(p->feed) != head)
		p->committed = true;
	pthread_cond_signal(&p->wake); /* the thread may have slept for longer than this one wants */
	if (p->closing)                /* or it is gone */
		wake_due(p);
	pthread_mutex_unlock(&p->lock);
}

struct stream {
	struct parked parked;
	struct list link; /* in push.streams */
	struct push *push;
	struct exchange *exchange;
	struct cursor *cursor;
	struct pace pace;
	struct buf pending;  /* text of ours that goes out before the next event */
	int64_t beat_ms;     /* monotonic: when the last comment was sent */
	atomic_ullong after; /* a copy of the cursor's, for the other threads */
	atomic_bool live;    /* has been at the head */
};

/* Was it live, and has it fallen too far behind? Replaying is not lagging. */
static bool lags_too_far(const struct stream *s, uint64_t head)
{
	uint64_t max = s->push->lag_max;
	return max > 0 && atomic_load(&s->live) && head > atomic_load(&s->after) + max;
}

/* Cuts off those who do not even read. With the lock. */
static void cut_laggards(struct push *p)
{
	uint64_t head = feed_head(p->feed);
	LIST_EACH (link, &p->streams) {
		struct stream *s = LIST_ITEM(link, struct stream, link);
		if (lags_too_far(s, head))
			exchange_cut(s->exchange);
	}
}

static void *work(void *arg)
{
	struct push *p = arg;
	pthread_mutex_lock(&p->lock);
	while (!p->closing) {
		int64_t next = wake_due(p);
		int64_t now = clock_mono_ms();
		if (p->lag_max > 0) {
			cut_laggards(p);
			next = next < now + LAG_CHECK_MS ? next : now + LAG_CHECK_MS;
		}
		if (!p->committed && !p->closing && next > now)
			clock_cond_wait(&p->wake, &p->lock, next - now);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

enum err push_create(struct feed *feed, uint64_t lag_max, struct push **out, struct fault *fault)
{
	*out = NULL;
	struct push *p = calloc(1, sizeof *p);
	if (p == NULL)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	p->feed = feed;
	p->lag_max = lag_max;
	pthread_mutex_init(&p->lock, NULL);
	clock_cond_init(&p->wake);
	list_init(&p->parked);
	list_init(&p->streams);
	if (pthread_create(&p->thread, NULL, work, p) != 0) {
		free(p);
		return fault_set(fault, ERR_NOMEM, "cannot start a thread");
	}
	p->running = true;
	feed_listen(feed, on_commit, p);
	*out = p;
	return ERR_NONE;
}

void push_close(struct push *p)
{
	pthread_mutex_lock(&p->lock);
	p->closing = true;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	if (p->running)
		pthread_join(p->thread, NULL);
	p->running = false;
	/* What was parked until now; who parks from now on is woken there. */
	pthread_mutex_lock(&p->lock);
	wake_due(p);
	pthread_mutex_unlock(&p->lock);
}

void push_destroy(struct push *p)
{
	if (p == NULL)
		return;
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* --- streams --- */

static void stream_destroy(void *arg)
{
	struct stream *s = arg;
	pthread_mutex_lock(&s->push->lock);
	list_remove(&s->link);
	pthread_mutex_unlock(&s->push->lock);
	cursor_destroy(s->cursor);
	buf_finish(&s->pending);
	free(s);
}

static void on_loaded(void *arg)
{
	exchange_resume(((struct stream *)arg)->exchange);
}

static bool on_stream_due(struct parked *item, bool time_is_up)
{
	(void)time_is_up; /* the reader looks at the clock itself */
	struct stream *s = LIST_ITEM(item, struct stream, parked);
	exchange_resume(s->exchange);
	return true;
}

static long wait_for(struct stream *s, uint64_t head, int64_t wait_ms)
{
	exchange_wait(s->exchange);
	int64_t now = clock_mono_ms();
	int64_t beat = s->beat_ms + HEARTBEAT_MS;
	s->parked.deadline_ms = now + wait_ms < beat ? now + wait_ms : beat;
	s->parked.wake = on_stream_due;
	park(s->push, &s->parked, head);
	return HTTP_WAIT;
}

/* Sends as much of the chunks as fits, of paced ones only what is due. */
static long send_chunks(struct stream *s, struct chunk *chunks, int count, char *out, size_t max)
{
	size_t n = 0;
	for (int i = 0; i < count && n < max; i++) {
		size_t len = chunks[i].len < max - n ? chunks[i].len : max - n;
		memcpy(out + n, chunks[i].bytes, len);
		n += len;
	}
	uint64_t events = cursor_advance(s->cursor, chunks, count, n);
	atomic_fetch_add(&s->push->delivered, events);
	atomic_store(&s->after, cursor_after(s->cursor));
	return (long)n;
}

static void add_gap(struct stream *s)
{
	struct buf gap;
	buf_init(&gap);
	gap_write(&gap, cursor_gap(s->cursor));
	buf_printf(&s->pending, "event: gap\ndata: %.*s\n\n", (int)gap.len, gap.data);
	if (buf_failed(&gap))
		s->pending.failed = true; /* a gap must not go untold */
	buf_finish(&gap);
}

static long send_pending(struct stream *s, char *out, size_t max)
{
	size_t n = s->pending.len < max ? s->pending.len : max;
	memcpy(out, s->pending.data, n);
	buf_drop(&s->pending, n);
	return (long)n;
}

/* A comment now and then, so that both sides notice when the other has gone, whatever else is sent. */
static void add_heartbeat(struct stream *s)
{
	int64_t now = clock_mono_ms();
	if (now - s->beat_ms < HEARTBEAT_MS || cursor_is_inside(s->cursor))
		return;
	s->beat_ms = now;
	buf_adds(&s->pending, ":\n\n");
}

static bool is_closing(struct push *p)
{
	pthread_mutex_lock(&p->lock);
	bool closing = p->closing;
	pthread_mutex_unlock(&p->lock);
	return closing;
}

static long read_stream(struct exchange *x, void *state, char *out, size_t max)
{
	(void)x;
	struct stream *s = state;
	/* A paced stream takes one event at a time. */
	int chunks_max = s->pace.speed > 0 ? 1 : CHUNKS;
	size_t bytes_max = s->pace.speed > 0 ? 1 : max;
	for (;;) {
		add_heartbeat(s);
		if (buf_failed(&s->pending))
			return HTTP_BROKEN;
		if (s->pending.len > 0)
			return send_pending(s, out, max);
		uint64_t head = feed_head(s->push->feed);
		if (lags_too_far(s, head))
			return HTTP_BROKEN;
		if (is_closing(s->push))
			return cursor_is_inside(s->cursor) ? HTTP_BROKEN : HTTP_END;
		struct chunk chunks[CHUNKS];
		int count;
		switch (cursor_fill(s->cursor, chunks, chunks_max, bytes_max, &count)) {
		case CURSOR_READY: {
			int64_t time_ms = page_entry(chunks[0].page, chunks[0].index).time_ms;
			int64_t wait_ms = cursor_is_inside(s->cursor) ? 0 : pace_wait(&s->pace, time_ms);
			long n = 0;
			if (wait_ms == 0)
				n = send_chunks(s, chunks, count, out, max);
			cursor_release(chunks, count);
			return wait_ms == 0 ? n : wait_for(s, head, wait_ms);
		}
		case CURSOR_GAP: add_gap(s); break;
		case CURSOR_LOAD:
			exchange_wait(s->exchange);
			cursor_load(s->cursor);
			return HTTP_WAIT;
		case CURSOR_LIVE: atomic_store(&s->live, true); return wait_for(s, head, HEARTBEAT_MS);
		case CURSOR_END: return HTTP_END;
		case CURSOR_FAILED: return HTTP_BROKEN;
		}
	}
}

enum err push_stream(struct push *p, struct exchange *x, const struct query *query, struct selection *select)
{
	struct stream *s = calloc(1, sizeof *s);
	if (s == NULL) {
		selection_destroy(select);
		return ERR_NOMEM;
	}
	s->push = p;
	s->exchange = x;
	s->pace.speed = query->speed;
	list_init(&s->link);
	list_init(&s->parked.link);
	s->beat_ms = clock_mono_ms();
	enum err err = cursor_create(p->feed, query->start, query->before, select, WIRE_SSE, on_loaded, s, &s->cursor);
	if (err) {
		free(s);
		return err;
	}
	atomic_store(&s->after, cursor_after(s->cursor));
	buf_printf(&s->pending, "retry: %d\n\n", RETRY_MIN_MS + (int)(random_u64() % RETRY_SPREAD_MS));
	pthread_mutex_lock(&p->lock);
	list_append(&p->streams, &s->link);
	pthread_mutex_unlock(&p->lock);
	exchange_keep(x, s, stream_destroy);
	exchange_status(x, 200, "text/event-stream");
	exchange_add_header(x, "Cache-Control", "no-store");
	exchange_stream(x, read_stream);
	return ERR_NONE;
}

/* --- long polls --- */

struct poll {
	struct parked parked;
	struct push *push;
	struct cursor *cursor;
	push_again *again;
	void *arg;
};

static void on_poll_loaded(void *arg)
{
	(void)arg; /* a poll never loads: what is not in the ring is looked up by the handler */
}

static bool on_poll_due(struct parked *item, bool time_is_up)
{
	struct poll *poll = LIST_ITEM(item, struct poll, parked);
	struct chunk chunk;
	int count;
	if (!time_is_up) {
		enum cursor_state state = cursor_fill(poll->cursor, &chunk, 1, 1, &count);
		if (state == CURSOR_LIVE)
			return false;
		if (state == CURSOR_READY)
			cursor_release(&chunk, count);
	}
	poll->push->long_polls--;
	cursor_destroy(poll->cursor);
	poll->again(poll->arg, time_is_up);
	free(poll);
	return true;
}

enum err push_wait(struct push *p, const struct query *query, struct selection *select, int64_t wait_ms, push_again *again,
		   void *arg)
{
	struct poll *poll = calloc(1, sizeof *poll);
	if (poll == NULL) {
		selection_destroy(select);
		return ERR_NOMEM;
	}
	enum err err =
		cursor_create(p->feed, query->start, query->before, select, WIRE_LINE, on_poll_loaded, poll, &poll->cursor);
	if (err) {
		free(poll);
		return err;
	}
	poll->push = p;
	poll->again = again;
	poll->arg = arg;
	poll->parked.deadline_ms = clock_mono_ms() + wait_ms;
	poll->parked.wake = on_poll_due;
	list_init(&poll->parked.link);
	pthread_mutex_lock(&p->lock);
	p->long_polls++;
	pthread_mutex_unlock(&p->lock);
	park(p, &poll->parked, UINT64_MAX); /* looked at once in any case */
	return ERR_NONE;
}

void push_read(struct push *p, struct push_figures *out)
{
	*out = (struct push_figures){.delivered = atomic_load(&p->delivered)};
	uint64_t head = feed_head(p->feed);
	pthread_mutex_lock(&p->lock);
	out->long_polls = p->long_polls;
	LIST_EACH (link, &p->streams) {
		struct stream *s = LIST_ITEM(link, struct stream, link);
		out->sse++;
		uint64_t after = atomic_load(&s->after);
		uint64_t lag = head > after ? head - after : 0;
		out->lag_max = lag > out->lag_max ? lag : out->lag_max;
	}
	pthread_mutex_unlock(&p->lock);
}
