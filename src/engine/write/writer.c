#include "engine/write/writer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/kind.h"
#include "base/system/clock.h"
#include "base/system/log.h"
#include "engine/work/write_back_thread.h"
#include "engine/write/writer_internal.h"

enum {
	ACK_DELAY_MS = 100, /* acknowledgements of sessions are written after this time, or with an earlier commit */
	PROBE_MIN_MS = 50,  /* between two probes of a failed disk */
};

static enum err refuse(struct writer *w, enum err err, const char *text, struct fault *fault)
{
	w->refused++;
	return fault_set(fault, err, "%s", text);
}

static enum err admit(struct writer *w, const struct write_op *op, struct fault *fault)
{
	if (w->closing)
		return refuse(w, ERR_CLOSED, "the server is shutting down", fault);
	const struct fault *why = &w->breaker.reason;
	if (w->breaker.state != BREAKER_CLOSED)
		return fault_kind(fault, refuse(w, why->code, why->text, fault),
				  why->code == ERR_FULL ? NULL : KIND_COMMITS_FAIL);
	enum err err = quota_take(w->options.quotas, QUOTA_QUEUE_EVENTS, op->account, write_op_events(op), fault);
	if (!err &&
	    (err = quota_take(w->options.quotas, QUOTA_QUEUE_BYTES, op->account, write_op_bytes(op), fault)) != ERR_NONE)
		quota_give(w->options.quotas, QUOTA_QUEUE_EVENTS, op->account, write_op_events(op));
	w->refused += err != ERR_NONE;
	return err;
}

/* With the lock, or without other threads. */
static void count_waiting(struct writer *w, const struct write_op *op)
{
	w->waiting_events += write_op_events(op);
	w->waiting_bytes += write_op_bytes(op);
	w->waiting_requests++;
}

enum err writer_submit(struct writer *w, struct write_op *op, struct fault *fault)
{
	assert(op->done != NULL);
	op->err = ERR_NONE;
	op->receipt = (struct receipt){0};
	op->submitted_us = clock_mono_us();
	pthread_mutex_lock(&w->lock);
	enum err err = admit(w, op, fault);
	if (!err) {
		publish_queue_add(&w->queue, op);
		count_waiting(w, op);
		if (w->queue.requests == 1 || (w->pausing && op->small))
			pthread_cond_signal(&w->wake);
	}
	pthread_mutex_unlock(&w->lock);
	return err;
}

enum err writer_admit(const struct writer *w, const struct batch *batch, struct append_options *options, struct fault *fault)
{
	const struct writer_observer *o = w->options.observer;
	return o != NULL && o->admit != NULL ? o->admit(o->arg, batch, options, fault) : ERR_NONE;
}

void writer_poke(struct writer *w)
{
	pthread_mutex_lock(&w->lock);
	if (w->ack_due_ms == 0) {
		w->ack_due_ms = clock_mono_ms() + ACK_DELAY_MS;
		pthread_cond_signal(&w->wake);
	}
	pthread_mutex_unlock(&w->lock);
}

/* A request that writer_wait waits for. Freed by the thread that finishes last: the waiting one or the writer. */
struct waiting {
	struct write_op op; /* first: the writer gives it back */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool done;
	bool left;
};

static void waiting_destroy(struct waiting *p)
{
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static void on_waited_for(struct write_op *op)
{
	struct waiting *p = (struct waiting *)op;
	pthread_mutex_lock(&p->lock);
	p->done = true;
	bool left = p->left;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	if (left)
		waiting_destroy(p);
}

bool writer_wait(struct writer *w, write_change *change, int64_t ms)
{
	struct waiting *p = calloc(1, sizeof *p);
	if (p == NULL)
		return false;
	pthread_mutex_init(&p->lock, NULL);
	clock_cond_init(&p->wake);
	p->op.done = on_waited_for;
	p->op.change = change;
	if (writer_submit(w, &p->op, NULL) != ERR_NONE) {
		waiting_destroy(p);
		return false;
	}
	int64_t end = clock_mono_ms() + ms;
	pthread_mutex_lock(&p->lock);
	for (int64_t now = clock_mono_ms(); !p->done && now < end; now = clock_mono_ms())
		clock_cond_wait(&p->wake, &p->lock, end - now);
	bool done = p->done;
	bool fine = done && p->op.err == ERR_NONE;
	p->left = true;
	pthread_mutex_unlock(&p->lock);
	if (done)
		waiting_destroy(p);
	return fine;
}

bool writer_has_small(struct writer *w)
{
	return publish_queue_has_small(&w->queue);
}

bool writer_is_low(const struct writer *w, struct fault *why)
{
	return disk_reserve_is_low(&w->reserve, why);
}

/* --- the thread --- */

static void after_commit(struct writer *w, bool idle)
{
	struct fault fault;
	if (store_maintain(w->store, idle, &fault) != ERR_NONE)
		group_trip(w, &fault);
	else
		write_back_ask(w->write_back, store_write_back_due(w->store));
	if (idle) {
		w->wrote = store_has_log(w->store); /* a reader kept the log from being emptied: try again later */
		w->idle_ms = clock_mono_ms() + WRITER_IDLE_MS;
	}
}

/* Requests that came before the breaker opened. */
static void fail_queue(struct writer *w)
{
	struct list group;
	pthread_mutex_lock(&w->lock);
	publish_queue_take_all(&w->queue, &group);
	pthread_mutex_unlock(&w->lock);
	group_fail(w, &group);
}

/* Half-open: one try. Events that a failed commit has left in the file are part of the log for good, so they are delivered.
 */
static bool probe(struct writer *w)
{
	struct fault fault;
	struct committed *found;
	pthread_mutex_lock(&w->lock);
	breaker_half_open(&w->breaker);
	pthread_mutex_unlock(&w->lock);
	enum err err = store_recover(w->store, &found, &fault);
	if (!err && found != NULL)
		group_deliver(w, found, 0);
	if (!err)
		err = store_probe(w->store, &fault);
	fault.code = err == ERR_FULL || err == ERR_NONE ? err : ERR_IO;
	pthread_mutex_lock(&w->lock);
	if (err)
		breaker_open(&w->breaker, &fault);
	else
		breaker_close(&w->breaker);
	pthread_mutex_unlock(&w->lock);
	if (err)
		return false;
	log_info("commits work again; publishing goes on", NULL);
	return true;
}

/* Probes until it works, or until the server shuts down. */
static void recover(struct writer *w)
{
	for (int64_t wait = PROBE_MIN_MS;; wait = wait * 2 < BREAKER_WAIT_MAX_MS ? wait * 2 : BREAKER_WAIT_MAX_MS) {
		fail_queue(w);
		if (probe(w))
			return;
		pthread_mutex_lock(&w->lock);
		bool closing = w->closing;
		if (!closing)
			clock_cond_wait(&w->wake, &w->lock, wait);
		pthread_mutex_unlock(&w->lock);
		if (closing)
			return;
	}
}

/* Large requests pause so that small ones need not wait for one large commit after the other. With the lock. */
static void wait_for_small(struct writer *w)
{
	if (!publish_queue_has_small(&w->queue))
		return;
	int64_t end = publish_queue_large_due_us(&w->queue);
	w->pausing = true;
	for (int64_t now = clock_mono_us(); now < end && !w->closing && !publish_queue_empty(&w->queue);
	     now = clock_mono_us()) {
		if (publish_queue_small_first(&w->queue))
			break;
		clock_cond_wait_us(&w->wake, &w->lock, end - now);
	}
	w->pausing = false;
}

/* Waits for work. False: there is none, and the WAL should be shrunk. With the lock. */
static bool wait_for_work(struct writer *w)
{
	while (publish_queue_empty(&w->queue) && !w->closing) {
		int64_t now = clock_mono_ms();
		int64_t until = w->ack_due_ms != 0 ? w->ack_due_ms : w->wrote ? w->idle_ms : now + 3600 * 1000;
		if (w->ack_due_ms == 0 && w->wrote && now >= w->idle_ms)
			return false;
		if (w->ack_due_ms != 0 && now >= w->ack_due_ms)
			return true;
		clock_cond_wait(&w->wake, &w->lock, until - now);
	}
	return true;
}

static void *work(void *arg)
{
	struct writer *w = arg;
	for (bool fine = true;;) {
		struct list group;
		bool dirty = sessions_dirty(w->sessions); /* a commit failed, or they changed after it */
		pthread_mutex_lock(&w->lock);
		if (dirty && w->ack_due_ms == 0)
			w->ack_due_ms = clock_mono_ms() + ACK_DELAY_MS;
		bool busy = wait_for_work(w);
		wait_for_small(w);
		publish_queue_take(&w->queue, &group);
		bool acks = w->ack_due_ms != 0;
		w->ack_due_ms = 0;
		bool end = w->closing && list_empty(&group) && (!fine || !sessions_dirty(w->sessions));
		bool broken = w->breaker.state != BREAKER_CLOSED;
		pthread_mutex_unlock(&w->lock);
		if (end || (broken && w->closing))
			break;
		if (!list_empty(&group) || acks || sessions_dirty(w->sessions))
			fine = group_commit(w, &group);
		after_commit(w, !busy || (w->wrote && clock_mono_ms() >= w->idle_ms));
		pthread_mutex_lock(&w->lock);
		broken = w->breaker.state != BREAKER_CLOSED;
		pthread_mutex_unlock(&w->lock);
		if (broken)
			recover(w);
	}
	return NULL;
}

enum err writer_create(struct store *store, struct feed *feed, struct sessions *sessions, struct writer_options options,
		       struct writer **out, struct fault *fault)
{
	*out = NULL;
	struct writer *w = calloc(1, sizeof *w);
	if (w == NULL)
		return fault_nomem(fault);
	w->store = store;
	w->feed = feed;
	w->sessions = sessions;
	w->options = options;
	w->wrote = true; /* a WAL may be left from before */
	w->idle_ms = clock_mono_ms() + WRITER_IDLE_MS;
	pthread_mutex_init(&w->lock, NULL);
	clock_cond_init(&w->wake);
	publish_queue_init(&w->queue);
	disk_reserve_init(&w->reserve, store, options.disk_reserve);
	rate_init(&w->events);
	spread_init(&w->commit);
	enum err err = write_back_create(store, &w->write_back, fault);
	if (!err)
		err = thread_start(&w->thread, "writer", work, w, fault);
	if (err) {
		writer_destroy(w);
		return err;
	}
	*out = w;
	return ERR_NONE;
}

void writer_close(struct writer *w)
{
	pthread_mutex_lock(&w->lock);
	w->closing = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	thread_join(&w->thread);
	publish_queue_forget_small(&w->queue);
	write_back_destroy(w->write_back);
	w->write_back = NULL;
}

static void on_saved(struct write_op *op)
{
	if (op->err)
		log_warn("the last event is not stored", "error=%s", log_text(op->fault.text));
	receipt_finish(&op->receipt);
}

void writer_save(struct writer *w, struct batch *last)
{
	const struct writer_observer *o = w->options.observer;
	struct write_op op = {.batch = last, .done = on_saved};
	struct list group;
	list_init(&group);
	assert(w->closing); /* and the thread has ended */
	bool due = sessions_dirty(w->sessions) || (o != NULL && o->is_due(o->arg, true, 0));
	w->last = true;
	if (w->breaker.state != BREAKER_CLOSED || !(due || last != NULL))
		return;
	if (last != NULL) {
		list_append(&group, &op.link);
		count_waiting(w, &op);
		quota_charge(w->options.quotas, QUOTA_QUEUE_EVENTS, 0, write_op_events(&op));
		quota_charge(w->options.quotas, QUOTA_QUEUE_BYTES, 0, write_op_bytes(&op));
	}
	group_commit(w, &group);
}

void writer_destroy(struct writer *w)
{
	if (w == NULL)
		return;
	writer_close(w);
	rate_finish(&w->events);
	spread_finish(&w->commit);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

void writer_read_commits(struct writer *w, struct spread_histogram *out)
{
	spread_read_histogram(&w->commit, out);
}

void writer_read(struct writer *w, struct writer_figures *out)
{
	*out = (struct writer_figures){0};
	pthread_mutex_lock(&w->lock);
	out->queued_events = w->waiting_events;
	out->queued_bytes = w->waiting_bytes;
	out->queued_requests = w->waiting_requests;
	out->duplicates = w->duplicates;
	out->refused = w->refused;
	out->failed = w->failed;
	out->breaker = w->breaker.state;
	out->breaker_opens = w->breaker.opens;
	out->breaker_half_opens = w->breaker.half_opens;
	out->breaker_closes = w->breaker.closes;
	out->breaker_failures = w->breaker.failures;
	if (w->breaker.state != BREAKER_CLOSED)
		memcpy(out->reason, w->breaker.reason.text, sizeof out->reason);
	pthread_mutex_unlock(&w->lock);
	out->events = rate_total(&w->events);
	out->events_1s = rate_read(&w->events, 1);
	out->events_10s = rate_read(&w->events, 10);
	out->events_60s = rate_read(&w->events, 60);
	spread_read(&w->commit, &out->commit);
	out->commits = out->commit.count;
}

uint64_t writer_disk_reserve(const struct writer *w)
{
	return w->options.disk_reserve;
}
