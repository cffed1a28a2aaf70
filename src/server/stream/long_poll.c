/* Long polls: a request that waits until there is something to answer, or until its time is up. */
#include <stdlib.h>

#include "base/system/clock.h"
#include "server/stream/waiters_internal.h"

struct poll {
	struct waiter waiter;
	struct waiters *waiters;
	long_poll_again *again;
	void *arg;
};

static bool on_poll_due(struct waiter *item, bool time_is_up)
{
	struct poll *poll = LIST_ITEM(item, struct poll, waiter);
	struct chunk chunk;
	int count;
	if (!time_is_up) {
		enum cursor_state state = cursor_fill(item->cursor, &chunk, 1, 1, &count);
		if (state == CURSOR_LIVE)
			return false;
		if (state == CURSOR_READY)
			cursor_release(&chunk, count);
	}
	poll->waiters->long_polls--;
	subscription_finish(&item->subscription);
	cursor_destroy(item->cursor);
	poll->again(poll->arg, time_is_up);
	free(poll);
	return true;
}

enum err long_poll_wait(struct waiters *p, const struct reader_query *query, struct selection *select, int64_t wait_ms,
			long_poll_again *again, void *arg)
{
	struct poll *poll = calloc(1, sizeof *poll);
	if (poll == NULL) {
		selection_destroy(select);
		return ERR_NOMEM;
	}
	struct cursor *cursor;
	struct cursor_options options = {query->start, query->before, select, ENCODING_LINE, NULL, NULL};
	enum err err = cursor_create(p->options.feed, &options, &cursor);
	if (err) {
		free(poll);
		return err;
	}
	poll->waiters = p;
	poll->waiter.cursor = cursor;
	poll->again = again;
	poll->arg = arg;
	poll->waiter.deadline_ms = clock_mono_ms() + wait_ms;
	poll->waiter.wake = on_poll_due;
	poll->waiter.look = true; /* at once, in any case */
	list_init(&poll->waiter.link);
	subscription_init(&poll->waiter.subscription);
	pthread_mutex_lock(&p->lock);
	p->long_polls++;
	pthread_mutex_unlock(&p->lock);
	waiters_park(p, &poll->waiter);
	return ERR_NONE;
}
