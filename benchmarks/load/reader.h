/* A connection that is delivered to, and checks that it gets every event once, in order. */
#ifndef LOAD_READER_H
#define LOAD_READER_H

#include "load/histogram.h"
#include "load/loop.h"

struct readers {
	uint64_t delivered; /* events, to all */
	uint64_t complete;  /* readers that have had `until` */
	uint64_t until;
	struct histogram *times; /* from publishing to delivery; may be NULL */
};

struct reader {
	struct conn conn;
	struct readers *all;
	uint64_t next; /* the seq to come; 0: the first one is whatever follows the hello */
	uint64_t step; /* from one to the next: more than 1 for filtered readers */
	uint64_t skip; /* events after the hello's head before the first */
};

void reader_open(struct reader *r, struct readers *all, struct loop *loop, const struct protocol *protocol, int port,
		 const char *target);

#endif
