/* Long polls: a request that waits until there is something to answer, or until its time is up. */
#include <stdlib.h>

#include "base/clock.h"
#include "net/push_inside.h"

struct poll {
	struct parked parked;
	struct push *push;
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
		enum cursor_state state = cursor_fill(item->cursor, &chunk, 1, 1, &count);
		if (state == CURSOR_LIVE)
			return false;
		if (state == CURSOR_READY)
			cursor_release(&chunk, count);
	}
	poll->push->long_polls--;
	subscription_finish(&item->subscription);
	cursor_destroy(item->cursor);
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
	struct cursor *cursor;
	enum err err = cursor_create(p->options.feed, query->start, query->before, select, WIRE_LINE, on_poll_loaded, poll,
				     &cursor);
	if (err) {
		free(poll);
		return err;
	}
	poll->push = p;
	poll->parked.cursor = cursor;
	poll->again = again;
	poll->arg = arg;
	poll->parked.deadline_ms = clock_mono_ms() + wait_ms;
	poll->parked.wake = on_poll_due;
	poll->parked.look = true; /* at once, in any case */
	list_init(&poll->parked.link);
	subscription_init(&poll->parked.subscription);
	pthread_mutex_lock(&p->lock);
	p->long_polls++;
	pthread_mutex_unlock(&p->lock);
	push_park(p, &poll->parked);
	return ERR_NONE;
}
