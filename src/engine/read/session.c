#include "engine/read/session.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/data/hash.h"
#include "base/data/map.h"
#include "base/list.h"
#include "base/system/clock.h"
#include "engine/read/session_internal.h"

struct slice session_name(const struct session *e)
{
	return (struct slice){e->name, e->name_len};
}

struct session *session_find_any(struct sessions *s, struct slice name)
{
	MAP_EACH(link, &s->by_name, hash_text(name))
	{
		struct session *e = MAP_ITEM(link, struct session, by_name);
		if (slice_eq(session_name(e), name))
			return e;
	}
	return NULL;
}

struct session *session_find(struct sessions *s, struct slice name)
{
	struct session *e = session_find_any(s, name);
	return e != NULL && !e->deleted ? e : NULL;
}

static void change(struct sessions *s, struct session *e)
{
	assert((e->state == CLEAN) == list_empty(&e->in_changed));
	e->updated_ms = clock_wall_ms();
	e->used_ms = clock_boot_ms();
	if (e->state == CLEAN)
		list_append(&s->changed, &e->in_changed);
	e->state = DIRTY;
}

static void set_acked(struct sessions *s, struct session *e, uint64_t acked)
{
	e->acked = acked;
	e->at = (struct position){.after = acked};
	snprintf(e->at.epoch, sizeof e->at.epoch, "%s", store_epoch(s->store));
}

/* A session that is stored already cannot be refused. */
static enum err take(struct sessions *s, enum quota kind, uint64_t client, uint64_t amount, bool stored, struct fault *fault)
{
	if (!stored)
		return quota_take(s->quotas, kind, client, amount, fault);
	quota_charge(s->quotas, kind, client, amount);
	return ERR_NONE;
}

/* Finds the session or makes one at `start`; a deleted one starts over. */
static enum err obtain(struct sessions *s, const struct session_claim *claim, bool stored, bool *is_new,
		       struct session **out, struct fault *fault)
{
	struct slice name = claim->name;
	struct session *e = session_find_any(s, name);
	*is_new = e == NULL || e->deleted;
	*out = e;
	if (!*is_new)
		return ERR_NONE;
	enum err err = take(s, QUOTA_SESSIONS, claim->client, 1, stored, fault);
	if (err)
		return err;
	if (e == NULL) {
		*out = e = calloc(1, sizeof *e + name.len + 1);
		if (e == NULL) {
			quota_give(s->quotas, QUOTA_SESSIONS, claim->client, 1);
			return fault_nomem(fault);
		}
		e->name_len = name.len;
		slice_copy(e->name, name);
		list_init(&e->in_changed);
		list_append(&s->all, &e->in_all);
		map_add(&s->by_name, hash_text(name), &e->by_name);
		s->count++;
	}
	e->client = claim->client;
	e->deleted = e->moved = false;
	set_acked(s, e, claim->start);
	e->sent = UINT64_MAX;
	e->counted = (struct lag_count){0};
	return ERR_NONE;
}

static size_t filter_len(const struct session *e)
{
	return e->filter != NULL ? strlen(e->filter) : 0;
}

/* Deletes the session in memory; it stays in the lists until the deletion is written. */
static void mark_deleted(struct sessions *s, struct session *e)
{
	assert(!e->deleted);
	quota_give(s->quotas, QUOTA_FILTERS, e->client, filter_len(e));
	quota_give(s->quotas, QUOTA_SESSIONS, e->client, 1);
	free(e->filter);
	e->filter = NULL;
	e->deleted = true;
}

bool session_has_filter(const struct session *e, struct slice text)
{
	return slice_eq((struct slice){e->filter != NULL ? e->filter : "", filter_len(e)}, text);
}

/* Sets the filter; `text` is copied. */
static enum err set_filter(struct sessions *s, struct session *e, struct slice text, struct fault *fault)
{
	enum err err = take(s, QUOTA_FILTERS, e->client, text.len, s->loading, fault);
	if (err)
		return err;
	char *copy = text.len > 0 ? strndup(text.p, text.len) : NULL;
	if (text.len > 0 && copy == NULL) {
		quota_give(s->quotas, QUOTA_FILTERS, e->client, text.len);
		return fault_nomem(fault);
	}
	quota_give(s->quotas, QUOTA_FILTERS, e->client, filter_len(e));
	free(e->filter);
	e->filter = copy;
	e->counted = (struct lag_count){0};
	return ERR_NONE;
}

/* Events past the end of the line that was acknowledged on were never in this store. */
static void clamp(struct sessions *s, struct session *e, struct slice epoch)
{
	uint64_t end = UINT64_MAX;
	if (epoch.len != LINE_EPOCH_LEN)
		return;
	snprintf(e->at.epoch, sizeof e->at.epoch, "%.*s", LINE_EPOCH_LEN, epoch.p);
	if (store_line_end(s->store, e->at.epoch, &end) && e->acked > end)
		e->acked = end;
}

static enum err on_load(void *arg, const struct stored_session *stored)
{
	struct sessions *s = arg;
	struct session_claim claim = {.name = stored->name, .start = stored->acked};
	bool is_new;
	struct session *e;
	enum err err = obtain(s, &claim, true, &is_new, &e, NULL);
	if (err)
		return err;
	int64_t idle_ms = clock_wall_ms() - stored->updated_ms;
	e->updated_ms = stored->updated_ms;
	e->used_ms = clock_boot_ms() - (idle_ms > 0 ? idle_ms : 0);
	clamp(s, e, stored->epoch);
	return set_filter(s, e, stored->filter, NULL);
}

enum err sessions_create(struct store *store, struct quotas *quotas, struct sessions **out, struct fault *fault)
{
	struct sessions *s = calloc(1, sizeof *s);
	*out = NULL;
	if (s == NULL)
		return fault_nomem(fault);
	pthread_mutex_init(&s->lock, NULL);
	s->store = store;
	s->quotas = quotas;
	list_init(&s->changed);
	list_init(&s->all);
	map_init(&s->by_name);
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

void session_free(struct sessions *s, struct session *e)
{
	if (!e->deleted)
		mark_deleted(s, e);
	free(e);
}

void sessions_destroy(struct sessions *s)
{
	if (s == NULL)
		return;
	LIST_EACH (link, &s->all)
		session_free(s, LIST_ITEM(link, struct session, in_all));
	map_finish(&s->by_name, NULL);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* Detaches the session's reader, and returns it; NULL: there was none. */
static struct session_reader *release(struct session *e)
{
	struct session_reader *r = e->reader;
	assert(!e->moved || r != NULL);
	if (r != NULL)
		e->sent = atomic_load(&r->sent);
	e->reader = NULL;
	e->moved = false;
	return r;
}

static void lose(struct session *e, enum session_news why)
{
	struct session_reader *r = release(e);
	if (r != NULL)
		r->on_news(r, why);
}

static void describe(const struct session *e, bool is_new, struct session_state *out)
{
	*out = (struct session_state){e->acked, e->at, e->updated_ms, e->reader != NULL, is_new};
}

enum err sessions_attach(struct sessions *s, const struct session_claim *claim, struct session_state *out,
			 struct fault *fault)
{
	bool is_new;
	struct session *e;
	struct buf text;
	buf_init(&text);
	filter_write(&text, claim->filter);
	if (buf_failed(&text)) {
		buf_finish(&text);
		return fault_nomem(fault);
	}
	pthread_mutex_lock(&s->lock);
	enum err err = obtain(s, claim, false, &is_new, &e, fault);
	bool changes = !err && (is_new || !session_has_filter(e, buf_slice(&text)));
	if (changes && (err = set_filter(s, e, buf_slice(&text), fault)) != ERR_NONE && is_new)
		mark_deleted(s, e); /* the new session is dropped again */
	if (changes)
		change(s, e);
	if (!err) {
		lose(e, SESSION_TAKEN);
		e->reader = claim->reader;
		e->used_ms = clock_boot_ms();
		describe(e, is_new, out);
	}
	pthread_mutex_unlock(&s->lock);
	buf_finish(&text);
	return err;
}

/* The session of a name that `r` holds; NULL. */
static struct session *held_by(struct sessions *s, struct slice name, const struct session_reader *r)
{
	struct session *e = session_find(s, name);
	return e != NULL && e->reader == r ? e : NULL;
}

void sessions_detach(struct sessions *s, struct slice name, struct session_reader *r)
{
	pthread_mutex_lock(&s->lock);
	struct session *e = held_by(s, name, r);
	if (e != NULL) {
		release(e);
		e->used_ms = clock_boot_ms();
	}
	pthread_mutex_unlock(&s->lock);
}

bool sessions_take_move(struct sessions *s, struct slice name, struct session_reader *r, uint64_t *after)
{
	pthread_mutex_lock(&s->lock);
	struct session *e = held_by(s, name, r);
	bool moved = e != NULL && e->moved;
	if (moved) {
		e->moved = false;
		*after = e->acked;
		atomic_store(&r->sent, e->acked);
	}
	pthread_mutex_unlock(&s->lock);
	return moved;
}

enum err sessions_ack(struct sessions *s, struct slice name, const struct session_reader *r, uint64_t seq, uint64_t *sent)
{
	enum err err = ERR_NONE;
	pthread_mutex_lock(&s->lock);
	struct session *e = r != NULL ? held_by(s, name, r) : session_find(s, name);
	*sent = e == NULL ? 0 : e->reader != NULL ? atomic_load(&e->reader->sent) : e->sent;
	if (e == NULL)
		err = r != NULL ? ERR_GONE : ERR_NOT_FOUND;
	else if (seq > e->acked && seq > *sent)
		err = ERR_INVALID;
	else if (seq > e->acked && !e->moved) {
		set_acked(s, e, seq);
		change(s, e);
	}
	pthread_mutex_unlock(&s->lock);
	return err;
}

enum err sessions_check(struct sessions *s, struct slice name, uint64_t client, struct fault *fault)
{
	pthread_mutex_lock(&s->lock);
	bool fits = session_find_any(s, name) != NULL || quota_room(s->quotas, QUOTA_SESSIONS, client) > 0;
	pthread_mutex_unlock(&s->lock);
	return fits ? ERR_NONE : quota_refuse(s->quotas, QUOTA_SESSIONS, client, fault);
}

enum err sessions_set(struct sessions *s, struct slice name, uint64_t client, uint64_t acked)
{
	struct session_claim claim = {.name = name, .client = client, .start = acked};
	bool is_new;
	struct session *e;
	pthread_mutex_lock(&s->lock);
	enum err err = obtain(s, &claim, true, &is_new, &e, NULL);
	if (!err) {
		set_acked(s, e, acked);
		e->sent = UINT64_MAX;
		change(s, e);
		e->moved = e->reader != NULL;
		if (e->moved)
			e->reader->on_news(e->reader, SESSION_MOVED);
	}
	pthread_mutex_unlock(&s->lock);
	return err;
}

static void delete (struct sessions *s, struct session *e)
{
	lose(e, SESSION_DELETED);
	mark_deleted(s, e);
	change(s, e);
}

bool sessions_delete(struct sessions *s, struct slice name)
{
	pthread_mutex_lock(&s->lock);
	struct session *e = session_find(s, name);
	if (e != NULL)
		delete (s, e);
	pthread_mutex_unlock(&s->lock);
	return e != NULL;
}

void sessions_forgive(struct sessions *s, int64_t ms)
{
	int64_t now = clock_boot_ms();
	pthread_mutex_lock(&s->lock);
	LIST_EACH (link, &s->all) {
		struct session *e = LIST_ITEM(link, struct session, in_all);
		e->used_ms = e->used_ms + ms < now ? e->used_ms + ms : now;
	}
	pthread_mutex_unlock(&s->lock);
}

uint64_t sessions_expire(struct sessions *s, int64_t idle_ms)
{
	uint64_t count = 0;
	int64_t before_ms = clock_boot_ms() - idle_ms;
	pthread_mutex_lock(&s->lock);
	LIST_EACH (link, &s->all) {
		struct session *e = LIST_ITEM(link, struct session, in_all);
		if (e->deleted || e->reader != NULL || e->used_ms >= before_ms)
			continue;
		delete (s, e);
		count++;
	}
	pthread_mutex_unlock(&s->lock);
	return count;
}

uint64_t sessions_count(struct sessions *s)
{
	pthread_mutex_lock(&s->lock);
	uint64_t count = s->count;
	pthread_mutex_unlock(&s->lock);
	return count;
}

bool sessions_get(struct sessions *s, struct slice name, struct session_state *out)
{
	pthread_mutex_lock(&s->lock);
	struct session *e = session_find(s, name);
	if (e != NULL)
		describe(e, false, out);
	pthread_mutex_unlock(&s->lock);
	return e != NULL;
}

void sessions_each(struct sessions *s, session_each_fn *each, void *arg)
{
	pthread_mutex_lock(&s->lock);
	LIST_EACH (link, &s->all) {
		struct session *e = LIST_ITEM(link, struct session, in_all);
		struct session_state state;
		describe(e, false, &state);
		if (!e->deleted)
			each(arg, session_name(e), &state);
	}
	pthread_mutex_unlock(&s->lock);
}
