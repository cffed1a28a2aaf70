/* How far sessions are behind: events that pass their filter. */
#include "engine/read/session_internal.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "store/read/history.h"

/* Adds the events in (after, upto] that pass. */
static enum err add_count(struct reader *reader, struct selection *select, uint64_t after, uint64_t upto, uint64_t *sum,
			  struct fault *fault)
{
	uint64_t count = 0;
	enum err err = after < upto ? history_count(reader, select, after, upto + 1, &count, fault) : ERR_NONE;
	*sum += count;
	return err;
}

/* Brings the count `c` up to date: matching events in (after, head]. */
static enum err count_on(struct reader *reader, struct selection *select, uint64_t after, uint64_t head, struct lag_count *c,
			 struct fault *fault)
{
	uint64_t handled = 0;
	if (after < c->after || after > c->upto)
		*c = (struct lag_count){after, after, 0, c->first};
	assert(c->after <= after && after <= c->upto);
	enum err err = add_count(reader, select, c->after, after, &handled, fault);
	if (!err)
		err = add_count(reader, select, c->upto, head, &c->count, fault);
	if (err)
		return err;
	c->count -= handled;
	c->after = after;
	c->upto = head > c->upto ? head : c->upto;
	return ERR_NONE;
}

enum err sessions_lag(struct sessions *s, struct slice name, struct reader *reader, uint64_t *lag, struct fault *fault)
{
	uint64_t head = store_head(s->store);
	*lag = 0;
	pthread_mutex_lock(&s->lock);
	struct session *e = session_find(s, name);
	uint64_t acked = e != NULL ? e->acked : 0;
	struct lag_count counted = e != NULL ? e->counted : (struct lag_count){0};
	char *text = e != NULL && e->filter != NULL ? strdup(e->filter) : NULL;
	bool starved = e != NULL && e->filter != NULL && text == NULL;
	pthread_mutex_unlock(&s->lock);
	if (e == NULL)
		return fault_set(fault, ERR_NOT_FOUND, "there is no such session");
	struct filter *filter = NULL;
	enum err err = starved ? ERR_NOMEM : text != NULL ? filter_read(slice_of(text), &filter) : ERR_NONE;
	struct selection *select = err ? NULL : history_select_take(s->store, filter);
	if (err || select == NULL) {
		free(text);
		return fault_set(fault, err ? err : ERR_NOMEM, "the session's filter cannot be read");
	}
	uint64_t first = store_first(s->store);
	if (counted.first != first) /* events were evicted since */
		counted = (struct lag_count){acked, acked, 0, first};
	err = count_on(reader, select, acked, head, &counted, fault);
	*lag = counted.count;
	pthread_mutex_lock(&s->lock);
	e = err ? NULL : session_find(s, name);
	if (e != NULL && session_has_filter(e, slice_of(text != NULL ? text : "")))
		e->counted = counted;
	pthread_mutex_unlock(&s->lock);
	selection_destroy(select);
	free(text);
	return err;
}
