/* A connection that publishes: batches, of which so many may wait for their acknowledgement, each timed. */
#ifndef LOAD_PUBLISHER_H
#define LOAD_PUBLISHER_H

#include "load/histogram.h"
#include "load/loop.h"
#include "load/payload.h"

enum { PUBLISHER_WINDOW_MAX = 256 };

struct publisher {
	struct conn conn;
	const struct payload *payload;
	unsigned batch;
	unsigned window;
	uint64_t *numbers; /* of the next event; publishers may share it */
	uint64_t sent;     /* events */
	uint64_t acked;
	struct histogram *times; /* of batches; may be NULL */
	int64_t sent_us[PUBLISHER_WINDOW_MAX];
};

/* protocol=, port=, batch=, window=, path= (of WebSockets that publish) */
struct args;
void publisher_open(struct publisher *p, struct loop *loop, const struct args *a, const struct payload *payload,
		    uint64_t *numbers, struct histogram *times);
bool publisher_may(const struct publisher *p);
void publisher_send(struct publisher *p);

#endif
