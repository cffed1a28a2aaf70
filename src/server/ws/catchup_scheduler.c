#include "server/ws/ws_conn.h"

#include <ev.h>

#include "base/system/clock.h"

enum {
	SLICE_US = 2000,      /* at most per iteration of the loop */
	PUBLISHING_MS = 50,   /* after a commit, publishing is assumed to continue for this long */
	CATCHUP_PERCENT = 50, /* of the thread's time, for readers that are behind while publishing continues */
	CREDIT_US = 5000,     /* at most this much unused time is saved up */
};

/* Time that may be spent from now on. */
static int64_t credit_us(struct ws *w, int64_t now_us)
{
	int64_t earned = (now_us - w->catchup.credited_us) * CATCHUP_PERCENT / 100;
	w->catchup.credited_us = now_us;
	w->catchup.credit_us = w->catchup.credit_us + earned < CREDIT_US ? w->catchup.credit_us + earned : CREDIT_US;
	return w->catchup.credit_us;
}

static void begin_pause(struct ws *w)
{
	double wait_s = (double)(SLICE_US - w->catchup.credit_us) * 100 / CATCHUP_PERCENT / 1e6;
	ev_idle_stop(w->loop, &w->catchup.idle);
	ev_timer_set(&w->catchup.pause, wait_s, 0);
	ev_timer_start(w->loop, &w->catchup.pause);
}

static void serve_waiting(struct ws *w, int64_t start_us)
{
	do {
		struct ws_conn *c = LIST_ITEM(w->catchup.waiting.next, struct ws_conn, reading.in_catchup);
		list_remove(&c->reading.in_catchup);
		w->catchup.serve(c);
	} while (!list_empty(&w->catchup.waiting) && !atomic_load(&w->committed) && clock_mono_us() - start_us < SLICE_US);
}

/* Runs once per iteration of the loop: an idle watcher of the highest priority. */
static void on_idle(struct ev_loop *loop, struct ev_idle *watcher, int events)
{
	(void)events;
	struct ws *w = watcher->data;
	int64_t start_us = clock_mono_us();
	bool publishing = start_us / 1000 - w->catchup.committed_ms < PUBLISHING_MS;
	if (publishing && credit_us(w, start_us) <= 0) {
		begin_pause(w);
		return;
	}
	if (!list_empty(&w->catchup.waiting))
		serve_waiting(w, start_us);
	w->catchup.credit_us -= clock_mono_us() - start_us;
	if (!publishing)
		w->catchup.credit_us = 0;
	if (list_empty(&w->catchup.waiting))
		ev_idle_stop(loop, watcher);
}

static void on_pause_over(struct ev_loop *loop, struct ev_timer *watcher, int events)
{
	(void)events;
	struct ws *w = watcher->data;
	ev_idle_start(loop, &w->catchup.idle);
}

void catchup_init(struct ws *w, void (*serve)(struct ws_conn *c))
{
	w->catchup.serve = serve;
	list_init(&w->catchup.waiting);
	ev_idle_init(&w->catchup.idle, on_idle);
	ev_set_priority(&w->catchup.idle, EV_MAXPRI);
	ev_timer_init(&w->catchup.pause, on_pause_over, 0, 0);
	w->catchup.idle.data = w->catchup.pause.data = w;
	w->catchup.credited_us = clock_mono_us();
}

void catchup_wait(struct ws_conn *c)
{
	struct ws *w = c->ws;
	c->reading.wait = WAIT_CATCHUP;
	list_append(&w->catchup.waiting, &c->reading.in_catchup);
	if (!ev_is_active(&w->catchup.pause))
		ev_idle_start(w->loop, &w->catchup.idle);
}

void catchup_committed(struct ws *w)
{
	w->catchup.committed_ms = clock_mono_ms();
}
