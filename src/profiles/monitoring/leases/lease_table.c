/* Finding leases, and counting those of a session or a conversation. */
#include "profiles/monitoring/leases/lease.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/data/hash.h"
#include "profiles/monitoring/leases/lease_internal.h"

static const char *const scopes[] = {"global", "session", "conversation"};

struct lease *lease_find(const struct leases *l, struct slice id)
{
	MAP_EACH(link, &l->by_id, hash_text(id))
	{
		struct lease *e = MAP_ITEM(link, struct lease, by_id);
		if (slice_is(id, e->id))
			return e;
	}
	return NULL;
}

static uint64_t group_hash(enum lease_scope scope, struct slice name)
{
	return hash_texts(slice_of(scopes[scope]), name);
}

struct lease_group *lease_find_group(const struct leases *l, enum lease_scope scope, struct slice name)
{
	MAP_EACH(link, &l->groups, group_hash(scope, name))
	{
		struct lease_group *g = MAP_ITEM(link, struct lease_group, link);
		if (g->scope == scope && slice_eq((struct slice){g->name, g->name_len}, name))
			return g;
	}
	return NULL;
}

static struct lease_group *enter_group(struct leases *l, enum lease_scope scope, struct slice name)
{
	struct lease_group *g = lease_find_group(l, scope, name);
	if (g == NULL) {
		g = calloc(1, sizeof *g + name.len);
		if (g == NULL)
			return NULL;
		g->scope = scope;
		g->name_len = name.len;
		memcpy(g->name, name.p, name.len);
		map_add(&l->groups, group_hash(scope, name), &g->link);
	}
	g->count++;
	return g;
}

void lease_quit_groups(struct leases *l, struct lease *e)
{
	for (int i = 0; i < LEASE_PROVIDERS; i++) {
		struct lease_group *g = e->groups[i];
		if (g == NULL || --g->count > 0)
			continue;
		map_remove(&l->groups, &g->link);
		free(g);
	}
}

bool lease_join_groups(struct leases *l, struct lease *e)
{
	const struct slice names[LEASE_PROVIDERS] = {[LEASE_SESSION] = e->session, [LEASE_CONVERSATION] = e->conversation};
	for (int i = 0; i < LEASE_PROVIDERS; i++)
		if (names[i].len > 0 && (e->groups[i] = enter_group(l, (enum lease_scope)i, names[i])) == NULL)
			return false;
	return true;
}
