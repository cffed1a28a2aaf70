#include "profiles/monitoring/leases/lease.h"

#include <ctype.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/data/hash.h"
#include "base/kind.h"
#include "base/system/clock.h"
#include "base/system/log.h"
#include "base/system/random.h"
#include "base/units.h"
#include "profiles/monitoring/leases/lease_internal.h"

static const int64_t EXPIRED_LONG_AGO = INT64_MIN / 2;

static const char *const scopes[] = {"global", "session", "conversation"};

struct lease_options lease_defaults(void)
{
	return (struct lease_options){
		.limits = {{"global", 24}, {"session", 8}, {"conversation", 1}, {"kimi", 6}, {"glm", 4}},
		.limit_count = 5,
		.leak_ms = 60 * 1000,
	};
}

bool lease_set_limit(struct lease_options *o, const char *text)
{
	const char *equals = strchr(text, '=');
	size_t len = equals != NULL ? (size_t)(equals - text) : 0;
	int64_t limit;
	if (len == 0 || len >= sizeof o->limits[0].name || !units_integer(slice_of(equals + 1), &limit) ||
	    limit > LEASES_MAX)
		return false;
	char name[sizeof o->limits[0].name] = "";
	for (size_t i = 0; i < len; i++) {
		name[i] = (char)tolower((unsigned char)text[i]);
		if (!isalnum((unsigned char)name[i]) && strchr("-_.", name[i]) == NULL)
			return false;
	}
	int at = 0;
	while (at < o->limit_count && strcmp(o->limits[at].name, name) != 0)
		at++;
	if (at == LEASE_NAMES_MAX)
		return false;
	snprintf(o->limits[at].name, sizeof name, "%s", name);
	o->limits[at].limit = (uint64_t)limit;
	o->limit_count = at == o->limit_count ? at + 1 : o->limit_count;
	return true;
}

static void drop(struct leases *l, struct lease *e)
{
	list_remove(&e->link);
	list_remove(&e->by_renewal);
	map_remove(&l->by_id, &e->by_id);
	l->used[e->provider]--;
	lease_quit_groups(l, e);
	free(e);
}

/* Restarts its time to live. */
static void renew(struct leases *l, struct lease *e)
{
	e->renewed_ms = clock_mono_ms();
	list_remove(&e->by_renewal);
	list_append(&l->by_renewal, &e->by_renewal);
}

/* Its release failed. An expired lease stays first in the order; a client that tried to release its lease is alive. */
static void put_back(struct leases *l, struct lease *e)
{
	if (clock_mono_ms() - e->renewed_ms < l->options.leak_ms) {
		renew(l, e);
		return;
	}
	list_remove(&e->by_renewal);
	list_append(l->by_renewal.next, &e->by_renewal);
}

/* Makes a lease, with texts copied into its own memory. NULL: no memory. */
static struct lease *make(struct leases *l, const struct lease_request *r, struct slice id, int provider)
{
	size_t size = r->holder.len + r->session.len + r->conversation.len;
	struct lease *e = calloc(1, sizeof *e + size);
	if (e == NULL)
		return NULL;
	char *at = e->texts;
	const struct slice from[] = {r->holder, r->session, r->conversation};
	struct slice *to[] = {&e->holder, &e->session, &e->conversation};
	for (int i = 0; i < 3; i++) {
		*to[i] = (struct slice){at, from[i].len};
		at = slice_copy(at, from[i]);
	}
	if (!lease_join_groups(l, e)) {
		lease_quit_groups(l, e);
		free(e);
		return NULL;
	}
	memcpy(e->id, id.p, LEASE_ID_LEN);
	e->provider = provider;
	e->number = ++l->numbers;
	l->used[provider]++;
	list_append(&l->all, &e->link);
	list_init(&e->by_renewal);
	renew(l, e);
	map_add(&l->by_id, hash_text(id), &e->by_id);
	return e;
}

/* --- limits --- */

/* The index of a name: LEASE_GLOBAL, or a provider's; -1: unknown. */
static int find_name(const struct leases *l, struct slice name)
{
	for (int i = 0; i < l->options.limit_count; i++) {
		const char *known = l->options.limits[i].name;
		bool scope = i == LEASE_SESSION || i == LEASE_CONVERSATION;
		if (!scope && name.len == strlen(known) && strncasecmp(name.p, known, name.len) == 0)
			return i;
	}
	return -1;
}

static uint64_t used(const struct leases *l, int scope, const struct lease_request *r)
{
	if (scope == LEASE_GLOBAL)
		return l->by_id.count;
	if (scope >= LEASE_PROVIDERS)
		return l->used[scope];
	const struct lease_group *g =
		lease_find_group(l, (enum lease_scope)scope, scope == LEASE_SESSION ? r->session : r->conversation);
	return g != NULL ? g->count : 0;
}

/* Checks one of the limits that apply to the request. */
static enum err check(struct leases *l, const struct lease_request *r, int scope, struct fault *fault)
{
	if (used(l, scope, r) < l->options.limits[scope].limit)
		return ERR_NONE;
	uint64_t limit = l->options.limits[scope].limit;
	const char *name = scope < LEASE_PROVIDERS ? scopes[scope] : l->options.limits[scope].name;
	if (limit <= 1)
		fault_set(fault, ERR_CONFLICT, "%s: %s", name,
			  limit == 1 ? "the only lease is taken" : "no leases are given");
	else
		fault_set(fault, ERR_CONFLICT, "%s: all %" PRIu64 " leases are taken", name, limit);
	return fault_kind(fault, ERR_CONFLICT, KIND_LEASES);
}

static enum err check_all(struct leases *l, const struct lease_request *r, int provider, struct fault *fault)
{
	enum err err = check(l, r, LEASE_GLOBAL, fault);
	if (!err && provider != LEASE_GLOBAL)
		err = check(l, r, provider, fault);
	if (!err && r->session.len > 0)
		err = check(l, r, LEASE_SESSION, fault);
	if (!err && r->conversation.len > 0)
		err = check(l, r, LEASE_CONVERSATION, fault);
	return err;
}

/* --- changes --- */

static enum err write_note(struct write_op *op, struct store *store, struct fault *fault)
{
	struct lease_change *c = (struct lease_change *)op;
	struct leases *l = c->leases;
	struct buf text;
	if (c->leaks) {
		pthread_mutex_lock(&l->lock);
		int64_t leaks = (int64_t)l->leaks;
		pthread_mutex_unlock(&l->lock);
		enum err failed = store_note_put(store, "leaks", slice_of("total"), leaks, slice_of("[]"), fault);
		if (failed)
			return failed;
	}
	if (c->releases)
		return store_note_delete(store, "lease", slice_of(c->id), fault);
	buf_init(&text);
	pthread_mutex_lock(&l->lock);
	struct lease *e = lease_find(l, slice_of(c->id));
	int64_t at = e->acquired_ms;
	lease_write_note(&text, l, e);
	pthread_mutex_unlock(&l->lock);
	enum err err = buf_failed(&text) ? fault_nomem(fault)
					 : store_note_put(store, "lease", slice_of(c->id), at, buf_slice(&text), fault);
	buf_finish(&text);
	return err;
}

/* The change is durable, or has failed. */
static void on_done(struct write_op *op)
{
	struct lease_change *c = (struct lease_change *)op;
	struct leases *l = c->leases;
	bool fine = op->err == ERR_NONE;
	pthread_mutex_lock(&l->lock);
	struct lease *e = lease_find(l, slice_of(c->id));
	if (fine && c->releases) {
		drop(l, e);
	} else {
		bool releasing = e->state == RELEASING;
		e->state = HELD;
		e->granted = e->granted || fine;
		/* A failed write may be in the file all the same, so the lease counts until its deletion is durable. */
		if (!e->granted)
			e->renewed_ms = EXPIRED_LONG_AGO;
		if (!e->granted || releasing)
			put_back(l, e);
	}
	pthread_mutex_unlock(&l->lock);
	c->done(c);
}

static enum err submit(struct leases *l, struct writer *w, struct lease_change *c, bool releases, struct fault *fault)
{
	c->leases = l;
	c->releases = releases;
	c->op.change = write_note;
	c->op.done = on_done;
	return writer_submit(w, &c->op, fault);
}

enum err leases_acquire(struct leases *l, struct writer *w, const struct lease_request *request, struct lease_change *change,
			struct fault *fault)
{
	int provider = find_name(l, request->name);
	if (provider < 0)
		return fault_set(fault, ERR_INVALID, "name: there is no semaphore %.*s (--lease-limit)",
				 (int)(request->name.len < 64 ? request->name.len : 64), request->name.p);
	pthread_mutex_lock(&l->lock);
	enum err err = check_all(l, request, provider, fault);
	random_hex(change->id, LEASE_ID_LEN / 2);
	struct lease *e = err ? NULL : make(l, request, slice_of(change->id), provider);
	if (!err && e == NULL)
		err = fault_nomem(fault);
	if (e != NULL) {
		e->state = TAKEN;
		e->acquired_ms = clock_wall_ms();
	}
	pthread_mutex_unlock(&l->lock);
	if (err)
		return err;
	err = submit(l, w, change, false, fault);
	if (err) {
		pthread_mutex_lock(&l->lock);
		drop(l, lease_find(l, slice_of(change->id)));
		pthread_mutex_unlock(&l->lock);
	}
	return err;
}

/* Finds a lease for its holder. Needs the lock. */
static enum err find_held(struct leases *l, struct slice id, struct slice holder, struct lease **out, struct fault *fault)
{
	struct lease *e = lease_find(l, id);
	*out = e;
	if (e == NULL || e->state != HELD || !e->granted)
		return fault_set(fault, ERR_NOT_FOUND, "there is no such lease: it was released or revoked");
	if (!slice_eq(e->holder, holder))
		return fault_set(fault, ERR_CONFLICT, "holder: another holder has the lease");
	return ERR_NONE;
}

enum err leases_release(struct leases *l, struct writer *w, struct slice id, struct slice holder,
			struct lease_change *change, struct fault *fault)
{
	struct lease *e;
	pthread_mutex_lock(&l->lock);
	enum err err = find_held(l, id, holder, &e, fault);
	if (!err) {
		e->state = RELEASING;
		list_remove(&e->by_renewal);
		memcpy(change->id, e->id, sizeof change->id);
	}
	pthread_mutex_unlock(&l->lock);
	if (err)
		return err;
	err = submit(l, w, change, true, fault);
	if (err) {
		pthread_mutex_lock(&l->lock);
		e->state = HELD; /* no other thread drops a lease that is being released */
		put_back(l, e);
		pthread_mutex_unlock(&l->lock);
	}
	return err;
}

enum err leases_renew(struct leases *l, struct slice id, struct slice holder, struct fault *fault)
{
	struct lease *e;
	pthread_mutex_lock(&l->lock);
	enum err err = find_held(l, id, holder, &e, fault);
	if (!err)
		renew(l, e);
	pthread_mutex_unlock(&l->lock);
	return err;
}

/* --- expiry --- */

static void on_reclaimed(struct lease_change *c)
{
	free(c);
}

/* The first expired lease; those that are still being stored are skipped. NULL: none. Needs the lock. */
static struct lease *first_leak(struct leases *l, int64_t now)
{
	LIST_EACH (link, &l->by_renewal) {
		struct lease *e = LIST_ITEM(link, struct lease, by_renewal);
		l->examined++;
		if (now - e->renewed_ms < l->options.leak_ms)
			return NULL;
		if (e->state == HELD)
			return e;
	}
	return NULL;
}

/* Begins to revoke an expired lease; `c`, `holder` and `provider` describe it for the log. False: there is none. */
static bool find_leak(struct leases *l, struct lease_change *c, char holder[LOG_TEXT_MAX], int *provider)
{
	int64_t now = clock_mono_ms();
	pthread_mutex_lock(&l->lock);
	struct lease *e = first_leak(l, now);
	if (e != NULL) {
		e->state = RELEASING;
		list_remove(&e->by_renewal);
		memcpy(c->id, e->id, sizeof c->id);
		c->leaks = e->granted;
		*provider = e->provider;
		log_quote(holder, e->holder);
	}
	if (e != NULL && e->granted) {
		l->leaks++;
		l->leaked_ms[e->provider] = l->leaked_ms[LEASE_GLOBAL] = now;
	}
	pthread_mutex_unlock(&l->lock);
	return e != NULL;
}

void leases_sweep(struct leases *l, struct writer *w)
{
	for (;;) {
		struct fault fault;
		char holder[LOG_TEXT_MAX];
		int provider;
		struct lease_change *c = calloc(1, sizeof *c);
		if (c == NULL || !find_leak(l, c, holder, &provider)) {
			free(c);
			return;
		}
		if (c->leaks)
			log_warn("lease revoked: its holder has not renewed it", "lease=%s name=%s holder=%s", c->id,
				 l->options.limits[provider].name, holder);
		c->done = on_reclaimed;
		if (submit(l, w, c, true, &fault) == ERR_NONE)
			continue;
		pthread_mutex_lock(&l->lock);
		struct lease *e = lease_find(l, slice_of(c->id));
		e->state = HELD; /* retried with the next sweep */
		put_back(l, e);
		l->leaks -= e->granted;
		pthread_mutex_unlock(&l->lock);
		free(c);
		return;
	}
}

/* --- life cycle --- */

static enum err load_lease(struct leases *l, struct slice key, int64_t at, struct doc note)
{
	struct lease_request r;
	bool fine = doc_get_text(doc_member(note, "name"), &r.name) && doc_get_text(doc_member(note, "holder"), &r.holder) &&
		    doc_get_text(doc_member(note, "session"), &r.session) &&
		    doc_get_text(doc_member(note, "conversation"), &r.conversation);
	if (!fine)
		return ERR_CORRUPT;
	int provider = find_name(l, r.name);
	struct lease *e = make(l, &r, key, provider < 0 ? LEASE_GLOBAL : provider); /* a name that has no limit any more */
	if (e == NULL)
		return ERR_NOMEM;
	e->state = HELD;
	e->granted = true;
	e->acquired_ms = at;
	return ERR_NONE;
}

static enum err on_note(void *arg, struct slice key, int64_t at, struct slice value)
{
	struct document d;
	if (key.len != LEASE_ID_LEN)
		return ERR_CORRUPT;
	enum err err = document_read(&d, value);
	err = err == ERR_INVALID ? ERR_CORRUPT : err;
	if (!err)
		err = load_lease(arg, key, at, document_root(&d));
	document_finish(&d);
	return err;
}

static enum err on_leaks(void *arg, struct slice key, int64_t at, struct slice value)
{
	struct leases *l = arg;
	(void)key;
	(void)value;
	l->leaks = (uint64_t)at;
	return ERR_NONE;
}

enum err leases_create(struct store *store, struct lease_options options, struct leases **out, struct fault *fault)
{
	*out = NULL;
	struct leases *l = calloc(1, sizeof *l);
	if (l == NULL)
		return fault_nomem(fault);
	pthread_mutex_init(&l->lock, NULL);
	list_init(&l->all);
	list_init(&l->by_renewal);
	map_init(&l->by_id);
	map_init(&l->groups);
	l->options = options;
	for (int i = 0; i < LEASE_NAMES_MAX; i++)
		l->leaked_ms[i] = EXPIRED_LONG_AGO;
	enum err err = store_note_each(store, "lease", on_note, l, fault);
	if (!err)
		err = store_note_each(store, "leaks", on_leaks, l, fault);
	if (err) {
		leases_destroy(l);
		return err;
	}
	*out = l;
	return ERR_NONE;
}

void leases_destroy(struct leases *l)
{
	if (l == NULL)
		return;
	LIST_EACH (link, &l->all)
		drop(l, LIST_ITEM(link, struct lease, link));
	map_finish(&l->by_id, NULL);
	map_finish(&l->groups, NULL);
	pthread_mutex_destroy(&l->lock);
	free(l);
}
