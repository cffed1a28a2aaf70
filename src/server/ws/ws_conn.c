#include "server/ws/ws_conn.h"

#include <assert.h>

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

bool ws_is_silent(const struct ws_conn *c, int64_t now_ms)
{
	return c->profile->publishes && now_ms - c->alive.spoke_ms >= c->ws->options.silence_ms;
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

uint64_t ws_lag(const struct ws_conn *c, uint64_t head)
{
	if (c->cursor == NULL || subscription_waits(&c->subscription))
		return 0; /* a live reader has no lag in events that it would be sent */
	uint64_t after = cursor_after(c->cursor);
	return head > after ? head - after : 0;
}
