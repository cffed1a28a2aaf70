#include "server/access/rate.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/data/hash.h"
#include "base/data/map.h"
#include "base/list.h"
#include "base/system/clock.h"

enum { CLIENTS_MAX = 10000 };

struct bucket {
	double level; /* events; negative: debt */
	int64_t at_ms;
};

struct ws_client {
	struct list by_use; /* longest unused first */
	struct map_link by_key;
	uint64_t key;
	struct bucket bucket;
};

struct rates {
	double all_rate;
	double client_rate;
	pthread_mutex_t lock;
	struct bucket all;
	struct map by_key;
	struct list by_use;
	uint64_t refused;
};

struct rates *rates_create(int64_t all, int64_t client)
{
	struct rates *r = calloc(1, sizeof *r);
	if (r == NULL)
		return NULL;
	r->all_rate = (double)all;
	r->client_rate = (double)client;
	r->all = (struct bucket){r->all_rate, clock_mono_ms()};
	pthread_mutex_init(&r->lock, NULL);
	list_init(&r->by_use);
	map_init(&r->by_key);
	return r;
}

void rates_destroy(struct rates *r)
{
	if (r == NULL)
		return;
	LIST_EACH (link, &r->by_use)
		free(LIST_ITEM(link, struct ws_client, by_use));
	map_finish(&r->by_key, NULL);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static struct ws_client *find(struct rates *r, uint64_t key)
{
	MAP_EACH(link, &r->by_key, hash_number(key))
	{
		struct ws_client *c = MAP_ITEM(link, struct ws_client, by_key);
		if (c->key == key)
			return c;
	}
	return NULL;
}

static void forget_oldest(struct rates *r)
{
	struct ws_client *c = LIST_ITEM(r->by_use.next, struct ws_client, by_use);
	map_remove(&r->by_key, &c->by_key);
	list_remove(&c->by_use);
	free(c);
}

/* The bucket of a client. NULL: no memory; then only the total limit applies. */
static struct bucket *bucket_of(struct rates *r, uint64_t key, int64_t now)
{
	struct ws_client *c = find(r, key);
	if (c == NULL) {
		if (r->by_key.count == CLIENTS_MAX)
			forget_oldest(r);
		c = calloc(1, sizeof *c);
		if (c == NULL)
			return NULL;
		c->key = key;
		c->bucket = (struct bucket){r->client_rate, now};
		list_init(&c->by_use);
		map_add(&r->by_key, hash_number(key), &c->by_key);
	}
	list_remove(&c->by_use);
	list_append(&r->by_use, &c->by_use);
	return &c->bucket;
}

/* Refills the bucket up to now. Returns the seconds until events can be taken. */
static double fill(struct bucket *b, double rate, int64_t now)
{
	b->level += (double)(now - b->at_ms) / 1000 * rate;
	b->level = b->level < rate ? b->level : rate;
	b->at_ms = now;
	return b->level > 0 ? 0 : (1 - b->level) / rate;
}

enum err rates_take(struct rates *r, uint64_t client, size_t events, int *retry_s, struct fault *fault)
{
	*retry_s = 0;
	if (r->all_rate == 0 && r->client_rate == 0)
		return ERR_NONE;
	int64_t now = clock_mono_ms();
	pthread_mutex_lock(&r->lock);
	struct bucket *own = r->client_rate > 0 ? bucket_of(r, client, now) : NULL;
	double own_s = own != NULL ? fill(own, r->client_rate, now) : 0;
	double all_s = r->all_rate > 0 ? fill(&r->all, r->all_rate, now) : 0;
	bool fine = own_s == 0 && all_s == 0;
	if (fine && own != NULL)
		own->level -= (double)events;
	if (fine)
		r->all.level -= (double)events;
	r->refused += !fine;
	pthread_mutex_unlock(&r->lock);
	if (fine)
		return ERR_NONE;
	double wait = own_s > all_s ? own_s : all_s;
	*retry_s = wait < 3600 ? (int)wait + 1 : 3600;
	return fault_set(fault, ERR_RATE, "%s: try again in %d s",
			 own_s > 0 ? "this client exceeds its publish rate (--rate-limit-client)"
				   : "the total publish rate is exceeded (--rate-limit)",
			 *retry_s);
}

uint64_t rates_refused(struct rates *r)
{
	pthread_mutex_lock(&r->lock);
	uint64_t refused = r->refused;
	pthread_mutex_unlock(&r->lock);
	return refused;
}
