#include "hub/lanes.h"

#include <assert.h>

#include "base/hash.h"

void lanes_init(struct lanes *l)
{
	*l = (struct lanes){0};
	for (int i = 0; i < LANES; i++)
		list_init(&l->lane[i]);
}

void lanes_append(struct lanes *l, uint64_t client, struct list *item)
{
	/* What is nobody's in particular keeps its order, in the first lane. */
	unsigned i = client == 0 ? 0 : (unsigned)(hash_bytes(&client, sizeof client) % LANES);
	list_append(&l->lane[i], item);
	l->filled |= UINT64_C(1) << i;
}

struct list *lanes_current(struct lanes *l)
{
	assert(!lanes_empty(l));
	while ((l->filled >> l->turn & 1) == 0)
		lanes_next(l);
	return &l->lane[l->turn];
}

void lanes_remove(struct lanes *l, struct list *item)
{
	list_remove(item);
	if (list_empty(&l->lane[l->turn]))
		l->filled &= ~(UINT64_C(1) << l->turn);
}

void lanes_next(struct lanes *l)
{
	l->turn = (l->turn + 1) % LANES;
}

void lanes_take_all(struct lanes *l, struct list *out)
{
	for (int i = 0; i < LANES; i++)
		list_move_all(out, &l->lane[i]);
	l->filled = 0;
}
