/* What the ws thread does once a second: pings, timeouts, and figures of the connections for other threads. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/system/clock.h"
#include "server/ws/ws_conn.h"

enum {
	TICK_US = WS_FIGURES_S * 1000 * 1000,
	MESSAGE_TIMEOUT_FACTOR = 3, /* the same factor as for a body over HTTP (http_conn.h) */
};

static void on_tick(lws_sorted_usec_list_t *tick);

/* Pings idle peers, and closes those that do not answer. A peer that is behind with reading cannot answer: the ping would
 * queue behind the events. */
static void check_peer(struct ws_conn *c, int64_t now)
{
	bool paused = c->throttled || ws_reader_is_blocked(c) || ws_is_closing(c) || lws_partial_buffered(c->wsi);
	if (paused) { /* messages it sends meanwhile stay in the socket */
		ws_excuse_silence(c, now);
		ws_receive_paused(c, now);
	}
	/* A message that arrives slowly keeps its bytes in memory, whose total is limited. */
	if (ws_receive_is_slow(c, now, c->ws->options.message_timeout_ms * MESSAGE_TIMEOUT_FACTOR)) {
		ws_metrics_count(c->ws->metrics, ws_session(c), WSM_TIMEOUT, 1);
		ws_hang_up(c, LWS_CLOSE_STATUS_POLICY_VIOLATION, "the message took too long to arrive");
		return;
	}
	if (ws_is_silent(c, now)) {
		ws_metrics_count(c->ws->metrics, ws_session(c), WSM_TIMEOUT, 1);
		ws_hang_up(c, LWS_CLOSE_STATUS_NORMAL, "no message for too long");
		return;
	}
	if (paused || ws_publisher_has_unsent(c) ||
	    ws_publisher_is_broken(c)) { /* its pongs are not read, or pings do not reach it */
		ws_excuse_pong(c, now);
		return;
	}
	if (ws_is_overdue(c, now)) {
		if (c->profile->silent != NULL)
			c->profile->silent(c, ws_silent_ms(c, now));
		c->ws->pulse.timeouts++;
		ws_metrics_count(c->ws->metrics, ws_session(c), WSM_TIMEOUT, 1);
		ws_hang_up(c, CLOSE_WITHOUT_FRAME, NULL);
	} else {
		ws_ping_if_due(c, now);
	}
}

/* More often than once a second if the ping interval is short. */
static void schedule_tick(struct ws *w)
{
	int64_t us = w->options.ping_ms * 1000 / 4;
	us = us < TICK_US ? us : TICK_US;
	atomic_store(&w->tick_due_ms, clock_mono_ms() + us / 1000);
	lws_sul_schedule(w->context, 0, &w->tick, on_tick, us);
}

/* The members that the monitoring profile reports of a connection. A peer has timed out when its ping is open for too
 * long; then it is closed. */
static void write_connection(struct buf *out, const struct ws_conn *c, int64_t now)
{
	struct document d;
	struct doc root = document_begin(&d);
	doc_bool(root, "is_connected", c->close_code == 0);
	doc_u64(root, "retry_count", c->retries);
	doc_u64(root, "queue_size", ws_lag(c, feed_head(c->ws->options.feed)));
	doc_seconds(root, "last_activity", ws_seen_ms(c));
	doc_bool(root, "is_timeout", ws_is_overdue(c, now));
	document_end(&d, out);
}

static void write_pulse(struct buf *out, const struct ws_conn *c, int64_t now)
{
	struct document d;
	struct doc root = document_begin(&d);
	doc_string(root, "path", c->profile->path);
	pulse_write(doc_object(root, "ping"), ws_pulse(c), now);
	document_end(&d, out);
}

/* Appends one member to an object with all connections, each of which is a document of its own: there may be many. */
static void add_member(struct buf *out, const struct ws_conn *c, int64_t now, bool first,
		       void (*write)(struct buf *out, const struct ws_conn *c, int64_t now))
{
	buf_printf(out, "%s\"%" PRIu64 "\":", first ? "{" : ",", c->number);
	write(out, c, now);
}

static void write_health(struct ws *w, struct buf *out, int64_t now)
{
	char port[16];
	struct document d;
	int digits = snprintf(port, sizeof port, "%d", w->options.port);
	pulse_write(doc_object_named(document_begin(&d), (struct slice){port, (size_t)digits}), &w->pulse, now);
	document_end(&d, out);
}

/* Prepares the texts that other threads ask for: each connection, its pings, and the health of all connections. */
static void publish_pulses(struct ws *w, int64_t now)
{
	enum { SHOWN_MAX = 1000 }; /* the counts beside the lists are complete */
	struct buf texts[WS_TEXTS];
	struct buf *connections = &texts[WS_TEXT_CONNECTIONS];
	struct buf *pulses = &texts[WS_TEXT_PULSES];
	int shown = 0;
	for (int i = 0; i < WS_TEXTS; i++)
		buf_init(&texts[i]);
	write_health(w, &texts[WS_TEXT_HEALTH], now);
	LIST_EACH (link, &w->all) {
		const struct ws_conn *c = LIST_ITEM(link, struct ws_conn, in_all);
		if (shown == SHOWN_MAX)
			break;
		add_member(connections, c, now, shown == 0, write_connection);
		add_member(pulses, c, now, shown++ == 0, write_pulse);
	}
	buf_adds(connections, shown == 0 ? "{}" : "}");
	buf_adds(pulses, shown == 0 ? "{}" : "}");
	ws_metrics_publish(w->metrics, texts);
	for (int i = 0; i < WS_TEXTS; i++)
		buf_finish(&texts[i]);
}

static void on_tick(lws_sorted_usec_list_t *tick)
{
	struct ws *w = lws_container_of(tick, struct ws, tick);
	int64_t now = clock_mono_ms();
	uint64_t head = feed_head(w->options.feed);
	uint64_t lag_max = 0;
	uint64_t lag_sum = 0;
	int64_t late = now - atomic_load(&w->tick_due_ms);
	atomic_store(&w->loop_lag_ms, late > 0 ? (unsigned long long)late : 0);
	LIST_EACH (link, &w->all) {
		struct ws_conn *c = LIST_ITEM(link, struct ws_conn, in_all);
		uint64_t lag = ws_lag(c, head);
		lag_max = lag > lag_max ? lag : lag_max;
		lag_sum += lag;
		if (c->session != NULL)
			ws_metrics_lag(w->metrics, ws_session(c), lag);
		ws_progressed(c);
		reply_budget_watch(c, now);
		ws_throttle(c); /* other connections have given memory back */
		ws_checkpoint(c, now);
		if (c->profile->tick != NULL)
			c->profile->tick(c);
		if (!ws_lags_too_far(c, head))
			check_peer(c, now);
	}
	atomic_store(&w->lag_max, lag_max);
	atomic_store(&w->lag_sum, lag_sum);
	ws_metrics_lag(w->metrics, (struct slice){"", 0}, lag_max);
	ws_metrics_forget(w->metrics, now);
	ws_metrics_save(w->metrics);
	publish_pulses(w, now);
	for (int i = 0; ws_profile_at(i) != NULL; i++)
		if (ws_profile_at(i)->tick_all != NULL)
			ws_profile_at(i)->tick_all(w, ws_profile_at(i));
	schedule_tick(w);
}

void ws_begin_ticks(struct ws *w)
{
	publish_pulses(w, clock_mono_ms());
	schedule_tick(w);
}
