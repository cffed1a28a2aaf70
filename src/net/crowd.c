#include "net/crowd.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/hash.h"

enum { SLOTS = 4096 };

struct member {
	struct member *next;
	uint64_t peer;
	uint64_t count;
};

struct crowd {
	uint64_t max;
	pthread_mutex_t lock;
	struct member *slots[SLOTS];
};

struct crowd *crowd_create(uint64_t max)
{
	struct crowd *c = calloc(1, sizeof *c);
	if (c == NULL)
		return NULL;
	c->max = max;
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

void crowd_destroy(struct crowd *c)
{
	if (c == NULL)
		return;
	for (int i = 0; i < SLOTS; i++)
		while (c->slots[i] != NULL) {
			struct member *m = c->slots[i];
			c->slots[i] = m->next;
			free(m);
		}
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* Where the member is, or would be. */
static struct member **find(struct crowd *c, uint64_t peer)
{
	struct member **at = &c->slots[hash_bytes(&peer, sizeof peer) % SLOTS];
	while (*at != NULL && (*at)->peer != peer)
		at = &(*at)->next;
	return at;
}

bool crowd_enter(struct crowd *c, uint64_t peer)
{
	if (c->max == 0)
		return true;
	pthread_mutex_lock(&c->lock);
	struct member **at = find(c, peer);
	if (*at == NULL && (*at = calloc(1, sizeof **at)) != NULL)
		(*at)->peer = peer;
	bool enters = *at != NULL && (*at)->count < c->max;
	if (enters)
		(*at)->count++;
	pthread_mutex_unlock(&c->lock);
	return enters;
}

void crowd_leave(struct crowd *c, uint64_t peer)
{
	if (c->max == 0)
		return;
	pthread_mutex_lock(&c->lock);
	struct member **at = find(c, peer);
	struct member *m = *at;
	if (m != NULL && --m->count == 0) {
		*at = m->next;
		free(m);
	}
	pthread_mutex_unlock(&c->lock);
}
