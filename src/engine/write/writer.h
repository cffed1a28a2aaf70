/* The one writer: a bounded queue, a thread, and group commits: the requests that queued while the last fsync ran are the
 * next transaction. There is no timer for commits.
 *
 *     submit ─▶ queue ─▶ append … append ─▶ COMMIT ─▶ feed ─▶ done(op) for each
 *                               │ fails
 *                               └─▶ roll back, done(op) with the error for each, breaker opens; if a `change` failed:
 *                                   done(op) for that one, and the others are tried again
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

/* Watches what is published and committed, for a profile. On the writer's thread, but for `admit`,
 * which may be NULL; so may `apply`, where several observers share one table (observers.h). */
struct writer_observer {
	void *arg;
	/* After a commit, before any reader sees it. */
	void (*apply)(void *arg, const struct committed *c);
	/* Should unsaved figures be saved with this commit? `last`: the final commit, so any are. `evict_upto`: so are
	 * figures of events up to this seq, which cannot be counted again after this commit; UINT64_MAX: all so far; 0:
	 * none. */
	bool (*is_due)(void *arg, bool last, uint64_t evict_upto);
	/* Writes the figures in the store's open transaction; `saved` follows and says whether it was committed. */
	enum err (*save)(void *arg, struct store *store, struct fault *fault);
	void (*saved)(void *arg, bool committed);
	/* May the batch be published? ERR_INVALID names the rule and the event. Rules that need the order of commits are set
	 * in `options` for the writer to check. Any thread. */
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
/* After writer_close: saves the latest acknowledgements of sessions and the observer's figures, and stores `last` with them
 * (NULL: nothing; borrowed). Waits for the disk. */
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
/* Waits, at most `ms`, until all earlier changes and `change` (NULL: none) are durable. False: they are not, or it failed.
 */
bool writer_wait(struct writer *w, write_change *change, int64_t ms);

/* Are small requests being published along with large ones? Then long work should not run on the threads that answer them.
 * Any thread. */
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
/* The times of append and COMMIT, as a histogram. */
void writer_read_commits(struct writer *w, struct spread_histogram *out);
void writer_read(struct writer *w, struct writer_figures *out);
/* Is the disk below the reserve, so that publishing is refused? Any thread. */
bool writer_is_low(const struct writer *w, struct fault *why);
/* Bytes of the disk that publishing leaves free. */
uint64_t writer_disk_reserve(const struct writer *w);

#endif
