/* Long polls: requests that wait until there is something to answer, or until their time is up. */
#include <stdlib.h>

#include "base/system/clock.h"
#include "server/stream/waiters_internal.h"

struct long_poll {
	struct waiter waiter;
	struct waiters *waiters;
	long_poll_again *again;
	void *arg;
};

static bool on_poll_due(struct waiter *item, bool time_is_up)
{
	struct long_poll *long_poll = LIST_ITEM(item, struct long_poll, waiter);
	struct chunk chunk;
	int count;
	if (!time_is_up) {
		enum cursor_state state = cursor_fill(item->cursor, &chunk, 1, 1, &count);
		if (state == CURSOR_LIVE)
			return false;
		if (state == CURSOR_READY)
			cursor_release(&chunk, count);
	}
	long_poll->waiters->long_polls--;
	subscription_finish(&item->subscription);
	cursor_destroy(item->cursor);
	long_poll->again(long_poll->arg, time_is_up);
	free(long_poll);
	return true;
}

enum err long_poll_wait(struct waiters *p, const struct reader_query *query, struct selection *select, int64_t wait_ms,
			long_poll_again *again, void *arg)
{
	struct long_poll *long_poll = calloc(1, sizeof *long_poll);
	if (long_poll == NULL) {
		selection_destroy(select);
		return ERR_NOMEM;
	}
	struct cursor *cursor;
	struct cursor_options options = {query->start, query->before, select, ENCODING_LINE, NULL, NULL};
	enum err err = cursor_create(p->options.feed, &options, &cursor);
	if (err) {
		free(long_poll);
		return err;
	}
	long_poll->waiters = p;
	long_poll->waiter.cursor = cursor;
	long_poll->again = again;
	long_poll->arg = arg;
	long_poll->waiter.deadline_ms = clock_mono_ms() + wait_ms;
	long_poll->waiter.wake = on_poll_due;
	long_poll->waiter.check_now = true; /* check at once: an event may be there already */
	list_init(&long_poll->waiter.link);
	subscription_init(&long_poll->waiter.subscription);
	pthread_mutex_lock(&p->lock);
	p->long_polls++;
	pthread_mutex_unlock(&p->lock);
	waiters_wait(p, &long_poll->waiter);
	return ERR_NONE;
}
