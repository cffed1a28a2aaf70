#include "net/ws_conn.h"

struct slice ws_session(const struct ws_conn *c)
{
	return c->session != NULL ? slice_of(c->session) : (struct slice){"", 0};
}

void ws_wake(struct ws *w, struct list *inbox, struct list *link)
{
	pthread_mutex_lock(&w->lock);
	bool first = list_empty(inbox);
	if (list_empty(link))
		list_append(inbox, link);
	pthread_mutex_unlock(&w->lock);
	if (first)
		lws_cancel_service(w->context);
}
