#include "net/crowd.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/map.h"

struct member {
	struct map_link link;
	uint64_t peer;
	uint64_t count;
};

struct crowd {
	uint64_t max;
	pthread_mutex_t lock;
	struct map members;
};

struct crowd *crowd_create(uint64_t max)
{
	struct crowd *c = calloc(1, sizeof *c);
	if (c == NULL)
		return NULL;
	c->max = max;
	pthread_mutex_init(&c->lock, NULL);
	map_init(&c->members);
	return c;
}

static void free_member(struct map_link *link)
{
	free(MAP_ITEM(link, struct member, link));
}

void crowd_destroy(struct crowd *c)
{
	if (c == NULL)
		return;
	map_finish(&c->members, free_member);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static struct member *find(struct crowd *c, uint64_t peer)
{
	MAP_EACH(link, &c->members, hash_number(peer))
	{
		struct member *m = MAP_ITEM(link, struct member, link);
		if (m->peer == peer)
			return m;
	}
	return NULL;
}

static struct member *obtain(struct crowd *c, uint64_t peer)
{
	struct member *m = find(c, peer);
	if (m != NULL || (m = calloc(1, sizeof *m)) == NULL)
		return m;
	m->peer = peer;
	map_add(&c->members, hash_number(peer), &m->link);
	return m;
}

bool crowd_enter(struct crowd *c, uint64_t peer)
{
	if (c->max == 0 || peer == 0)
		return true;
	pthread_mutex_lock(&c->lock);
	struct member *m = obtain(c, peer);
	bool enters = m != NULL && m->count < c->max;
	if (enters)
		m->count++;
	pthread_mutex_unlock(&c->lock);
	return enters;
}

void crowd_leave(struct crowd *c, uint64_t peer)
{
	if (c->max == 0 || peer == 0)
		return;
	pthread_mutex_lock(&c->lock);
	struct member *m = find(c, peer);
	if (m != NULL && --m->count == 0) {
		map_remove(&c->members, &m->link);
		free(m);
	}
	pthread_mutex_unlock(&c->lock);
}
