/* Counting events by topic for verify. */
#include <assert.h>
#include <stdlib.h>

#include "base/data/hash.h"
#include "store/repair/verify_internal.h"

struct verify_topic *verify_count_find(const struct verify_counts *c, int64_t number)
{
	MAP_EACH(link, &c->by_number, hash_number((uint64_t)number))
	{
		struct verify_topic *t = MAP_ITEM(link, struct verify_topic, link);
		if (t->number == number)
			return t;
	}
	return NULL;
}

void verify_count_event(struct verify_counts *c, struct verify_topic *t, uint64_t seq, uint64_t bytes)
{
	assert(seq >= c->next);
	c->next = seq + 1;
	c->out->events++;
	if (seq > c->indexed_upto)
		return;
	struct figures *f = &t->counted;
	f->first = f->first == 0 ? seq : f->first;
	f->last = seq;
	f->count++;
	f->bytes += bytes;
}
