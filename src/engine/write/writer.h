/* The one writer: a bounded queue, a thread, and commits that size themselves: whatever has queued while the last
 * fsync ran is the next transaction. There is no timer for
 * commits.
 *
 *     submit ─▶ queue ─▶ append … append ─▶ COMMIT ─▶ feed ─▶ done(op) for each
 *                               │ fails
 *                               └─▶ roll back, done(op) with the error for each, breaker opens; where a `change` has
 *                                   failed: done(op) for that one, and the others again
 *
 * The breaker: while it is open nothing is accepted; the writer reopens the file and probes until a commit works. */
#ifndef ENGINE_WRITE_WRITER_H
#define ENGINE_WRITE_WRITER_H

#include "engine/read/feed.h"
#include "engine/read/session.h"
#include "engine/work/meter.h"
#include "engine/write/breaker.h"
#include "engine/write/write_op.h"

struct writer;

/* Watches what is published and committed, for a profile. On the writer's thread, but for `admit`. A member may be NULL. */
struct writer_observer {
	void *arg;
	/* After a commit, before any reader sees it. */
	void (*apply)(void *arg, const struct committed *c);
	/* Is there enough that is not saved? `last`: is there anything, for this is the end. `leaving`: or anything of what
	 * cannot be counted again in the same way after this commit: all up to that seq, which leaves the log; UINT64_MAX:
	 * everything so far; 0: nothing. */
	bool (*is_due)(void *arg, bool last, uint64_t leaving);
	/* Puts what was counted so far into the store's open transaction; `saved` says whether that was committed. */
	enum err (*save)(void *arg, struct store *store, struct fault *fault);
	void (*saved)(void *arg, bool committed);
	/* Is the batch refused? ERR_INVALID names the rule, at the event. Where only the writer can tell, `options` have it
	 * check. Any thread. */
	enum err (*admit)(void *arg, const struct batch *batch, struct append_options *options, struct fault *fault);
};

struct writer_options {
	struct quotas *quotas;                  /* of what waits in the queue, and of topics */
	uint64_t disk_reserve;                  /* bytes */
	const struct writer_observer *observer; /* NULL: none */
};

enum err writer_create(struct store *store, struct feed *feed, struct sessions *sessions, struct writer_options options,
		       struct writer **out, struct fault *fault);
/* Accepts nothing more and commits what was accepted; returns when all are done. */
void writer_close(struct writer *w);
/* After writer_close: saves what sessions have acknowledged since, and what the observer has counted, and stores `last` with
 * it (NULL: nothing; borrowed). Waits for the disk. */
void writer_save(struct writer *w, struct batch *last);
void writer_destroy(struct writer *w);

/* Any thread. ERR_BUSY: the queue is full; ERR_FULL, ERR_IO: the breaker is open; ERR_CLOSED. When it fails, `done` is
 * not called. */
enum err writer_submit(struct writer *w, struct write_op *op, struct fault *fault);
/* Before a batch is submitted: does the observer admit it? Any thread. */
enum err writer_admit(const struct writer *w, const struct batch *batch, struct append_options *options,
		      struct fault *fault);
/* Sessions have changed: write them soon. */
void writer_poke(struct writer *w);
/* Waits until every change so far is durable, and `change` (NULL: nothing) with them, at most `ms`. False when they are not,
 * or cannot be. */
bool writer_wait(struct writer *w, write_change *change, int64_t ms);

/* Do small requests come in beside large ones? Then long work should not run on the threads that answer them. Any thread. */
bool writer_has_small(struct writer *w);

struct writer_figures {
	uint64_t queued_events;
	uint64_t queued_bytes;
	uint64_t queued_requests;
	uint64_t commits; /* that had new events */
	uint64_t events;
	uint64_t duplicates;
	uint64_t refused; /* requests that the queue, the breaker or the disk's reserve turned away */
	uint64_t failed;  /* requests whose commit failed */
	double events_1s;
	double events_10s;
	double events_60s;
	struct spread_figures commit; /* time of append and COMMIT of those */
	enum breaker_state breaker;
	uint64_t breaker_opens;
	uint64_t breaker_half_opens;
	uint64_t breaker_closes;
	uint64_t breaker_failures;   /* in a row; 0 while it is closed */
	char reason[FAULT_TEXT_LEN]; /* why the breaker is open */
};
/* How long they have taken. */
void writer_read_commits(struct writer *w, struct spread_histogram *out);
void writer_read(struct writer *w, struct writer_figures *out);
/* Is less left of the disk than the reserve, so that publishing is refused? Any thread. */
bool writer_is_low(const struct writer *w, struct fault *why);
/* The limits the writer was made with. */
struct writer_options writer_limits(const struct writer *w);

#endif
