/* Writing changed sessions. */
#include "engine/read/session_internal.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/data/map.h"
#include "base/list.h"

bool sessions_saved(struct sessions *s, struct slice name)
{
	pthread_mutex_lock(&s->lock);
	struct session *e = session_find_any(s, name);
	bool saved = e == NULL || e->state == CLEAN;
	pthread_mutex_unlock(&s->lock);
	return saved;
}

bool sessions_dirty(struct sessions *s)
{
	pthread_mutex_lock(&s->lock);
	bool dirty = !list_empty(&s->changed);
	pthread_mutex_unlock(&s->lock);
	return dirty;
}

enum err sessions_write(struct sessions *s, struct store *store, struct fault *fault)
{
	enum err err = ERR_NONE;
	pthread_mutex_lock(&s->lock);
	LIST_EACH (link, &s->changed) {
		struct session *e = LIST_ITEM(link, struct session, in_changed);
		assert(e->state != CLEAN);
		struct stored_session stored = {session_name(e), e->at.after, e->updated_ms,
						e->filter != NULL ? slice_of(e->filter) : (struct slice){"", 0},
						slice_of(e->at.epoch)};
		err = e->deleted ? store_session_delete(store, session_name(e), fault)
				 : store_session_put(store, &stored, fault);
		if (err)
			break;
		e->state = WRITING;
	}
	pthread_mutex_unlock(&s->lock);
	return err;
}

void sessions_written(struct sessions *s, bool committed)
{
	pthread_mutex_lock(&s->lock);
	LIST_EACH (link, &s->changed) {
		struct session *e = LIST_ITEM(link, struct session, in_changed);
		if (e->state != WRITING)
			continue;
		e->state = committed ? CLEAN : DIRTY;
		if (!committed)
			continue;
		list_remove(&e->in_changed);
		if (!e->deleted)
			continue;
		assert(e->reader == NULL && s->count > 0);
		list_remove(&e->in_all);
		map_remove(&s->by_name, &e->by_name);
		s->count--;
		session_free(s, e);
	}
	pthread_mutex_unlock(&s->lock);
}
