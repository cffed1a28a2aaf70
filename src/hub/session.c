#include "hub/session.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/list.h"

enum { BUCKETS = 4096 };

/*         changed                 sessions_write              sessions_written
 *  CLEAN ─────────▶ DIRTY ─────────────────────▶ WRITING ─────────────────────▶ CLEAN (DIRTY where it failed)
 *                     ▲                             │ changed meanwhile
 *                     └─────────────────────────────┘                                                     */
enum write_state { CLEAN, DIRTY, WRITING };

struct session {
	struct list in_bucket;
	struct list in_changed; /* DIRTY and WRITING ones */
	enum write_state state;
	bool deleted; /* stays until the deletion is written */
	uint64_t acked;
	int64_t updated_ms;
	void *holder;
	session_lost_fn *lost;
	size_t name_len;
	char name[];
};

struct sessions {
	pthread_mutex_t lock;
	size_t count;
	bool loading; /* what is stored already is not limited */
	struct list changed;
	struct list buckets[BUCKETS];
};

static struct slice name_of(const struct session *e)
{
	return (struct slice){e->name, e->name_len};
}

static struct list *bucket(struct sessions *s, struct slice name)
{
	return &s->buckets[hash_bytes(name.p, name.len) % BUCKETS];
}

static struct session *find_any(struct sessions *s, struct slice name)
{
	LIST_EACH (link, bucket(s, name)) {
		struct session *e = LIST_ITEM(link, struct session, in_bucket);
		if (slice_eq(name_of(e), name))
			return e;
	}
	return NULL;
}

static struct session *find(struct sessions *s, struct slice name)
{
	struct session *e = find_any(s, name);
	return e != NULL && !e->deleted ? e : NULL;
}

static void change(struct sessions *s, struct session *e)
{
	e->updated_ms = clock_wall_ms();
	if (e->state == CLEAN)
		list_append(&s->changed, &e->in_changed);
	e->state = DIRTY;
}

/* Finds the session or makes one at `start`; a deleted one begins anew. */
static struct session *obtain(struct sessions *s, struct slice name, uint64_t start, bool *is_new, enum err *err)
{
	struct session *e = find_any(s, name);
	*is_new = e == NULL || e->deleted;
	*err = ERR_NONE;
	if (!*is_new)
		return e;
	if (e == NULL) {
		*err = s->count >= SESSIONS_MAX && !s->loading ? ERR_BUSY : ERR_NONE;
		e = *err ? NULL : calloc(1, sizeof *e + name.len + 1);
		if (e == NULL) {
			*err = *err ? *err : ERR_NOMEM;
			return NULL;
		}
		e->name_len = name.len;
		memcpy(e->name, name.p, name.len);
		list_init(&e->in_changed);
		list_append(bucket(s, name), &e->in_bucket);
		s->count++;
	}
	e->deleted = false;
	e->acked = start;
	return e;
}

static enum err on_load(void *arg, struct slice name, uint64_t acked, int64_t updated_ms)
{
	struct sessions *s = arg;
	bool is_new;
	enum err err;
	struct session *e = obtain(s, name, acked, &is_new, &err);
	if (e != NULL)
		e->updated_ms = updated_ms;
	return err;
}

enum err sessions_create(struct store *store, struct sessions **out, struct fault *fault)
{
	struct sessions *s = calloc(1, sizeof *s);
	*out = NULL;
	if (s == NULL)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	pthread_mutex_init(&s->lock, NULL);
	list_init(&s->changed);
	for (int i = 0; i < BUCKETS; i++)
		list_init(&s->buckets[i]);
	s->loading = true;
	enum err err = store_session_each(store, on_load, s, fault);
	s->loading = false;
	if (err) {
		sessions_destroy(s);
		return err;
	}
	*out = s;
	return ERR_NONE;
}

void sessions_destroy(struct sessions *s)
{
	if (s == NULL)
		return;
	for (int i = 0; i < BUCKETS; i++)
		LIST_EACH (link, &s->buckets[i])
			free(LIST_ITEM(link, struct session, in_bucket));
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static void lose(struct session *e, const char *why)
{
	if (e->holder != NULL)
		e->lost(e->holder, why);
	e->holder = NULL;
}

static void describe(const struct session *e, bool is_new, struct session_state *out)
{
	*out = (struct session_state){e->acked, e->updated_ms, e->holder != NULL, is_new};
}

enum err sessions_attach(struct sessions *s, struct slice name, void *holder, session_lost_fn *lost, uint64_t start,
			 struct session_state *out)
{
	bool is_new;
	enum err err;
	pthread_mutex_lock(&s->lock);
	struct session *e = obtain(s, name, start, &is_new, &err);
	if (e != NULL) {
		lose(e, "the session was taken over by another connection");
		e->holder = holder;
		e->lost = lost;
		if (is_new)
			change(s, e);
		describe(e, is_new, out);
	}
	pthread_mutex_unlock(&s->lock);
	return err;
}

void sessions_detach(struct sessions *s, struct slice name, const void *holder)
{
	pthread_mutex_lock(&s->lock);
	struct session *e = find_any(s, name);
	if (e != NULL && e->holder == holder)
		e->holder = NULL;
	pthread_mutex_unlock(&s->lock);
}

enum err sessions_ack(struct sessions *s, struct slice name, const void *holder, uint64_t seq)
{
	pthread_mutex_lock(&s->lock);
	struct session *e = find(s, name);
	bool held = e != NULL && e->holder == holder;
	if (held && seq > e->acked) {
		e->acked = seq;
		change(s, e);
	}
	pthread_mutex_unlock(&s->lock);
	return held ? ERR_NONE : ERR_GONE;
}

enum err sessions_set(struct sessions *s, struct slice name, uint64_t acked)
{
	bool is_new;
	enum err err;
	pthread_mutex_lock(&s->lock);
	struct session *e = obtain(s, name, acked, &is_new, &err);
	if (e != NULL) {
		e->acked = acked;
		change(s, e);
	}
	pthread_mutex_unlock(&s->lock);
	return err;
}

bool sessions_delete(struct sessions *s, struct slice name)
{
	pthread_mutex_lock(&s->lock);
	struct session *e = find(s, name);
	if (e != NULL) {
		lose(e, "the session was deleted");
		e->deleted = true;
		change(s, e);
	}
	pthread_mutex_unlock(&s->lock);
	return e != NULL;
}

bool sessions_saved(struct sessions *s, struct slice name)
{
	pthread_mutex_lock(&s->lock);
	struct session *e = find_any(s, name);
	bool saved = e == NULL || e->state == CLEAN;
	pthread_mutex_unlock(&s->lock);
	return saved;
}

bool sessions_get(struct sessions *s, struct slice name, struct session_state *out)
{
	pthread_mutex_lock(&s->lock);
	struct session *e = find(s, name);
	if (e != NULL)
		describe(e, false, out);
	pthread_mutex_unlock(&s->lock);
	return e != NULL;
}

void sessions_each(struct sessions *s, session_each_fn *each, void *arg)
{
	pthread_mutex_lock(&s->lock);
	for (int i = 0; i < BUCKETS; i++)
		LIST_EACH (link, &s->buckets[i]) {
			struct session *e = LIST_ITEM(link, struct session, in_bucket);
			struct session_state state;
			describe(e, false, &state);
			if (!e->deleted)
				each(arg, name_of(e), &state);
		}
	pthread_mutex_unlock(&s->lock);
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
		err = e->deleted ? store_session_delete(store, name_of(e), fault)
				 : store_session_put(store, name_of(e), e->acked, e->updated_ms, fault);
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
		list_remove(&e->in_bucket);
		s->count--;
		free(e);
	}
	pthread_mutex_unlock(&s->lock);
}
