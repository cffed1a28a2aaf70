#include "server/ws/ws_profile.h"

#include <assert.h>

#include "server/ws/ws_conn.h"

/* --- profiles --- */

struct slice ws_session(const struct ws_conn *c)
{
	return c->session != NULL ? slice_of(c->session) : (struct slice){"", 0};
}

static const struct ws_profile *profiles[WS_PROFILES_MAX] = {&ws_v1};
static atomic_int profile_count = 1; /* atomic: the thread may read it while profiles are added */

void ws_add_profile(const struct ws_profile *profile)
{
	assert(profile_count < WS_PROFILES_MAX);
	profiles[profile_count] = profile;
	atomic_fetch_add(&profile_count, 1);
}

const struct ws_profile *ws_profile_at(int index)
{
	return index < profile_count ? profiles[index] : NULL;
}

const struct ws_profile *ws_profile_find(struct slice path)
{
	for (int i = 0; i < profile_count; i++)
		if (slice_is(path, profiles[i]->path))
			return profiles[i];
	return NULL;
}

void ws_progressed(struct ws_conn *c)
{
	if (c->profile->progressed != NULL)
		c->profile->progressed(c);
}

bool ws_is_closing(const struct ws_conn *c)
{
	return c->close_code != 0 || c->closing != NULL;
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

void ws_task_begin(struct ws_conn *c, struct ws_task *task, void (*finish)(struct ws_task *task))
{
	task->ws = c->ws;
	task->conn = c;
	task->finish = finish;
	task->away = true;
	list_init(&task->in_inbox);
	list_init(&task->in_conn);
	list_append(&c->tasks, &task->in_conn);
	c->task_count++;
}

void ws_task_done(struct ws_task *task)
{
	ws_wake(task->ws, &task->ws->done, &task->in_inbox);
}

void ws_task_end(struct ws_task *task)
{
	if (task->conn == NULL)
		return;
	list_remove(&task->in_conn);
	task->conn->task_count--;
}

const struct ws_profile *ws_profile_of(const struct ws_conn *c)
{
	return c->profile;
}

void *ws_state(const struct ws_conn *c)
{
	return c->state;
}

void ws_set_state(struct ws_conn *c, void *state)
{
	c->state = state;
}

const struct url *ws_url(const struct ws_conn *c)
{
	assert(c->request != NULL);
	return &c->request->url;
}

uint64_t ws_number(const struct ws_conn *c)
{
	return c->number;
}

const struct grant *ws_grant(const struct ws_conn *c)
{
	return &c->grant;
}

uint64_t ws_peer(const struct ws_conn *c)
{
	return c->peer;
}

void ws_ack(struct ws_conn *c, uint64_t seq)
{
	uint64_t sent;
	const struct ws_options *o = &c->ws->options;
	if (c->session != NULL && sessions_ack(o->sessions, ws_session(c), &c->reader, seq, &sent) == ERR_NONE)
		writer_poke(o->writer);
}

void ws_each(struct ws *w, const struct ws_profile *profile, void (*each)(struct ws_conn *c, void *arg), void *arg)
{
	LIST_EACH (link, &w->all) {
		struct ws_conn *c = LIST_ITEM(link, struct ws_conn, in_all);
		if (c->profile == profile)
			each(c, arg);
	}
}
