/* What a batch holds. */
#ifndef UNIT_EVENT_BATCHES_H
#define UNIT_EVENT_BATCHES_H

#include "event/event.h"
#include "unit/check.h"

/* The batch is this one event; destroys it. */
static inline void check_one(struct batch *b, const char *stream, const char *type, const char *id, const char *data)
{
	CHECK(batch_count(b) == 1);
	const struct event *e = batch_event(b, 0);
	CHECK_SLICE(e->stream, stream);
	CHECK_SLICE(e->type, type);
	CHECK_SLICE(e->id, id);
	CHECK_SLICE(e->data, data);
	batch_destroy(b);
}

#endif
