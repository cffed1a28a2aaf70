#include "base/data/rcu.h"

unsigned rcu_enter(struct rcu *g)
{
	for (;;) {
		unsigned turn = atomic_load(&g->turn);
		atomic_fetch_add(&g->inside[turn % 2], 1);
		if (atomic_load(&g->turn) == turn)
			return turn % 2;
		atomic_fetch_sub(&g->inside[turn % 2], 1); /* the turn has changed before we were counted */
	}
}

void rcu_leave(struct rcu *g, unsigned entered)
{
	atomic_fetch_sub(&g->inside[entered], 1);
}

void rcu_retire(struct rcu *g, void *item, size_t size)
{
	struct rcu_link *link = item;
	link->size = size;
	link->next = g->now;
	g->now = link;
}

/* What was retired in the turn before may be with readers that entered in that turn, and with no others: a turn ends only
 * when those of the one before it have left. */
void rcu_free(struct rcu *g, void (*free_item)(void *arg, void *item, size_t size), void *arg)
{
	while (g->now != NULL || g->before != NULL) {
		unsigned turn = atomic_load(&g->turn);
		if (atomic_load(&g->inside[(turn + 1) % 2]) > 0)
			return;
		for (struct rcu_link *link = g->before, *next; link != NULL; link = next) {
			next = link->next;
			free_item(arg, link, link->size);
		}
		g->before = g->now;
		g->now = NULL;
		atomic_store(&g->turn, turn + 1);
	}
}
