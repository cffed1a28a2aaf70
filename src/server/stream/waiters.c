#include "server/stream/waiters.h"

#include <stdlib.h>

#include "base/system/clock.h"
#include "server/stream/waiters_internal.h"

enum { LAG_CHECK_MS = 1000, FOREVER_MS = 3600 * 1000 };

static void on_commit(void *arg)
{
	struct waiters *p = arg;
	pthread_mutex_lock(&p->lock);
	if (!list_empty(&p->waiting) && !p->committed) {
		p->committed = true;
		pthread_cond_signal(&p->signal);
	}
	pthread_mutex_unlock(&p->lock);
}

/* --- functions that need the lock --- */

static void put(struct waiters *p, struct waiter *item)
{
	list_append(&p->waiting, &item->link);
	item->check_now = item->check_now || atomic_load(&item->urgent);
	if (item->cursor != NULL && !item->check_now)
		item->check_now = !subscription_add(p->subscriptions, &item->subscription, item->cursor);
	int64_t next = item->check_now ? 0 : item->deadline_ms;
	if (next < p->next_ms) {
		p->next_ms = next; /* the thread may be in a longer sleep */
		pthread_cond_signal(&p->signal);
	}
}

static void wake(struct waiters *p, struct waiter *item, bool time_is_up)
{
	list_remove(&item->link);
	subscription_remove(p->subscriptions, &item->subscription);
	item->check_now = false;
	atomic_store(&item->urgent, false);
	if (!item->wake(item, time_is_up))
		put(p, item);
}

static void on_match(void *arg, struct subscription *s)
{
	wake(arg, LIST_ITEM(s, struct waiter, subscription), false);
}

/* Wakes waiters whose deadline has passed, or all of them at the end. */
static void wake_due(struct waiters *p, int64_t now)
{
	struct list all;
	list_init(&all);
	list_move_all(&all, &p->waiting);
	p->next_ms = now + FOREVER_MS;
	while (!list_empty(&all)) {
		struct waiter *item = LIST_ITEM(all.next, struct waiter, link);
		bool time_is_up = p->closing || item->deadline_ms <= now;
		if (time_is_up || item->check_now) {
			wake(p, item, time_is_up);
			continue;
		}
		list_remove(&item->link);
		list_append(&p->waiting, &item->link);
		p->next_ms = item->deadline_ms < p->next_ms ? item->deadline_ms : p->next_ms;
	}
}

/* --- streams; functions that need the lock --- */

bool waiter_stream_lags(const struct waiter_stream *s, uint64_t lag_max, uint64_t head)
{
	return lag_max > 0 && atomic_load(&s->live) && head > atomic_load(&s->after) + lag_max;
}

/* Cuts live streams that have fallen too far behind because their client does not read. */
static void cut_lagging(struct waiters *p)
{
	uint64_t head = feed_head(p->options.feed);
	LIST_EACH (link, &p->streams) {
		struct waiter_stream *s = LIST_ITEM(link, struct waiter_stream, link);
		if (!subscription_waits(&s->waiter.subscription) && waiter_stream_lags(s, p->options.lag_max, head))
			request_cut(s->request);
	}
}

static uint64_t lag_of(struct waiter_stream *s, uint64_t head)
{
	uint64_t after = atomic_load(&s->after);
	return head > after && !subscription_waits(&s->waiter.subscription) ? head - after : 0;
}

/* The streams are being ended: counts the events that they have not been sent. */
static void count_left(struct waiters *p)
{
	uint64_t head = feed_head(p->options.feed);
	LIST_EACH (link, &p->streams) {
		uint64_t lag = lag_of(LIST_ITEM(link, struct waiter_stream, link), head);
		p->left += lag;
		p->left_behind += lag > 0;
	}
}

/* --- the thread --- */

void waiters_wait(struct waiters *p, struct waiter *item)
{
	pthread_mutex_lock(&p->lock);
	if (list_empty(&p->waiting))
		subscriptions_catch_up(p->subscriptions); /* nothing was dispatched while no waiter was there */
	put(p, item);
	if (p->closing) /* the thread may have ended */
		wake_due(p, clock_mono_ms());
	pthread_mutex_unlock(&p->lock);
}

void waiters_urge(struct waiters *p, struct waiter *item)
{
	atomic_store(&item->urgent, true);
	pthread_mutex_lock(&p->lock);
	if (!list_empty(&item->link) && !item->check_now) {
		item->check_now = true;
		p->next_ms = 0;
		pthread_cond_signal(&p->signal);
	}
	pthread_mutex_unlock(&p->lock);
}

static void *work(void *arg)
{
	struct waiters *p = arg;
	pthread_mutex_lock(&p->lock);
	while (!p->closing) {
		if (p->committed) {
			p->committed = false;
			subscriptions_dispatch(p->subscriptions, on_match, p);
		}
		int64_t now = clock_mono_ms();
		if (p->next_ms <= now)
			wake_due(p, now);
		int64_t next = p->next_ms;
		if (p->options.lag_max > 0) {
			cut_lagging(p);
			next = next < now + LAG_CHECK_MS ? next : now + LAG_CHECK_MS;
		}
		if (!p->committed && !p->closing && next > now)
			clock_cond_wait(&p->signal, &p->lock, next - now);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

enum err waiters_create(struct waiters_options options, struct waiters **out, struct fault *fault)
{
	*out = NULL;
	struct waiters *p = calloc(1, sizeof *p);
	if (p == NULL)
		return fault_nomem(fault);
	p->options = options;
	pthread_mutex_init(&p->lock, NULL);
	clock_cond_init(&p->signal);
	list_init(&p->waiting);
	list_init(&p->streams);
	enum err err = subscriptions_create(options.feed, &p->subscriptions);
	err = err ? fault_nomem(fault) : thread_start(&p->thread, "waiters", work, p, fault);
	if (err) {
		waiters_destroy(p);
		return err;
	}
	feed_listen(options.feed, on_commit, p);
	*out = p;
	return ERR_NONE;
}

void waiters_close(struct waiters *p)
{
	pthread_mutex_lock(&p->lock);
	if (!p->closing)
		count_left(p);
	p->closing = true;
	pthread_cond_signal(&p->signal);
	pthread_mutex_unlock(&p->lock);
	thread_join(&p->thread);
	/* Wakes the remaining waiters; later ones are woken in waiters_wait. */
	pthread_mutex_lock(&p->lock);
	wake_due(p, clock_mono_ms());
	pthread_mutex_unlock(&p->lock);
}

void waiters_destroy(struct waiters *p)
{
	if (p == NULL)
		return;
	subscriptions_destroy(p->subscriptions);
	pthread_cond_destroy(&p->signal);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

void waiters_read(struct waiters *p, struct waiters_figures *out)
{
	uint64_t head = feed_head(p->options.feed);
	*out = (struct waiters_figures){.delivered = atomic_load(&p->delivered)};
	pthread_mutex_lock(&p->lock);
	out->left = p->left;
	out->left_behind = p->left_behind;
	out->long_polls = p->long_polls;
	LIST_EACH (link, &p->streams) {
		uint64_t lag = lag_of(LIST_ITEM(link, struct waiter_stream, link), head);
		out->sse++;
		out->lag_max = lag > out->lag_max ? lag : out->lag_max;
	}
	pthread_mutex_unlock(&p->lock);
}
