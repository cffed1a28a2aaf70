/* A write request: a batch, a change to a session, or a change of any other kind. */
#ifndef ENGINE_WRITE_WRITE_OP_H
#define ENGINE_WRITE_WRITE_OP_H

#include "base/list.h"
#include "event/event.h"
#include "store/log/store.h"

struct write_op;
typedef enum err write_change(struct write_op *op, struct store *store, struct fault *fault);

/* A write request. The caller keeps it alive until `done` is called, once, on the writer's thread; `done` must not block. */
struct write_op {
	struct list link;
	/* The client, such as a connection: clients take turns, and the requests of one are served in order. 0: no
	 * particular client; these are in order among themselves, as changes to sessions have to be. */
	uint64_t client;
	uint64_t account;    /* the client whose quotas count it; 0: none */
	struct batch *batch; /* NULL: none */
	/* A change to a session, which takes effect when it is durable; or empty. A request with neither is done when all
	 * earlier changes to sessions are durable. */
	struct slice session;
	bool session_delete;
	uint64_t session_acked;
	struct append_options options;
	/* Stores something else in the same transaction; NULL: nothing. When it fails, only this request fails: the others
	 * are committed without it. It may be called again after a rollback, before `done`. */
	write_change *change;
	uint64_t evict_upto; /* the change evicts events up to this seq; 0: none */
	/* Observers count events after this change differently: it is committed alone, with their figures so far. */
	bool divides;
	bool flush; /* write the write-ahead log back after the commit */
	void (*done)(struct write_op *op);
	bool small;           /* the writer's: it goes before large ones */
	int64_t submitted_us; /* the writer's: monotonic */
	/* The result. The receipt is the caller's to finish. */
	enum err err;
	struct fault fault;
	struct receipt receipt;
	uint64_t flush_pages;  /* in the write-ahead log */
	uint64_t flush_copied; /* pages that this request has copied into the database */
};

static inline uint64_t write_op_events(const struct write_op *op)
{
	return op->batch != NULL ? batch_count(op->batch) : 0;
}

/* Of memory. */
static inline uint64_t write_op_bytes(const struct write_op *op)
{
	return op->batch != NULL ? batch_bytes(op->batch) : 0;
}

static inline bool write_op_is_large(const struct write_op *op)
{
	return op->batch != NULL && !op->small;
}

#endif
