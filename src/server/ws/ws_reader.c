/* A reader: it sends the events of a cursor, as fast as the socket, the replay speed and the client let it. */
#include <errno.h>
#include <inttypes.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/system/clock.h"
#include "base/system/log.h"
#include "server/message/problem.h"
#include "server/ws/ws_conn.h"

enum {
	CHECKPOINT_MS = 8000,      /* a filtered reader learns its position within 10 s */
	CHUNKS = 64,               /* per write */
	WRITE_BYTES = 256 * 1024,  /* per write, approximately */
	LATE_EVENTS = 1024,        /* a lag that one or two commits cannot explain */
	BURST_BYTES = 1024 * 1024, /* sent by one connection before the others are served */
};

/* --- its position --- */

uint64_t ws_after(const struct ws_conn *c)
{
	return cursor_after(c->reading.cursor);
}

void ws_note_reported(struct ws_conn *c, uint64_t seq)
{
	if (seq > atomic_load(&c->reader.sent))
		atomic_store(&c->reader.sent, seq);
	c->reading.reported = seq;
	c->reading.reported_ms = clock_mono_ms();
}

uint64_t ws_lag(const struct ws_conn *c, uint64_t head)
{
	if (c->reading.cursor == NULL || subscription_waits(&c->reading.subscription))
		return 0; /* a live reader has no lag in events that it would be sent */
	uint64_t after = cursor_after(c->reading.cursor);
	return head > after ? head - after : 0;
}

uint64_t ws_unsent_lag(const struct ws_conn *c, uint64_t head)
{
	return c->reading.muted || ws_is_closing(c) ? 0 : ws_lag(c, head);
}

bool ws_lags_too_far(struct ws_conn *c, uint64_t head)
{
	uint64_t max = c->ws->options.lag_max;
	if (c->close_code != 0)
		return true; /* counted before, if it was closed for its lag */
	if (max == 0 || !c->reading.live || c->reading.paused || c->reading.muted || ws_lag(c, head) <= max)
		return false;
	ws_metrics_count(c->ws->metrics, ws_session(c), WSM_OVERFLOW, 1);
	ws_hang_up(c, LWS_CLOSE_STATUS_POLICY_VIOLATION, "too far behind (--max-lag)");
	return true;
}

void ws_checkpoint(struct ws_conn *c, int64_t now_ms)
{
	if (c->profile->checkpoint == NULL || c->reading.cursor == NULL || ws_is_closing(c) ||
	    !cursor_is_filtered(c->reading.cursor) || now_ms - c->reading.reported_ms < CHECKPOINT_MS)
		return;
	uint64_t after = subscription_after(c->ws->subscriptions, &c->reading.subscription, c->reading.cursor);
	if (after <= c->reading.reported)
		return;
	c->profile->checkpoint(c, after);
	ws_note_reported(c, after);
	ws_pump_out(c);
}

void ws_go_to(struct ws_conn *c, struct position start)
{
	subscription_remove(c->ws->subscriptions, &c->reading.subscription);
	cursor_seek(c->reading.cursor, start);
	c->reading.speed = (struct replay_speed){.speed = c->reading.speed.speed, .held = c->reading.paused};
	c->reading.live = false; /* the new position may be far from the head */
	ws_note_reported(c, cursor_after(c->reading.cursor));
}

/* --- beginning and ending --- */

static void on_time(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	ws_pump(timer->data);
}

void ws_reader_init(struct ws_conn *c)
{
	list_init(&c->reading.in_catchup);
	subscription_init(&c->reading.subscription);
	ev_timer_init(&c->reading.timer, on_time, 0, 0);
	c->reading.timer.data = c;
}

static void on_loaded(void *arg)
{
	struct ws_conn *c = arg;
	pthread_mutex_lock(&c->ws->lock);
	c->loaded = true;
	pthread_mutex_unlock(&c->ws->lock);
	ws_wake(c->ws, &c->ws->ready, &c->in_inbox);
}

/* Attaches the session, and finds the position where the reader starts. */
static enum err take_session(struct ws_conn *c, struct position *start, struct fault *fault)
{
	struct ws *w = c->ws;
	const struct reader_query *q = &c->request->query;
	struct reader_start reading = {w->options.feed, w->options.sessions, w->options.writer, c->client};
	enum err err = reader_start_begin(&reading, q, &c->reader, start, &c->resumed, fault);
	if (!err && c->resumed)
		ws_note_reconnect(c);
	return err;
}

enum err ws_reader_start(struct ws_conn *c, struct fault *fault)
{
	struct ws *w = c->ws;
	struct position start;
	struct reader_query *q = &c->request->query;
	enum err err = take_session(c, &start, fault);
	if (err)
		return err;
	struct selection *select = history_select_take(feed_store(w->options.feed), q->filter);
	q->filter = NULL;
	struct cursor_options options = {start, 0, select, c->profile->encoding, on_loaded, c};
	if (select != NULL)
		err = cursor_create(w->options.feed, &options, &c->reading.cursor);
	if (select != NULL && !err && q->max_age_ms > 0)
		cursor_set_max_age(c->reading.cursor, q->max_age_ms, q->older);
	c->reading.speed.speed = q->speed;
	return select == NULL || err ? fault_nomem(fault) : ERR_NONE;
}

void ws_reader_stop(struct ws_conn *c)
{
	subscription_remove(c->ws->subscriptions, &c->reading.subscription);
	ev_timer_stop(c->ws->loop, &c->reading.timer);
}

void ws_reader_finish(struct ws_conn *c)
{
	ws_reader_stop(c);
	subscription_finish(&c->reading.subscription);
	cursor_destroy(c->reading.cursor);
	list_remove(&c->reading.in_catchup);
}

/* --- sending events --- */

bool ws_reader_is_blocked(const struct ws_conn *c)
{
	return c->reading.wait == WAIT_SOCKET;
}

bool ws_reader_was_live(const struct ws_conn *c)
{
	return c->reading.live_sent;
}

static void wait_for_socket(struct ws_conn *c)
{
	c->retries += !c->retrying;
	if (!c->retrying)
		ws_metrics_count(c->ws->metrics, ws_session(c), WSM_RETRY, 1);
	c->retrying = true;
	c->reading.wait = WAIT_SOCKET;
	lws_callback_on_writable(c->wsi);
}

/* Does not use the loop's cached time, which is that of the beginning of this iteration. */
static void wait_for_time(struct ws_conn *c, int64_t ms)
{
	struct ev_loop *loop = c->ws->loop;
	c->reading.wait = WAIT_TIME;
	ev_now_update(loop);
	ev_timer_stop(loop, &c->reading.timer);
	ev_timer_set(&c->reading.timer, (double)ms / 1000, 0);
	ev_timer_start(loop, &c->reading.timer);
}

/* Counts events that were sent. The latency of the first of them is measured while the reader is live. */
static void note_sent(struct ws_conn *c, const struct chunk *chunks, uint64_t events)
{
	struct ws_metrics *m = c->ws->metrics;
	if (events == 0)
		return;
	atomic_fetch_add(&c->ws->delivered, events);
	ws_metrics_count(m, ws_session(c), WSM_SENT, events);
	if (c->profile->counts != WSM_SENT)
		ws_metrics_count(m, ws_session(c), c->profile->counts, events);
	if (c->retrying)
		ws_metrics_count(m, ws_session(c), WSM_RETRY_FINE, 1);
	c->retrying = false;
	if (c->reading.live)
		feed_delivered(c->ws->options.feed, chunks[0].page, events);
	if (c->reading.live)
		ws_metrics_latency(m, clock_wall_ms() - page_entry(chunks[0].page, chunks[0].index).time_ms);
}

/* Sends the chunks. *full: the socket took less; the rest of the record where it stopped is left to libwebsockets. */
static size_t send_chunks(struct ws_conn *c, const struct chunk *chunks, int count, bool *full)
{
	struct iovec parts[CHUNKS];
	size_t all = 0;
	for (int i = 0; i < count; i++) {
		parts[i] = (struct iovec){(void *)chunks[i].bytes, chunks[i].len};
		all += chunks[i].len;
	}
	struct msghdr m = {.msg_iov = parts, .msg_iovlen = (size_t)count};
	ssize_t n = sendmsg(c->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	size_t sent = n > 0 ? (size_t)n : 0;
	*full = sent < all;
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		ws_broken_socket(c);
		return 0;
	}
	const char *rest;
	size_t rest_len = *full ? cursor_record_rest(c->reading.cursor, chunks, count, sent, &rest) : 0;
	if (rest_len > 0)
		ws_buffer_rest(c, rest, rest_len);
	uint64_t events = cursor_advance(c->reading.cursor, chunks, count, sent + rest_len);
	note_sent(c, chunks, events);
	if (events > 0)
		ws_note_reported(c, cursor_sent(c->reading.cursor));
	return sent;
}

/* At the head: the profile sends what is due there, then the reader waits for the next commit. */
static void go_live(struct ws_conn *c)
{
	c->profile->live(c);
	c->reading.live_sent = c->reading.live = true;
	if (!ws_send_out(c)) {
		wait_for_socket(c);
		return;
	}
	if (subscription_add(c->ws->subscriptions, &c->reading.subscription, c->reading.cursor))
		c->reading.wait = WAIT_LIVE;
	else
		wait_for_socket(c); /* a commit happened in between: continue at once */
}

static void fail(struct ws_conn *c)
{
	const struct fault *fault = cursor_fault(c->reading.cursor);
	log_error("a reader failed", "after=%" PRIu64 " error=%s", cursor_after(c->reading.cursor), log_text(fault->text));
	c->profile->error(c, problem_status(fault->code), fault);
	ws_hang_up(c, LWS_CLOSE_STATUS_UNEXPECTED_CONDITION, "the log cannot be read");
}

static void report_gap(struct ws_conn *c)
{
	const struct gap *gap = cursor_gap(c->reading.cursor);
	if ((gap->reason == GAP_RETENTION || gap->reason == GAP_AGE) && gap->first > gap->requested)
		ws_metrics_count(c->ws->metrics, ws_session(c), WSM_EXPIRED, gap->first - gap->requested - 1);
	c->profile->gap(c, gap);
	ws_note_reported(c, cursor_after(c->reading.cursor));
}

/* An event at `time_ms` was sent to a paused reader. */
static void end_step(struct ws_conn *c, int64_t time_ms)
{
	c->reading.steps--;
	replay_speed_jump(&c->reading.speed, time_ms);
}

/* Sends one batch of events. True: there may be more to send at once. */
static bool send_events(struct ws_conn *c, size_t *burst)
{
	bool single = c->reading.speed.speed > 0 || c->reading.paused;
	struct chunk chunks[CHUNKS];
	int count;
	if (c->reading.paused && c->reading.steps == 0) {
		c->reading.wait = WAIT_CLIENT;
		return false;
	}
	switch (cursor_fill(c->reading.cursor, chunks, single ? 1 : CHUNKS, single ? 1 : WRITE_BYTES, &count)) {
	case CURSOR_READY: break;
	case CURSOR_GAP: report_gap(c); return true;
	case CURSOR_LOAD:
		c->reading.wait = WAIT_LOAD;
		cursor_load(c->reading.cursor);
		return false;
	case CURSOR_LIVE: go_live(c); return false;
	case CURSOR_END:
	case CURSOR_FAILED: fail(c); return false;
	}
	int64_t time_ms = page_entry(chunks[0].page, chunks[0].index).time_ms;
	int64_t wait_ms = c->reading.paused ? 0 : replay_speed_wait(&c->reading.speed, time_ms);
	bool full = false;
	if (wait_ms == 0) {
		size_t sent = send_chunks(c, chunks, count, &full);
		*burst += sent;
		if (c->reading.paused && sent > 0)
			end_step(c, time_ms);
	} else {
		wait_for_time(c, wait_ms);
	}
	cursor_release(chunks, count);
	if (full)
		wait_for_socket(c);
	return wait_ms == 0 && !full;
}

void ws_serve(struct ws_conn *c)
{
	if (ws_is_closing(c))
		return;
	/* Bytes of an earlier write are still queued: anything sent now would overtake them. */
	if (lws_partial_buffered(c->wsi)) {
		wait_for_socket(c);
		return;
	}
	c->reading.wait = WAIT_NOTHING;
	subscription_remove(c->ws->subscriptions, &c->reading.subscription);
	size_t burst = 0;
	for (bool more = true; more && c->close_code == 0;) {
		if (!ws_send_out(c)) {
			if (c->close_code == 0)
				wait_for_socket(c);
			return;
		}
		if (burst >= BURST_BYTES) {
			catchup_wait(c);
			return;
		}
		more = send_events(c, &burst);
	}
	if (c->close_code == 0 && c->out.len > 0)
		wait_for_socket(c);
}

void ws_pump(struct ws_conn *c)
{
	if (ws_is_closing(c))
		return;
	/* libwebsockets also calls back unasked: a page that is being loaded must not be requested again. */
	if (c->reading.cursor == NULL || c->reading.held || c->reading.muted || c->reading.wait == WAIT_LOAD ||
	    c->reading.wait == WAIT_CATCHUP) {
		ws_pump_out(c);
		return;
	}
	if (c->reading.wait == WAIT_SOCKET && ws_lags_too_far(c, feed_head(c->ws->options.feed)))
		return;
	if (ws_lag(c, feed_head(c->ws->options.feed)) > LATE_EVENTS)
		catchup_wait(c);
	else
		ws_serve(c);
}

/* --- what profiles ask of it --- */

void ws_hold(struct ws_conn *c, bool held)
{
	c->reading.held = held;
}

bool ws_is_held(const struct ws_conn *c)
{
	return c->reading.held;
}

void ws_mute(struct ws_conn *c, bool muted)
{
	if (muted == c->reading.muted)
		return;
	c->reading.muted = muted;
	ws_pump(c);
}

bool ws_keeps_up(const struct ws_conn *c)
{
	return c->close_code == 0 && c->reading.wait != WAIT_SOCKET && c->out.len == 0 && !lws_partial_buffered(c->wsi);
}

void ws_reader_on_commit(void *arg, struct subscription *s)
{
	(void)arg;
	ws_pump(LIST_ITEM(s, struct ws_conn, reading.subscription));
}
