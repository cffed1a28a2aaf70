#include "engine/work/quota.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/data/hash.h"
#include "base/data/map.h"
#include "base/kind.h"
#include "base/system/clock.h"

enum {
	WANTED_MS = 10000,   /* a client that was refused retries within this time (Retry-After) */
	KEPT = 256,          /* clients that hold nothing but are remembered */
	LITTLE_SHARE = 1024, /* a client that holds at most 1/1024 of all counts as holding nothing */
};

struct member {
	struct map_link link;
	uint64_t client;
	uint64_t held;
};

struct usage {
	struct quota_limit limit;
	pthread_mutex_t lock; /* guards what follows */
	uint64_t held;        /* by all */
	struct map members;   /* clients that hold something, and up to KEPT others */
	uint64_t waiting;
	uint64_t refused_share;
	uint64_t refused_all;
	int64_t refused_ms; /* monotonic: the last time; 0: never */
};

struct quotas {
	struct usage usages[QUOTAS];
};

/* What users read of each kind. */
static const struct {
	const char *name;
	const char *share; /* the client has as much as it may */
	const char *all;   /* nothing is left */
	const char *full;  /* the kind of problem of the latter; NULL: the one of its code */
} texts[QUOTAS] = {
	[QUOTA_CONNECTIONS] = {"connections",
			       "there are too many connections from this address (see --max-connections-per-address)",
			       "there are too many connections (see --max-connections)", NULL},
	[QUOTA_REQUESTS] = {"requests",
			    "as many requests of this client as it may have are under way (see --max-connections)",
			    "as many requests as there may be are under way (see --max-connections)", NULL},
	[QUOTA_LONG_REQUESTS] =
		{"long_requests",
		 "this client has as many WebSockets, event streams and long polls as it may (see --max-connections)",
		 "there are as many WebSockets, event streams and long polls as there may be (see --max-connections)", NULL},
	[QUOTA_SEARCHES] =
		{"searches",
		 "as many requests of this client as it may have are looking through much of the log: wait for one, "
		 "or ask for a part of it (after, before, since, until)",
		 "as many requests as there may be are looking through much of the log: wait for one", NULL},
	[QUOTA_UPLOADS] = {"uploads", "too many requests of this client are on their way in",
			   "too many requests are on their way in", KIND_UPLOADS_FULL},
	[QUOTA_SMALL_UPLOADS] = {"small_uploads", "too many requests of this client are on their way in",
				 "too many requests are on their way in", KIND_UPLOADS_FULL},
	[QUOTA_QUEUE_EVENTS] = {"queue_events", "too many events of this client wait to be stored (see --queue-events)",
				"the publish queue is full", KIND_QUEUE_FULL},
	[QUOTA_QUEUE_BYTES] = {"queue_bytes", "too much of this client waits to be stored (see --queue-bytes)",
			       "the publish queue is full", KIND_QUEUE_FULL},
	[QUOTA_REPLIES] = {"replies", "too many answers wait to be read by this client (see --reply-memory)",
			   "too many answers wait to be read (see --reply-memory)", KIND_ANSWERS_FULL},
	[QUOTA_SMALL_REPLIES] = {"small_replies", "too many answers wait to be read by this client (see --reply-memory)",
				 "too many answers wait to be read (see --reply-memory)", KIND_ANSWERS_FULL},
	[QUOTA_ACKS] = {"acks", "too many answers wait to be read by this publisher (see --ack-memory)",
			"too many answers wait to be read by publishers (see --ack-memory)", KIND_ANSWERS_FULL},
	[QUOTA_EXPORTS] = {"exports", "as many exports as it may have are being sent to this client: wait for one",
			   "as many exports as there may be are being sent: wait for one", NULL},
	[QUOTA_SLOW_EXPORTS] =
		{"slow_exports",
		 "as many exports above the default level as it may have are being sent to this client: wait "
		 "for one, or leave `level` out",
		 "as many exports above the default level as there may be are being sent: wait for one, or leave "
		 "`level` out",
		 NULL},
	[QUOTA_SESSIONS] = {"sessions", "this client has made as many sessions as it may (see --max-sessions-per-client)",
			    "there are too many sessions", NULL},
	[QUOTA_FILTERS] = {"filters", "the filters of this client's sessions are too long",
			   "the filters of all sessions are too long", NULL},
	[QUOTA_CONDITIONS] = {"conditions", "this client's readers have as many conditions (where) as they may",
			      "all readers together have too many conditions (where)", NULL},
	[QUOTA_TOPICS] = {"topics",
			  "this client has begun as many streams and types as it may (see --max-topics-per-client)",
			  "there are too many streams and types", NULL},
};

struct quotas *quotas_create(const struct quota_limit limits[QUOTAS])
{
	struct quotas *q = calloc(1, sizeof *q);
	for (int i = 0; q != NULL && i < QUOTAS; i++) {
		q->usages[i].limit = limits[i];
		pthread_mutex_init(&q->usages[i].lock, NULL);
		map_init(&q->usages[i].members);
	}
	return q;
}

static void free_member(struct map_link *link)
{
	free(MAP_ITEM(link, struct member, link));
}

void quotas_destroy(struct quotas *q)
{
	for (int i = 0; q != NULL && i < QUOTAS; i++) {
		map_finish(&q->usages[i].members, free_member);
		pthread_mutex_destroy(&q->usages[i].lock);
	}
	free(q);
}

/* NULL: nothing of the kind is counted. */
static struct usage *usage_of(struct quotas *q, enum quota kind)
{
	return q != NULL && q->usages[kind].limit.all != 0 ? &q->usages[kind] : NULL;
}

static struct member *find(const struct usage *p, uint64_t client)
{
	if (client == 0)
		return NULL;
	MAP_EACH(link, &p->members, hash_number(client))
	{
		struct member *m = MAP_ITEM(link, struct member, link);
		if (m->client == client)
			return m;
	}
	return NULL;
}

/* The member of a client, made where there is none. NULL: client 0, or no memory; then it counts in the total only. */
static struct member *obtain(struct usage *p, uint64_t client)
{
	struct member *m = find(p, client);
	if (m != NULL || client == 0 || (m = calloc(1, sizeof *m)) == NULL)
		return m;
	m->client = client;
	map_add(&p->members, hash_number(client), &m->link);
	return m;
}

static void add(struct usage *p, struct member *m, uint64_t amount)
{
	p->held += amount;
	if (m != NULL)
		m->held += amount;
}

/* Up to KEPT members that hold nothing stay, since the same clients come again. */
static void forget(struct usage *p, struct member *m)
{
	if (m == NULL || m->held > 0 || p->members.count <= KEPT)
		return;
	map_remove(&p->members, &m->link);
	free(m);
}

static void subtract(struct usage *p, struct member *m, uint64_t amount)
{
	assert(p->held >= amount);
	p->held -= amount;
	if (m != NULL)
		m->held -= m->held < amount ? m->held : amount;
	forget(p, m);
}

static uint64_t free_of(const struct usage *p)
{
	return p->held < p->limit.all ? p->limit.all - p->held : 0;
}

/* What the client may still take, by its own limit. A client that holds next to nothing else may have all that is free.
 * `own`: the part of what it holds that belongs to the hold which is to grow. */
static uint64_t share_left(const struct usage *p, const struct member *m, uint64_t own)
{
	uint64_t held = m != NULL ? m->held : 0;
	uint64_t left = free_of(p);
	if (p->limit.client != 0)
		return held < p->limit.client ? p->limit.client - held : 0;
	if ((held > own ? held - own : 0) <= p->limit.all / LITTLE_SHARE)
		return UINT64_MAX;
	uint64_t times = p->limit.times > 0 ? p->limit.times : 1;
	return held < times * left ? (times * left - held + times) / (times + 1) : 0;
}

static enum err refuse(struct usage *p, bool share)
{
	if (share)
		p->refused_share++;
	else
		p->refused_all++;
	p->refused_ms = clock_mono_ms();
	return share ? ERR_RATE : ERR_BUSY;
}

/* `amount` more for a hold of `own`; `early`: others are about to give some back. */
struct taking {
	uint64_t own;
	uint64_t amount;
	bool early;
};

static enum err check(struct usage *p, const struct member *m, struct taking t)
{
	if (p->held == t.own && (p->limit.client == 0 || t.amount <= p->limit.client))
		return ERR_NONE;
	bool share = t.amount > share_left(p, m, t.own);
	return share || (t.amount > free_of(p) && !t.early) ? refuse(p, share) : ERR_NONE;
}

static enum err explain(enum quota kind, enum err err, struct fault *fault)
{
	if (err == ERR_NONE)
		return err;
	fault_set(fault, err, "%s", err == ERR_RATE ? texts[kind].share : texts[kind].all);
	return fault_kind(fault, err, err == ERR_RATE ? KIND_SHARE : texts[kind].full);
}

static enum err take(struct quotas *q, enum quota kind, uint64_t client, struct taking t, struct fault *fault)
{
	struct usage *p = usage_of(q, kind);
	if (p == NULL || t.amount == 0)
		return ERR_NONE;
	pthread_mutex_lock(&p->lock);
	struct member *m = obtain(p, client);
	enum err err = check(p, m, t);
	if (!err)
		add(p, m, t.amount);
	else
		forget(p, m);
	pthread_mutex_unlock(&p->lock);
	return explain(kind, err, fault);
}

enum err quota_take(struct quotas *q, enum quota kind, uint64_t client, uint64_t amount, struct fault *fault)
{
	return take(q, kind, client, (struct taking){.amount = amount}, fault);
}

enum err quota_take_early(struct quotas *q, enum quota kind, uint64_t client, uint64_t amount, struct fault *fault)
{
	return take(q, kind, client, (struct taking){.amount = amount, .early = true}, fault);
}

void quota_charge(struct quotas *q, enum quota kind, uint64_t client, uint64_t amount)
{
	struct usage *p = usage_of(q, kind);
	if (p == NULL || amount == 0)
		return;
	pthread_mutex_lock(&p->lock);
	add(p, obtain(p, client), amount);
	pthread_mutex_unlock(&p->lock);
}

void quota_give(struct quotas *q, enum quota kind, uint64_t client, uint64_t amount)
{
	struct usage *p = usage_of(q, kind);
	if (p == NULL || amount == 0)
		return;
	pthread_mutex_lock(&p->lock);
	subtract(p, find(p, client), amount);
	pthread_mutex_unlock(&p->lock);
}

enum err quota_hold(struct quota_hold *h, enum quota kind, uint64_t amount, struct fault *fault)
{
	bool same = kind == h->kind;
	enum err err = ERR_NONE;
	if (!same || amount > h->amount)
		err = take(h->quotas, kind, h->client,
			   (struct taking){.own = same ? h->amount : 0, .amount = same ? amount - h->amount : amount},
			   fault);
	if (err)
		return err;
	if (!same || amount < h->amount)
		quota_give(h->quotas, h->kind, h->client, same ? h->amount - amount : h->amount);
	h->kind = kind;
	h->amount = amount;
	return ERR_NONE;
}

enum err quota_hold_upload(struct quota_hold *h, uint64_t bytes, struct fault *fault)
{
	return quota_hold(h, bytes <= QUOTA_SMALL_UPLOAD ? QUOTA_SMALL_UPLOADS : QUOTA_UPLOADS, bytes, fault);
}

uint64_t quota_room(struct quotas *q, enum quota kind, uint64_t client)
{
	struct usage *p = usage_of(q, kind);
	if (p == NULL)
		return UINT64_MAX;
	pthread_mutex_lock(&p->lock);
	uint64_t left = free_of(p);
	uint64_t share = share_left(p, find(p, client), 0);
	pthread_mutex_unlock(&p->lock);
	return share < left ? share : left;
}

enum err quota_refuse(struct quotas *q, enum quota kind, uint64_t client, struct fault *fault)
{
	struct usage *p = &q->usages[kind];
	pthread_mutex_lock(&p->lock);
	enum err err = refuse(p, share_left(p, find(p, client), 0) == 0);
	pthread_mutex_unlock(&p->lock);
	return explain(kind, err, fault);
}

static void change_waiting(struct quotas *q, enum quota kind, bool more)
{
	struct usage *p = usage_of(q, kind);
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	assert(more || p->waiting > 0);
	p->waiting += more ? 1 : -1;
	pthread_mutex_unlock(&p->lock);
}

void quota_wait(struct quotas *q, enum quota kind)
{
	change_waiting(q, kind, true);
}

void quota_wait_end(struct quotas *q, enum quota kind)
{
	change_waiting(q, kind, false);
}

bool quota_is_wanted(struct quotas *q, enum quota kind)
{
	struct usage *p = usage_of(q, kind);
	if (p == NULL)
		return false;
	pthread_mutex_lock(&p->lock);
	bool wanted = p->waiting > 0 || (p->refused_ms != 0 && clock_mono_ms() - p->refused_ms < WANTED_MS);
	pthread_mutex_unlock(&p->lock);
	return wanted;
}

struct quota_figures quota_read(struct quotas *q, enum quota kind)
{
	struct usage *p = usage_of(q, kind);
	if (p == NULL)
		return (struct quota_figures){.name = texts[kind].name};
	pthread_mutex_lock(&p->lock);
	struct quota_figures f = {texts[kind].name, p->held, p->limit.all, p->refused_share, p->refused_all};
	pthread_mutex_unlock(&p->lock);
	return f;
}
