/* The inside of the writer, shared by writer.c (the thread and its interface) and group_commit.c (a transaction). */
#ifndef ENGINE_WRITE_WRITER_INTERNAL_H
#define ENGINE_WRITE_WRITER_INTERNAL_H

#include <pthread.h>

#include "base/system/thread.h"
#include "engine/write/disk_reserve.h"
#include "engine/write/publish_queue.h"
#include "engine/write/writer.h"

struct write_back;

struct writer {
	struct store *store;
	struct feed *feed;
	struct sessions *sessions;
	struct writer_options options;
	struct write_back *write_back;
	struct thread thread;

	pthread_mutex_t lock; /* guards what follows, up to the meters */
	pthread_cond_t wake;
	struct publish_queue queue;
	uint64_t waiting_events; /* until their commit is done, as the two that follow */
	uint64_t waiting_bytes;
	uint64_t waiting_requests;
	bool closing;
	bool pausing;       /* the thread lets large requests wait; a small one wakes it */
	int64_t ack_due_ms; /* monotonic; 0: no acknowledgement waits */
	struct breaker breaker;
	uint64_t duplicates;
	uint64_t refused;
	uint64_t failed;

	struct rate events;
	struct spread commit;

	/* The thread's own. */
	struct disk_reserve reserve;
	bool wrote;                           /* since the WAL was shrunk */
	int64_t idle_ms;                      /* monotonic: the WAL is shrunk then, unless something is written before */
	bool last;                            /* this is the final commit */
	bool large_last;                      /* the last transaction had a large request */
	bool saving;                          /* the observer's figures are in the open transaction */
	const struct write_op *failed_change; /* the change that failed the open transaction; NULL: none */
};

enum { WRITER_IDLE_MS = 1000 }; /* after this time without work the WAL is shrunk */

/* Commits the group: in one transaction, unless a change fails, or divides. False when a commit has failed. Every request is
 * done afterwards. */
bool group_commit(struct writer *w, struct list *group);
/* Fails requests for the reason that the breaker is open. */
void group_fail(struct writer *w, struct list *group);
/* Opens the breaker. */
void group_trip(struct writer *w, const struct fault *why);
/* Hands committed events to the observer and to the feed. `submitted_us`: monotonic, of the request that has waited longest;
 * 0: not known. */
void group_deliver(struct writer *w, struct committed *committed, int64_t submitted_us);

#endif
