#include "cli/offline_query.h"

#include "cli/stop.h"

static enum err select_range(struct offline_query *l, struct slice params, unsigned allowed, struct fault *fault)
{
	struct url u = {0};
	struct reader_query q = {0};
	enum err err = url_parse(&u, params) == URL_FINE ? reader_query_parse(&u, allowed, &q, fault) : fault_nomem(fault);
	if (!err) {
		l->select = history_select_take(l->store, q.filter);
		q.filter = NULL;
		err = l->select != NULL ? history_range_set(&l->range, l->store, l->reader, &q, l->select, fault)
					: fault_nomem(fault);
	}
	l->limit = q.limit;
	reader_query_finish(&q);
	url_finish(&u);
	return err;
}

enum err offline_query_open(struct offline_query *l, const char *dir, struct slice params, unsigned allowed,
			    struct fault *fault)
{
	*l = (struct offline_query){0};
	enum err err = store_open(dir, (struct store_options){.access = STORE_READ}, &l->store, fault);
	if (!err)
		err = reader_open(l->store, &l->reader, fault);
	return err ? err : select_range(l, params, allowed, fault);
}

void offline_query_finish(struct offline_query *l)
{
	selection_destroy(l->select);
	reader_close(l->reader);
	store_close(l->store);
}

static void on_progress(void *arg, uint64_t events, uint64_t done, uint64_t all)
{
	progress_set(arg, events, done, all);
}

static bool on_stop(void *arg)
{
	(void)arg;
	return stop_wanted();
}

struct seal_watch offline_query_watch(struct progress *p)
{
	stop_install(NULL);
	return (struct seal_watch){on_progress, on_stop, p};
}
