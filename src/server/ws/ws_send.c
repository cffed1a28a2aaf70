/* Sending on a WebSocket connection: text frames, and the events of its cursor. */
#include <errno.h>
#include <inttypes.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/system/clock.h"
#include "base/system/log.h"
#include "server/message/problem.h"
#include "server/ws/catchup_scheduler.h"
#include "server/ws/ws_conn.h"

enum {
	CHECKPOINT_MS = 8000,      /* a filtered reader learns its position within 10 s */
	CHUNKS = 64,               /* per write */
	WRITE_BYTES = 256 * 1024,  /* per write, approximately */
	BURST_BYTES = 1024 * 1024, /* sent by one connection before the others are served */
	TASKS_MAX = 64,            /* pending tasks of one connection, before reading is paused */
	CLOSE_SECONDS = 3,         /* time for a peer to take its close frame */
};

/* The messages of a publisher are still read to the end; other connections are closed. */
static void on_broken_socket(struct ws_conn *c)
{
	ws_failed(c);
	if (!c->profile->publishes) {
		ws_hang_up(c, CLOSE_WITHOUT_FRAME, NULL);
		return;
	}
	c->write_failed = true;
	c->out.len = 0;
	acks_clear(&c->acks);
	ws_throttle(c);
}

/* Leaves the rest of a frame that the socket did not take to libwebsockets: nothing may come between the two parts, and
 * its own control frames would. LWS_WRITE_HTTP sends the bytes unchanged. */
static void buffer_rest(struct ws_conn *c, const char *bytes, size_t len)
{
	if (lws_write(c->wsi, (unsigned char *)bytes, len, LWS_WRITE_HTTP) < 0)
		on_broken_socket(c);
}

void ws_failed(struct ws_conn *c)
{
	if (!c->failed)
		ws_metrics_count(c->ws->metrics, ws_session(c), WSM_FAILED, 1);
	c->failed = true;
}

static void wait_for_socket(struct ws_conn *c)
{
	c->retries += !c->retrying;
	if (!c->retrying)
		ws_metrics_count(c->ws->metrics, ws_session(c), WSM_RETRY, 1);
	c->retrying = true;
	c->wait = WAIT_SOCKET;
	lws_callback_on_writable(c->wsi);
}

bool ws_send_out(struct ws_conn *c)
{
	if (c->out.len == 0)
		return true;
	ssize_t n = send(c->fd, c->out.data, c->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	size_t sent = n > 0 ? (size_t)n : 0;
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		on_broken_socket(c);
		return false;
	}
	if (sent < c->out.len)
		buffer_rest(c, c->out.data + sent, c->out.len - sent);
	bool all = sent == c->out.len;
	c->out.len = 0;
	if (c->out.cap > WS_OUT_MAX)
		buf_finish(&c->out);
	ws_throttle(c);
	return all;
}

void ws_send_text(struct ws_conn *c, const struct buf *text)
{
	if (buf_failed(text))
		c->out.failed = true;
	else
		encoding_ws_frame(&c->out, buf_slice(text));
	if (buf_failed(&c->out))
		ws_hang_up(c, LWS_CLOSE_STATUS_UNEXPECTED_CONDITION, "out of memory");
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
	if (c->live)
		feed_delivered(c->ws->options.feed, chunks[0].page, events);
	if (c->live)
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
		on_broken_socket(c);
		return 0;
	}
	const char *rest;
	size_t rest_len = *full ? cursor_record_rest(c->cursor, chunks, count, sent, &rest) : 0;
	if (rest_len > 0)
		buffer_rest(c, rest, rest_len);
	uint64_t events = cursor_advance(c->cursor, chunks, count, sent + rest_len);
	note_sent(c, chunks, events);
	if (events > 0)
		ws_note_reported(c, cursor_sent(c->cursor));
	return sent;
}

/* Is nothing more sent but a Close? */
static bool is_closing(const struct ws_conn *c)
{
	return c->close_code != 0 || c->closing != NULL;
}

void ws_note_reported(struct ws_conn *c, uint64_t seq)
{
	if (seq > atomic_load(&c->reader.sent))
		atomic_store(&c->reader.sent, seq);
	c->reported = seq;
	c->reported_ms = clock_mono_ms();
}

void ws_checkpoint(struct ws_conn *c, int64_t now_ms)
{
	if (c->profile->checkpoint == NULL || c->cursor == NULL || is_closing(c) || !cursor_is_filtered(c->cursor) ||
	    now_ms - c->reported_ms < CHECKPOINT_MS)
		return;
	uint64_t after = subscription_after(c->ws->subscriptions, &c->subscription, c->cursor);
	if (after <= c->reported)
		return;
	c->profile->checkpoint(c, after);
	ws_note_reported(c, after);
	ws_pump_out(c);
}

void ws_go_to(struct ws_conn *c, struct position start)
{
	subscription_remove(c->ws->subscriptions, &c->subscription);
	cursor_seek(c->cursor, start);
	c->speed = (struct replay_speed){.speed = c->speed.speed, .held = c->paused};
	c->live = false; /* the new position may be far from the head */
	ws_note_reported(c, cursor_after(c->cursor));
}

void ws_move(struct ws_conn *c)
{
	uint64_t after;
	c->moving = false;
	if (!sessions_take_move(c->ws->options.sessions, ws_session(c), &c->reader, &after))
		return;
	ws_go_to(c, (struct position){.after = after});
	if (c->profile->moved != NULL)
		c->profile->moved(c, after);
	ws_pump(c);
}

void ws_add_ref(struct buf *out, struct slice ref)
{
	if (ref.len == 0)
		return;
	buf_adds(out, ",\"ref\":");
	buf_add(out, ref.p, ref.len);
}

void ws_send_document(struct ws_conn *c, struct document *d, struct slice ref)
{
	struct buf text;
	if (ref.len > 0)
		doc_raw(document_root(d), "ref", ref);
	buf_init(&text);
	document_end(d, &text);
	ws_send_text(c, &text);
	buf_finish(&text);
}

void ws_error(struct ws_conn *c, int status, const struct fault *fault, struct slice ref)
{
	struct buf text;
	buf_init(&text);
	problem_write_op(&text, status, fault, c->ws->options.base, ref);
	ws_send_text(c, &text);
	buf_finish(&text);
}

static void on_time(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	ws_pump(timer->data);
}

/* Does not use the loop's cached time, which is that of the beginning of this iteration. */
static void wait_for_time(struct ws_conn *c, int64_t ms)
{
	struct ev_loop *loop = c->ws->loop;
	c->wait = WAIT_TIME;
	ev_now_update(loop);
	ev_timer_stop(loop, &c->replay_speed_timer);
	ev_timer_set(&c->replay_speed_timer, (double)ms / 1000, 0);
	ev_timer_start(loop, &c->replay_speed_timer);
}

void ws_init_replay_timer(struct ws_conn *c)
{
	ev_timer_init(&c->replay_speed_timer, on_time, 0, 0);
	c->replay_speed_timer.data = c;
}

/* At the head: the profile sends what is due there, then the reader waits for the next commit. */
static void go_live(struct ws_conn *c)
{
	c->profile->live(c);
	c->live_sent = c->live = true;
	if (!ws_send_out(c)) {
		wait_for_socket(c);
		return;
	}
	if (subscription_add(c->ws->subscriptions, &c->subscription, c->cursor))
		c->wait = WAIT_LIVE;
	else
		wait_for_socket(c); /* a commit happened in between: continue at once */
}

static void fail(struct ws_conn *c)
{
	const struct fault *fault = cursor_fault(c->cursor);
	log_error("a reader failed", "after=%" PRIu64 " error=%s", cursor_after(c->cursor), log_text(fault->text));
	c->profile->error(c, problem_status(fault->code), fault);
	ws_hang_up(c, LWS_CLOSE_STATUS_UNEXPECTED_CONDITION, "the log cannot be read");
}

static void report_gap(struct ws_conn *c)
{
	const struct gap *gap = cursor_gap(c->cursor);
	if ((gap->reason == GAP_RETENTION || gap->reason == GAP_AGE) && gap->first > gap->requested)
		ws_metrics_count(c->ws->metrics, ws_session(c), WSM_EXPIRED, gap->first - gap->requested - 1);
	c->profile->gap(c, gap);
	ws_note_reported(c, cursor_after(c->cursor));
}

/* An event at `time_ms` was sent to a paused reader. */
static void end_step(struct ws_conn *c, int64_t time_ms)
{
	c->steps--;
	replay_speed_jump(&c->speed, time_ms);
}

/* Sends one batch of events. True: there may be more to send at once. */
static bool send_events(struct ws_conn *c, size_t *burst)
{
	bool single = c->speed.speed > 0 || c->paused;
	struct chunk chunks[CHUNKS];
	int count;
	if (c->paused && c->steps == 0) {
		c->wait = WAIT_CLIENT;
		return false;
	}
	switch (cursor_fill(c->cursor, chunks, single ? 1 : CHUNKS, single ? 1 : WRITE_BYTES, &count)) {
	case CURSOR_READY: break;
	case CURSOR_GAP: report_gap(c); return true;
	case CURSOR_LOAD:
		c->wait = WAIT_LOAD;
		cursor_load(c->cursor);
		return false;
	case CURSOR_LIVE: go_live(c); return false;
	case CURSOR_END:
	case CURSOR_FAILED: fail(c); return false;
	}
	int64_t time_ms = page_entry(chunks[0].page, chunks[0].index).time_ms;
	int64_t wait_ms = c->paused ? 0 : replay_speed_wait(&c->speed, time_ms);
	bool full = false;
	if (wait_ms == 0) {
		size_t sent = send_chunks(c, chunks, count, &full);
		*burst += sent;
		if (c->paused && sent > 0)
			end_step(c, time_ms);
	} else {
		wait_for_time(c, wait_ms);
	}
	cursor_release(chunks, count);
	if (full)
		wait_for_socket(c);
	return wait_ms == 0 && !full;
}

bool ws_lags_too_far(struct ws_conn *c, uint64_t head)
{
	uint64_t max = c->ws->options.lag_max;
	if (c->close_code != 0)
		return true; /* counted before, if it was closed for its lag */
	if (max == 0 || !c->live || c->paused || c->muted || ws_lag(c, head) <= max)
		return false;
	ws_metrics_count(c->ws->metrics, ws_session(c), WSM_OVERFLOW, 1);
	ws_hang_up(c, LWS_CLOSE_STATUS_POLICY_VIOLATION, "too far behind (--max-lag)");
	return true;
}

void ws_pump(struct ws_conn *c)
{
	if (is_closing(c))
		return;
	/* libwebsockets also calls back unasked: a page that is being loaded must not be requested again. */
	if (c->cursor == NULL || c->held || c->muted || c->wait == WAIT_LOAD || c->wait == WAIT_CATCHUP) {
		ws_pump_out(c);
		return;
	}
	if (c->wait == WAIT_SOCKET && ws_lags_too_far(c, feed_head(c->ws->options.feed)))
		return;
	if (catchup_is_due(c))
		catchup_wait(c);
	else
		ws_serve(c);
}

void ws_serve(struct ws_conn *c)
{
	if (is_closing(c))
		return;
	/* Bytes of an earlier write are still queued: anything sent now would overtake them. */
	if (lws_partial_buffered(c->wsi)) {
		wait_for_socket(c);
		return;
	}
	c->wait = WAIT_NOTHING;
	subscription_remove(c->ws->subscriptions, &c->subscription);
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

void ws_pump_out(struct ws_conn *c)
{
	if (is_closing(c))
		return;
	if (c->drain != NULL)
		c->drain(c);
	if (c->close_code != 0 || c->out.len == 0)
		return;
	if (lws_partial_buffered(c->wsi) || !ws_send_out(c))
		lws_callback_on_writable(c->wsi);
}

void ws_throttle(struct ws_conn *c)
{
	bool unread = c->acks.bytes > 0 && quota_room(c->ws->options.quotas, QUOTA_ACKS, c->client) == 0;
	bool much = c->busy || (!c->profile->publishes && c->task_count >= TASKS_MAX) || c->out.len > WS_OUT_MAX || unread;
	if (much == c->throttled)
		return;
	c->throttled = much;
	lws_rx_flow_control(c->wsi, much ? 0 : 1);
}

void ws_hang_up(struct ws_conn *c, int code, const char *why)
{
	if (c->close_code != 0)
		return;
	c->close_code = code;
	c->close_why = why;
	subscription_remove(c->ws->subscriptions, &c->subscription);
	ev_timer_stop(c->ws->loop, &c->replay_speed_timer);
	lws_callback_on_writable(c->wsi);
	lws_set_timeout(c->wsi, PENDING_TIMEOUT_CLOSE_SEND, code == CLOSE_WITHOUT_FRAME ? LWS_TO_KILL_ASYNC : CLOSE_SECONDS);
}
