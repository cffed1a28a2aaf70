/* What verify counts again, shared by its two files. */
#ifndef STORE_RECOUNT_H
#define STORE_RECOUNT_H

#include "store/reader.h"

struct recount {
	struct reader *reader;
	struct figures *topics; /* by topic, as far as the trail goes */
	uint64_t *in_log;       /* by topic: how many of these are in the log */
	uint64_t *posted;       /* by topic: how many seqs its postings name */
	uint32_t topic_count;
	uint64_t mark;
	uint64_t first; /* of the log */
	uint64_t head;
	uint64_t all; /* events that are going to be looked at */
	bool holes;   /* some events are in no archive: their topics' figures cannot be counted */
	void (*progress)(void *arg, uint64_t done, uint64_t all);
	void *arg;
	struct fault *fault;
};

void recount_event(struct recount *c, uint32_t topic, uint64_t seq, uint64_t bytes);

/* Every archive to the last byte, its manifest, and how each follows the one before. */
enum err verify_archives(struct recount *c, uint64_t *checked);

#endif
