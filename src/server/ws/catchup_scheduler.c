#include "server/ws/catchup_scheduler.h"

#include <ev.h>

#include "base/system/clock.h"

enum {
	LATE_EVENTS = 1024, /* a lag that one or two commits cannot explain */
	SLICE_US = 2000,    /* of a turn of the loop */
	PUBLISHING_MS = 50, /* after a commit, something is being published for so long */
	SHARE_PERCENT = 50, /* of the time, for readers that are behind, meanwhile */
	CREDIT_US = 5000,   /* of it that can be saved up */
};

/* Time that may be spent from here on. */
static int64_t credit_us(struct ws *w, int64_t now_us)
{
	int64_t earned = (now_us - w->catchup.credited_us) * SHARE_PERCENT / 100;
	w->catchup.credited_us = now_us;
	w->catchup.credit_us = w->catchup.credit_us + earned < CREDIT_US ? w->catchup.credit_us + earned : CREDIT_US;
	return w->catchup.credit_us;
}

static void rest(struct ws *w)
{
	double wait_s = (double)(SLICE_US - w->catchup.credit_us) * 100 / SHARE_PERCENT / 1e6;
	ev_idle_stop(w->loop, &w->catchup.go_on);
	ev_timer_set(&w->catchup.rest, wait_s, 0);
	ev_timer_start(w->loop, &w->catchup.rest);
}

static void serve_line(struct ws *w, int64_t start_us)
{
	do {
		struct ws_conn *c = LIST_ITEM(w->catchup.line.next, struct ws_conn, in_line);
		list_remove(&c->in_line);
		w->catchup.serve(c);
	} while (!list_empty(&w->catchup.line) && !atomic_load(&w->committed) && clock_mono_us() - start_us < SLICE_US);
}

/* Once at every turn of the loop, for its priority is the highest. */
static void on_turn(struct ev_loop *loop, struct ev_idle *watcher, int events)
{
	(void)events;
	struct ws *w = watcher->data;
	int64_t start_us = clock_mono_us();
	bool shared = start_us / 1000 - w->catchup.committed_ms < PUBLISHING_MS;
	if (shared && credit_us(w, start_us) <= 0) {
		rest(w);
		return;
	}
	if (!list_empty(&w->catchup.line))
		serve_line(w, start_us);
	w->catchup.credit_us -= clock_mono_us() - start_us;
	if (!shared)
		w->catchup.credit_us = 0;
	if (list_empty(&w->catchup.line))
		ev_idle_stop(loop, watcher);
}

static void on_rested(struct ev_loop *loop, struct ev_timer *watcher, int events)
{
	(void)events;
	struct ws *w = watcher->data;
	ev_idle_start(loop, &w->catchup.go_on);
}

void catchup_init(struct ws *w, void (*serve)(struct ws_conn *c))
{
	w->catchup.serve = serve;
	list_init(&w->catchup.line);
	ev_idle_init(&w->catchup.go_on, on_turn);
	ev_set_priority(&w->catchup.go_on, EV_MAXPRI);
	ev_timer_init(&w->catchup.rest, on_rested, 0, 0);
	w->catchup.go_on.data = w->catchup.rest.data = w;
	w->catchup.credited_us = clock_mono_us();
}

bool catchup_is_due(const struct ws_conn *c)
{
	return ws_lag(c, feed_head(c->ws->options.feed)) > LATE_EVENTS;
}

void catchup_wait(struct ws_conn *c)
{
	struct ws *w = c->ws;
	c->wait = WAIT_TURN;
	list_append(&w->catchup.line, &c->in_line);
	if (!ev_is_active(&w->catchup.rest))
		ev_idle_start(w->loop, &w->catchup.go_on);
}

void catchup_committed(struct ws *w)
{
	w->catchup.committed_ms = clock_mono_ms();
}
