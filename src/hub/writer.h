/* The one writer: a bounded queue, a thread, and commits that size themselves: whatever has queued while the last
 * fsync ran is the next transaction. There is no timer.
 *
 *     submit ─▶ queue ─▶ append … append ─▶ COMMIT ─▶ feed ─▶ done(op) for each
 *                               │ fails
 *                               └─▶ roll back, done(op) with the error for each, breaker opens
 *
 * The breaker: while it is open nothing is accepted; the writer reopens the file and probes until a commit works. */
#ifndef HUB_WRITER_H
#define HUB_WRITER_H

#include "base/list.h"
#include "hub/feed.h"
#include "hub/meter.h"
#include "hub/session.h"
#include "tidemark/store.h"

struct writer;

struct writer_options {
	uint64_t queue_events_max;
	uint64_t queue_bytes_max;
	uint64_t disk_reserve; /* bytes */
};

/* Something to be committed. The caller keeps it alive until `done` is called, once, on the writer's thread; `done`
 * must not block. */
struct write_op {
	struct list link;
	struct batch *batch; /* NULL: none */
	/* A change to a session, which takes effect when it is durable; or empty. With neither, `done` comes when all
	 * earlier changes to sessions are durable. */
	struct slice session;
	bool session_delete;
	uint64_t session_acked;
	struct append_options options;
	void (*done)(struct write_op *op);
	/* The result. The receipt is the caller's to finish. */
	enum err err;
	struct fault fault;
	struct receipt receipt;
};

enum err writer_create(struct store *store, struct feed *feed, struct sessions *sessions, struct writer_options options,
		       struct writer **out, struct fault *fault);
/* Accepts nothing more and commits what was accepted; returns when all are done. */
void writer_close(struct writer *w);
/* After writer_close: saves what sessions have acknowledged since. Waits for the disk. */
void writer_save_sessions(struct writer *w);
void writer_destroy(struct writer *w);

/* Any thread. ERR_BUSY: the queue is full; ERR_FULL, ERR_IO: the breaker is open; ERR_CLOSED. When it fails, `done` is
 * not called. */
enum err writer_submit(struct writer *w, struct write_op *op, struct fault *fault);
/* Sessions have changed: write them soon. */
void writer_poke(struct writer *w);
/* Waits until every change to a session so far is durable, at most `ms`. False when it is not, or cannot be. */
bool writer_wait(struct writer *w, int64_t ms);

enum breaker { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

struct writer_figures {
	uint64_t queued_events;
	uint64_t queued_bytes;
	uint64_t queued_requests;
	uint64_t commits;
	uint64_t events;
	uint64_t duplicates;
	uint64_t refused; /* requests that the queue or the breaker turned away */
	uint64_t failed;  /* requests whose commit failed */
	double events_1s;
	double events_10s;
	double events_60s;
	struct spread_figures commit; /* time of append and COMMIT, per transaction */
	enum breaker breaker;
	uint64_t breaker_opens;
	char reason[160]; /* why the breaker is open */
};
void writer_read(struct writer *w, struct writer_figures *out);
/* The limits the writer was made with. */
struct writer_options writer_limits(const struct writer *w);

#endif
