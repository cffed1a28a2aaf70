#include "engine/write/writer.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/kind.h"
#include "base/system/clock.h"
#include "base/system/log.h"
#include "engine/work/fair_queue.h"
#include "engine/work/write_back_thread.h"

enum {
	GROUP_BYTES_MAX = 4 * 1024 * 1024, /* of one transaction */
	SHARED_BYTES_MAX = 512 * 1024,     /* the same while there are several clients */
	BRIEF_EVENTS_MAX = 16,             /* of a request that need not wait for long ones, with what waits before it */
	BRIEF_BYTES_MAX = 64 * 1024,
	/* For so long after the last change of clients there are several; the same of brief requests, and of a flood. */
	SHARED_MS = 250,
	FLOODS = 64,        /* that are known at a time */
	ACK_DELAY_MS = 100, /* acknowledgements of sessions gather for so long, unless a commit comes by */
	IDLE_MS = 1000,     /* after so long without work the WAL is shrunk */
	PROBE_MIN_MS = 50,  /* between two probes of a failed disk */
	DISK_CHECK_MS = 100,
	DISK_NEAR = 64 * 1024 * 1024, /* with so little above the reserve it is measured before each commit */
	COMMIT_ROOM =
		128 * 1024, /* what a commit writes besides its events: nodes and figures, in the log and then in place */
	PAGE_BYTES = 4096,  /* of the database */
	EVENT_ROOM = 64,    /* what a row has besides its texts, and its place in an index */
	LOW_TELL_MS = 60 * 1000,
	/* While a client publishes small requests, long work waits after other long work for one and a half times as long as
	 * that took, but no longer than: */
	PAUSE_MAX_US = 20000,
	LAG_MAX_PAGES = 512, /* and when the write-back lags by 2 MiB, for that, before each commit: */
	LAG_WAIT_US = 1000,
	OVERHEAD_EVENTS = 3, /* what a small one of a flood counts as then: to answer it takes longer than to append it */
};

/* A client whose brief requests have piled up. */
struct flood {
	uint64_t client;
	int64_t until_ms; /* monotonic */
};

struct writer {
	struct store *store;
	struct feed *feed;
	struct sessions *sessions;
	struct writer_options options;
	struct write_back *write_back;
	pthread_t thread;
	bool running;

	pthread_mutex_t lock; /* guards what follows, up to the meters */
	pthread_cond_t wake;
	struct fair_queue queue;
	struct flood floods[FLOODS];
	uint64_t last_client;
	int64_t shared_until_ms;
	uint64_t queued_events; /* until their commit, as the two that follow */
	uint64_t queued_bytes;
	uint64_t waiting_requests;
	uint64_t queued_requests; /* in `queue` */
	bool closing;
	bool pausing;       /* long work waits, brief work need not */
	int64_t ack_due_ms; /* 0: no acknowledgement waits */
	enum breaker breaker;
	struct fault reason; /* why the breaker is open */
	uint64_t breaker_opens;
	uint64_t breaker_half_opens;
	uint64_t breaker_closes;
	uint64_t breaker_failures; /* since it was last closed */
	uint64_t duplicates;
	uint64_t refused;
	uint64_t failed;

	struct rate events;
	struct spread commit;

	atomic_llong brief_until_ms; /* the writing thread's to set */

	/* The thread's own. */
	int64_t disk_checked_ms;
	int64_t disk_room;                    /* bytes above the reserve, less what was accepted since */
	bool refused_room;                    /* a request of the open transaction was refused for the disk's reserve */
	int64_t low_told_ms;                  /* monotonic: when the log last heard that the disk is low; 0: never */
	uint64_t low_refused;                 /* requests since then */
	bool wrote;                           /* since the WAL was shrunk */
	int64_t idle_ms;                      /* monotonic: shrink it then, unless something is written before */
	bool last;                            /* nothing comes after this commit */
	int64_t long_due_us;                  /* monotonic: long work waits until then (PAUSE_MAX_US) */
	bool long_last;                       /* the last transaction had something long */
	bool brief_last;                      /* the last transaction was of brief requests alone, while others waited */
	unsigned turn;                        /* of the lanes, whose it is */
	unsigned brief_turn;                  /* the same among brief requests, which come around more often */
	bool saving;                          /* the observer's figures are in the open transaction */
	const struct write_op *failed_change; /* by which the open transaction has failed; NULL: by none */
};

static uint64_t op_events(const struct write_op *op)
{
	return op->batch != NULL ? batch_count(op->batch) : 0;
}

static uint64_t op_bytes(const struct write_op *op)
{
	return op->batch != NULL ? batch_bytes(op->batch) : 0;
}

/* What a request takes of its client's turn. */
static uint64_t op_share(const struct write_op *op)
{
	uint64_t events = op_events(op);
	return events > 0 ? events : 1;
}

static bool is_brief(const struct write_op *op)
{
	return op->brief;
}

static bool is_long(const struct write_op *op)
{
	return op->batch != NULL && !op->brief;
}

/* --- the queue --- */

static enum err refuse(struct writer *w, enum err err, const char *text, struct fault *fault)
{
	w->refused++;
	return fault_set(fault, err, "%s", text);
}

static enum err admit(struct writer *w, const struct write_op *op, struct fault *fault)
{
	if (w->closing)
		return refuse(w, ERR_CLOSED, "the server is shutting down", fault);
	if (w->breaker != BREAKER_CLOSED)
		return fault_kind(fault, refuse(w, w->reason.code, w->reason.text, fault),
				  w->reason.code == ERR_FULL ? NULL : KIND_COMMITS_FAIL);
	enum err err = quota_take(w->options.quotas, QUOTA_QUEUE_EVENTS, op->account, op_events(op), fault);
	if (!err && (err = quota_take(w->options.quotas, QUOTA_QUEUE_BYTES, op->account, op_bytes(op), fault)) != ERR_NONE)
		quota_give(w->options.quotas, QUOTA_QUEUE_EVENTS, op->account, op_events(op));
	w->refused += err != ERR_NONE;
	return err;
}

static void note_client(struct writer *w, uint64_t client)
{
	if (client == 0 || client == w->last_client)
		return;
	if (w->last_client != 0)
		w->shared_until_ms = clock_mono_ms() + SHARED_MS;
	w->last_client = client;
}

static bool piles_up(const struct list *lane)
{
	uint64_t events = 0;
	for (const struct list *link = lane->prev; link != lane && events <= BRIEF_EVENTS_MAX; link = link->prev)
		events += op_share(LIST_ITEM(link, struct write_op, link));
	return events > BRIEF_EVENTS_MAX;
}

/* The client's place among the floods; where it has none, that of the one which is over first. */
static struct flood *flood_of(struct writer *w, uint64_t client)
{
	struct flood *first_over = &w->floods[0];
	for (struct flood *f = w->floods; f < w->floods + FLOODS; f++) {
		if (f->client == client)
			return f;
		if (f->until_ms < first_over->until_ms)
			first_over = f;
	}
	return first_over;
}

/* Many brief requests at once are no less than a long one. Where clients share lanes it cannot be told whose they are. */
static bool is_flood(struct writer *w, uint64_t client, const struct list *lane)
{
	struct flood *f = flood_of(w, client);
	if (client != 0 && !w->queue.crowded && piles_up(lane))
		*f = (struct flood){client, clock_mono_ms() + SHARED_MS};
	return f->client == client && clock_mono_ms() < f->until_ms;
}

/* With the lock. */
static void enqueue(struct writer *w, struct write_op *op)
{
	const struct list *lane = fair_queue_append(&w->queue, op->client, &op->link);
	op->brief = op->change == NULL && !op->flush && op_events(op) <= BRIEF_EVENTS_MAX &&
		    op_bytes(op) <= BRIEF_BYTES_MAX && !is_flood(w, op->client, lane);
	w->queued_events += op_events(op);
	w->queued_bytes += op_bytes(op);
	w->waiting_requests++;
	if (w->queued_requests++ == 0 || (w->pausing && is_brief(op)))
		pthread_cond_signal(&w->wake);
}

enum err writer_submit(struct writer *w, struct write_op *op, struct fault *fault)
{
	op->err = ERR_NONE;
	op->receipt = (struct receipt){0};
	op->submitted_us = clock_mono_us();
	pthread_mutex_lock(&w->lock);
	enum err err = admit(w, op, fault);
	if (!err) {
		note_client(w, op->client);
		enqueue(w, op);
	}
	pthread_mutex_unlock(&w->lock);
	return err;
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

/* Somebody who waits for an op. Freed by whoever of the two is done last. */
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

/* What one transaction has taken so far, and may take. */
struct group {
	struct list *ops;
	uint64_t events;
	uint64_t bytes;
	uint64_t events_max;
	uint64_t bytes_max;
	uint64_t overhead; /* events that a request counts as, besides its own */
	bool full;
};

/* What waits until changes to sessions are durable must not come later than those were written. */
static bool may_come_late(const struct write_op *op)
{
	return is_brief(op) && op->batch != NULL;
}

/* With the lock. */
static bool is_shared(struct writer *w)
{
	return fair_queue_filled(&w->queue) > 1 || clock_mono_ms() < w->shared_until_ms;
}

/* Something brief is committed while something long waits, or the other way round. */
static void note_brief(struct writer *w)
{
	atomic_store(&w->brief_until_ms, clock_mono_ms() + SHARED_MS);
}

bool writer_has_brief(struct writer *w)
{
	return clock_mono_ms() < atomic_load(&w->brief_until_ms);
}

/* One client's turn, as long as its requests fit (NULL: all do). With the lock. */
static void take_turn(struct writer *w, struct group *g, unsigned *turn, bool (*fits)(const struct write_op *op))
{
	const struct list *lane = fair_queue_current(&w->queue, turn);
	for (uint64_t taken = 0; !list_empty(lane) && taken < WRITER_TURN_EVENTS;) {
		struct write_op *op = LIST_ITEM(lane->next, struct write_op, link);
		if (fits != NULL && !fits(op))
			break;
		g->full = !list_empty(g->ops) &&
			  (g->events + op_events(op) > g->events_max || g->bytes + op_bytes(op) > g->bytes_max);
		if (g->full) {
			/* Who had nothing yet is first the next time, and then it fits in any case. */
			if (taken > 0)
				fair_queue_next(turn);
			return;
		}
		fair_queue_remove(&w->queue, *turn, &op->link);
		list_append(g->ops, &op->link);
		g->events += op_events(op) + g->overhead;
		g->bytes += op_bytes(op);
		taken += op_share(op);
		w->queued_requests--;
	}
	fair_queue_next(turn);
}

/* What is brief, once around. With the lock. */
static void take_brief(struct writer *w, struct group *g, bool (*fits)(const struct write_op *op))
{
	for (int left = fair_queue_filled(&w->queue); left > 0 && !g->full; left--)
		take_turn(w, g, &w->brief_turn, fits);
}

/* It is the turn of the next one whose first request is brief, or is not; NULL where there is none. With the lock. */
static const struct write_op *pass_to(struct writer *w, unsigned *turn, bool brief)
{
	for (int left = fair_queue_filled(&w->queue); left > 0; left--) {
		const struct write_op *op = LIST_ITEM(fair_queue_current(&w->queue, turn)->next, struct write_op, link);
		if (is_brief(op) == brief)
			return op;
		fair_queue_next(turn);
	}
	return NULL;
}

/* Takes what goes into one transaction: at least one request where there is any. Among several clients what is brief goes
 * first, in a transaction of its own, every other time, and as long as what is long has to wait. What is being committed
 * still takes up memory: it counts until it is done. With the lock. */
static void take_group(struct writer *w, struct list *ops)
{
	bool shared = is_shared(w);
	struct group g = {.ops = ops,
			  .events_max = shared ? WRITER_SHARED_EVENTS_MAX : WRITER_GROUP_EVENTS_MAX,
			  .bytes_max = shared ? SHARED_BYTES_MAX : GROUP_BYTES_MAX};
	list_init(ops);
	if (shared && (!w->brief_last || clock_mono_us() < w->long_due_us))
		take_brief(w, &g, is_brief);
	const struct write_op *next = list_empty(ops) ? NULL : pass_to(w, &w->turn, false);
	w->brief_last = next != NULL;
	if (next != NULL && is_long(next))
		note_brief(w);
	else if (writer_has_brief(w)) {
		g.events_max = WRITER_TURN_EVENTS;
		g.overhead = OVERHEAD_EVENTS;
	}
	while (!w->brief_last && !g.full && !fair_queue_empty(&w->queue))
		take_turn(w, &g, &w->turn, NULL);
}

/* --- a transaction --- */

static bool spoils_only_itself(enum err err)
{
	return err == ERR_INVALID || err == ERR_CONFLICT || err == ERR_BUSY || err == ERR_RATE;
}

static enum err change_session(struct writer *w, const struct write_op *op, struct fault *fault)
{
	if (op->session_delete)
		return store_session_delete(w->store, op->session, fault);
	struct stored_session moved = {
		op->session, op->session_acked, clock_wall_ms(), {NULL, 0}, slice_of(store_epoch(w->store))};
	return store_session_put(w->store, &moved, fault);
}

/* What is durable now takes effect. */
static void apply_sessions(struct writer *w, struct list *group)
{
	LIST_EACH (link, group) {
		struct write_op *op = LIST_ITEM(link, struct write_op, link);
		if (op->session.len == 0 || op->err)
			continue;
		if (op->session_delete)
			sessions_delete(w->sessions, op->session);
		else if ((op->err = sessions_set(w->sessions, op->session, op->account, op->session_acked)) != ERR_NONE)
			fault_set(&op->fault, op->err, "out of memory");
	}
}

/* Bytes above the reserve. False where the operator wants none, or nothing is known. */
static bool room_above(const struct writer *w, uint64_t *left, int64_t *room)
{
	uint64_t reserve = w->options.disk_reserve;
	if (reserve == 0 || store_room(w->store, left) != ERR_NONE)
		return false;
	bool fits = *left >= COMMIT_ROOM && *left - COMMIT_ROOM >= reserve;
	*room = fits ? (int64_t)(*left - COMMIT_ROOM - reserve) : -1;
	return true;
}

static enum err say_low(const struct writer *w, uint64_t left, struct fault *why)
{
	return fault_set(why, ERR_FULL,
			 "the disk has %llu MiB left: with what is to be stored, less than the reserve of %llu MiB would "
			 "stay free (see --disk-reserve)",
			 (unsigned long long)(left >> 20), (unsigned long long)(w->options.disk_reserve >> 20));
}

bool writer_is_low(const struct writer *w, struct fault *why)
{
	uint64_t left;
	int64_t room;
	if (!room_above(w, &left, &room) || room >= 0)
		return false;
	say_low(w, left, why);
	return true;
}

/* Below the reserve: counted, and told once a minute. */
static void count_low(struct writer *w, const struct fault *low)
{
	int64_t now = clock_mono_ms();
	w->refused_room = true;
	pthread_mutex_lock(&w->lock);
	w->refused++;
	w->low_refused++;
	uint64_t count = w->low_refused;
	bool due = w->low_told_ms == 0 || now - w->low_told_ms >= LOW_TELL_MS;
	if (due) {
		w->low_told_ms = now;
		w->low_refused = 0;
	}
	pthread_mutex_unlock(&w->lock);
	if (due)
		log_warn("publishing is refused", "requests=%llu why=\"%s\"", (unsigned long long)count, low->text);
}

/* At most what its events take of the disk, in the log and then in the database. Rows fill half of each page at least; the
 * last part of what is longer than a page has one that may have room for nothing else. */
static int64_t exact_cost(const struct batch *b)
{
	size_t bytes = 0;
	for (size_t i = 0; i < batch_count(b); i++) {
		const struct event *e = batch_event(b, i);
		size_t row = EVENT_ROOM + e->stream.len + e->type.len + e->id.len + e->data.len;
		bytes += row < PAGE_BYTES ? 2 * row : row + PAGE_BYTES;
	}
	return 2 * (int64_t)bytes;
}

/* No less, but at hand: what it takes of the memory has all its texts. */
static int64_t rough_cost(const struct write_op *op)
{
	return 4 * (int64_t)op_bytes(op);
}

/* Takes its part of the room above the reserve; ERR_FULL where that is not enough. */
static enum err take_room(struct writer *w, const struct write_op *op, struct fault *fault)
{
	int64_t cost = rough_cost(op);
	if (w->disk_room - cost < DISK_NEAR)
		cost = exact_cost(op->batch);
	if (cost > w->disk_room)
		return say_low(w, (uint64_t)(w->disk_room + COMMIT_ROOM) + w->options.disk_reserve, fault);
	w->disk_room -= cost;
	return ERR_NONE;
}

/* Measures the room above the reserve now and then, and always where the group may come near it. */
static enum err check_disk(struct writer *w, const struct list *group, struct fault *fault)
{
	int64_t now = clock_mono_ms();
	int64_t cost = 0;
	LIST_EACH (link, group)
		cost += rough_cost(LIST_ITEM(link, struct write_op, link));
	if (now - w->disk_checked_ms < DISK_CHECK_MS && w->disk_room - cost >= DISK_NEAR)
		return ERR_NONE;
	uint64_t left;
	w->disk_room = INT64_MAX;
	if (store_measure_room(w->store) != ERR_NONE || !room_above(w, &left, &w->disk_room))
		return ERR_NONE;
	w->disk_checked_ms = now;
	return w->disk_room < 0 ? say_low(w, left, fault) : ERR_NONE;
}

/* What the observer has counted up to the last commit goes along with this one. */
static enum err save_observer(struct writer *w, struct list *group, struct fault *fault)
{
	const struct writer_observer *o = w->options.observer;
	uint64_t leaving = 0;
	LIST_EACH (link, group) {
		const struct write_op *op = LIST_ITEM(link, struct write_op, link);
		leaving = op->divides ? UINT64_MAX : op->leaving > leaving ? op->leaving : leaving;
	}
	w->saving = o != NULL && o->is_due(o->arg, w->last, leaving);
	return w->saving ? o->save(o->arg, w->store, fault) : ERR_NONE;
}

static void observer_saved(struct writer *w, bool committed)
{
	if (w->saving)
		w->options.observer->saved(w->options.observer->arg, committed);
	w->saving = false;
}

/* When the request that has waited longest was taken. */
static int64_t submitted_us(const struct list *group)
{
	int64_t first_us = INT64_MAX;
	LIST_EACH (link, group) {
		const struct write_op *op = LIST_ITEM(link, struct write_op, link);
		if (op->batch != NULL && op->submitted_us < first_us)
			first_us = op->submitted_us;
	}
	return first_us < INT64_MAX ? first_us : 0;
}

/* The observer is first: whoever reads an event finds it counted. */
static void deliver(struct writer *w, struct committed *committed, int64_t submitted_us)
{
	if (w->options.observer != NULL)
		w->options.observer->apply(w->options.observer->arg, committed);
	feed_publish_take(w->feed, committed, submitted_us);
}

/* A transaction that cannot be opened fails the group; it is not the change that has failed. */
static enum err apply_change(struct writer *w, struct write_op *op, struct fault *fault)
{
	enum err err = store_begin(w->store, fault);
	if (err)
		return err;
	op->err = op->change(op, w->store, &op->fault);
	if (op->err)
		w->failed_change = op;
	return op->err;
}

static void append(struct writer *w, struct write_op *op)
{
	uint64_t left = quota_room(w->options.quotas, QUOTA_TOPICS, op->account);
	op->options.topics_left = &left;
	op->options.owner = op->account;
	op->err = store_append(w->store, op->batch, &op->options, &op->receipt, &op->fault);
	op->options.topics_left = NULL;
	quota_charge(w->options.quotas, QUOTA_TOPICS, op->account, op->receipt.topics);
	if (op->err == ERR_RATE)
		op->err = quota_refuse(w->options.quotas, QUOTA_TOPICS, op->account, &op->fault);
}

/* The transaction that it was in is rolled back. */
static void undo(struct writer *w, struct write_op *op)
{
	quota_give(w->options.quotas, QUOTA_TOPICS, op->account, op->receipt.topics);
	receipt_finish(&op->receipt);
	op->receipt = (struct receipt){0};
}

/* Appends every request of the group. A publish that is refused gets its own error; a change that fails is noted in
 * `failed_change`, and fails the transaction, as does anything else. Below the reserve of the disk (`low`) no events are
 * taken, but sessions may still move: that is what the reserve is for. */
static enum err append_group(struct writer *w, struct list *group, const struct fault *low, struct fault *fault)
{
	LIST_EACH (link, group) {
		struct write_op *op = LIST_ITEM(link, struct write_op, link);
		enum err err = ERR_NONE;
		if (op->session.len > 0)
			op->err = op->session_delete ? ERR_NONE
						     : sessions_check(w->sessions, op->session, op->account, &op->fault);
		if (op->session.len > 0 && !op->err)
			err = change_session(w, op, fault);
		if (!err && op->change != NULL)
			err = apply_change(w, op, fault);
		if (err)
			return err;
		if (op->batch == NULL)
			continue;
		if (low->code != ERR_NONE)
			op->fault = *low;
		op->err = low->code != ERR_NONE ? low->code : take_room(w, op, &op->fault);
		if (op->err) {
			count_low(w, &op->fault);
			continue;
		}
		append(w, op);
		if (op->err && !spoils_only_itself(op->err)) {
			*fault = op->fault;
			return op->err;
		}
	}
	return ERR_NONE;
}

static bool has_long(const struct list *group)
{
	LIST_EACH (link, group)
		if (is_long(LIST_ITEM(link, struct write_op, link)))
			return true;
	return false;
}

static bool has_client(const struct list *group, uint64_t client)
{
	LIST_EACH (link, group)
		if (LIST_ITEM(link, struct write_op, link)->client == client)
			return true;
	return false;
}

/* What is brief is answered before something long, for the answer to that may take the thread from its processor; but
 * nobody's own requests change places. */
static void put_before_long(struct list *group, struct list *late)
{
	struct list *first = group->next;
	LIST_EACH (link, late) {
		bool goes_last = has_client(group, LIST_ITEM(link, struct write_op, link)->client);
		list_remove(link);
		list_append(goes_last ? group : first, link);
	}
}

/* What is brief and has come meanwhile goes along: it would wait for this commit and for its own. */
static enum err append_late(struct writer *w, struct list *group, bool is_long_group, const struct fault *low,
			    struct fault *fault)
{
	struct list late;
	struct group g = {.ops = &late, .events_max = WRITER_TURN_EVENTS, .bytes_max = SHARED_BYTES_MAX};
	list_init(&late);
	pthread_mutex_lock(&w->lock);
	take_brief(w, &g, may_come_late);
	bool shared = is_shared(w);
	pthread_mutex_unlock(&w->lock);
	if (shared && !list_empty(&late) && is_long_group)
		note_brief(w);
	enum err err = append_group(w, &late, low, fault);
	if (is_long_group)
		put_before_long(group, &late);
	else
		list_move_all(group, &late);
	return err;
}

const char *breaker_name(enum breaker state)
{
	static const char *const names[] = {"closed", "open", "half_open"};
	return names[state];
}

static void open_breaker(struct writer *w, const struct fault *why)
{
	pthread_mutex_lock(&w->lock);
	if (w->breaker == BREAKER_CLOSED)
		w->breaker_opens++;
	w->breaker_failures++;
	w->breaker = BREAKER_OPEN;
	w->reason = *why;
	pthread_mutex_unlock(&w->lock);
	log_error("cannot commit; publishing stops until it works again", "error=%s", log_text(why->text));
}

/* All or nothing: no request of the group was stored, and each is answered with the reason. So is one that had a conflict:
 * the last seq of its stream may have come from another request of the group. */
static void fail_group(struct writer *w, struct list *group, const struct fault *why)
{
	store_rollback(w->store);
	sessions_written(w->sessions, false);
	observer_saved(w, false);
	uint64_t count = 0;
	LIST_EACH (link, group) {
		struct write_op *op = LIST_ITEM(link, struct write_op, link);
		undo(w, op);
		if (!spoils_only_itself(op->err) || op->err == ERR_CONFLICT) {
			op->err = why->code;
			op->fault = *why;
		}
		count++;
	}
	pthread_mutex_lock(&w->lock);
	w->failed += count;
	pthread_mutex_unlock(&w->lock);
}

static void finish_group(struct writer *w, struct list *group)
{
	uint64_t events = 0;
	uint64_t bytes = 0;
	uint64_t duplicates = 0;
	uint64_t requests = 0;
	LIST_EACH (link, group) {
		struct write_op *op = LIST_ITEM(link, struct write_op, link);
		requests++;
		events += op_events(op);
		bytes += op_bytes(op);
		quota_give(w->options.quotas, QUOTA_QUEUE_EVENTS, op->account, op_events(op));
		quota_give(w->options.quotas, QUOTA_QUEUE_BYTES, op->account, op_bytes(op));
		duplicates += op->err ? 0 : op->receipt.duplicates;
	}
	pthread_mutex_lock(&w->lock);
	w->queued_events -= events;
	w->queued_bytes -= bytes;
	w->waiting_requests -= requests;
	w->duplicates += duplicates;
	pthread_mutex_unlock(&w->lock);
	LIST_EACH (link, group) {
		struct write_op *op = LIST_ITEM(link, struct write_op, link);
		list_remove(link);
		if (op->flush && !op->err)
			op->err = store_flush(w->store, &op->flush_pages, &op->flush_copied, &op->fault);
		op->done(op); /* may free op */
	}
}

static void put_off_long(struct writer *w, int64_t took_us)
{
	int64_t pause = took_us + took_us / 2;
	w->long_due_us = clock_mono_us() + (pause < PAUSE_MAX_US ? pause : PAUSE_MAX_US);
}

/* Such a change is alone in its group. */
static bool divides(const struct list *group)
{
	return !list_empty(group) && LIST_ITEM(group->next, struct write_op, link)->divides;
}

/* One try at a transaction of the whole group, with the requests that come meanwhile. */
static enum err try_commit(struct writer *w, struct list *group, bool is_long_group, const struct fault *low,
			   struct committed **committed, struct fault *fault)
{
	w->failed_change = NULL;
	enum err err = sessions_write(w->sessions, w->store, fault);
	if (!err)
		err = save_observer(w, group, fault);
	if (!err)
		err = append_group(w, group, low, fault);
	if (!err && !divides(group))
		err = append_late(w, group, is_long_group, low, fault);
	/* Whoever came during something long waits for the commit after it, too. */
	store_keep_brisk(w->store, writer_has_brief(w) && (is_long_group || w->long_last));
	w->long_last = is_long_group;
	return err ? err : store_commit(w->store, committed, fault);
}

/* Rolls back a transaction in which a change has failed, and answers that change. SQLite rolls back everything at an
 * unreadable page, so a savepoint would not keep the other requests: they stay in the group for the next try. Other changes
 * move to `apart`, so that any number of changes that fail cost the group one try. */
static void fail_change(struct writer *w, struct list *group, struct list *apart)
{
	struct list failed;
	list_init(&failed);
	store_rollback(w->store);
	sessions_written(w->sessions, false);
	observer_saved(w, false);
	LIST_EACH (link, group) {
		struct write_op *op = LIST_ITEM(link, struct write_op, link);
		undo(w, op);
		if (op != w->failed_change)
			op->err = ERR_NONE;
		if (op->change == NULL)
			continue;
		list_remove(link);
		list_append(op == w->failed_change ? &failed : apart, link);
	}
	pthread_mutex_lock(&w->lock);
	w->failed++;
	pthread_mutex_unlock(&w->lock);
	finish_group(w, &failed);
}

/* Commits the group without the changes that it has moved to `apart`: none, unless one has failed. False when the commit has
 * failed. */
static bool commit_together(struct writer *w, struct list *group, struct list *apart)
{
	struct fault fault = {0};
	struct fault low = {0};
	struct committed *committed = NULL;
	bool is_long_group = has_long(group); /* what comes late is brief */
	int64_t start = clock_mono_us();
	w->refused_room = false;
	check_disk(w, group, &low); /* the reserve is no failure of the disk: nothing has to be probed */
	enum err err = try_commit(w, group, is_long_group, &low, &committed, &fault);
	if (err && w->failed_change != NULL) {
		fail_change(w, group, apart);
		err = try_commit(w, group, is_long_group, &low, &committed, &fault);
	}
	if (err) {
		fault.code = err;
		fail_group(w, group, &fault);
		if (err != ERR_NOMEM)
			open_breaker(w, &fault);
	} else {
		sessions_written(w->sessions, true);
		observer_saved(w, true);
		apply_sessions(w, group);
		if (committed != NULL)
			spread_add(&w->commit, clock_mono_us() - start, 1);
		w->wrote = true;
		/* What was refused is no work: without this, whoever tries again and again keeps a full disk full. */
		if (low.code == ERR_NONE && !w->refused_room)
			w->idle_ms = clock_mono_ms() + IDLE_MS;
		if (committed != NULL) {
			rate_add(&w->events, committed_count(committed));
			deliver(w, committed, submitted_us(group));
		}
	}
	finish_group(w, group);
	if (is_long_group)
		put_off_long(w, clock_mono_us() - start);
	return !err;
}

/* Fails requests that wait for the next transaction, for the reason that the breaker is open. */
static void fail_waiting(struct writer *w, struct list *waiting)
{
	pthread_mutex_lock(&w->lock);
	struct fault why = w->reason;
	pthread_mutex_unlock(&w->lock);
	fail_group(w, waiting, &why);
	finish_group(w, waiting);
}

/* What divides the events before it from those after it comes into a transaction without any. */
static void set_apart(struct list *group, struct list *apart)
{
	LIST_EACH (link, group) {
		if (!LIST_ITEM(link, struct write_op, link)->divides)
			continue;
		list_remove(link);
		list_append(apart, link);
	}
}

/* Commits the group: in one transaction, unless a change fails, or divides. False when a commit has failed. */
static bool commit_group(struct writer *w, struct list *group)
{
	struct list apart;
	list_init(&apart);
	set_apart(group, &apart);
	bool fine = (list_empty(group) && !list_empty(&apart)) || commit_together(w, group, &apart);
	while (fine && !list_empty(&apart)) {
		struct list one;
		struct list none;
		struct list *first = apart.next;
		list_init(&one);
		list_init(&none);
		list_remove(first);
		list_append(&one, first);
		fine = commit_together(w, &one, &none);
		assert(list_empty(&none));
	}
	if (!list_empty(&apart))
		fail_waiting(w, &apart);
	return fine;
}

/* --- the thread --- */

static void after_commit(struct writer *w, bool idle)
{
	struct fault fault;
	if (store_maintain(w->store, idle, &fault) != ERR_NONE)
		open_breaker(w, &fault);
	else
		write_back_ask(w->write_back, store_write_back_due(w->store));
	if (idle) {
		w->wrote = store_has_log(w->store); /* a reader was in the way: it is tried again */
		w->idle_ms = clock_mono_ms() + IDLE_MS;
	}
}

/* Requests that came before the breaker opened. */
static void fail_queue(struct writer *w)
{
	struct list group;
	pthread_mutex_lock(&w->lock);
	list_init(&group);
	fair_queue_take_all(&w->queue, &group);
	w->queued_requests = 0;
	pthread_mutex_unlock(&w->lock);
	fail_waiting(w, &group);
}

static void set_breaker(struct writer *w, enum breaker state)
{
	pthread_mutex_lock(&w->lock);
	w->breaker = state;
	w->breaker_half_opens += state == BREAKER_HALF_OPEN;
	w->breaker_closes += state == BREAKER_CLOSED;
	if (state == BREAKER_CLOSED)
		w->breaker_failures = 0;
	pthread_mutex_unlock(&w->lock);
}

/* Half-open: one try. What a failed commit has left in the file is delivered, for it will be there for ever. */
static bool probe(struct writer *w)
{
	struct fault fault;
	struct committed *found;
	set_breaker(w, BREAKER_HALF_OPEN);
	enum err err = store_recover(w->store, &found, &fault);
	if (!err && found != NULL)
		deliver(w, found, 0);
	if (!err)
		err = store_probe(w->store, &fault);
	if (err) {
		pthread_mutex_lock(&w->lock);
		w->breaker = BREAKER_OPEN;
		w->breaker_failures++;
		w->reason = fault;
		w->reason.code = err == ERR_FULL ? ERR_FULL : ERR_IO;
		pthread_mutex_unlock(&w->lock);
		return false;
	}
	set_breaker(w, BREAKER_CLOSED);
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

/* What is long leaves time to what is brief, which would else wait for one long commit after the other. It also waits for
 * the write-back if that cannot keep up: the log begins anew when all of it is copied, and everybody waits for what is left
 * of that. With the lock. */
static void pause_long(struct writer *w)
{
	if (!writer_has_brief(w))
		return;
	int64_t now = clock_mono_us();
	int64_t end = write_back_lag(w->write_back) > LAG_MAX_PAGES ? now + LAG_WAIT_US : now;
	end = w->long_due_us > end ? w->long_due_us : end;
	w->pausing = true;
	for (unsigned turn = w->brief_turn; now < end && !w->closing && !fair_queue_empty(&w->queue);
	     now = clock_mono_us()) {
		if (pass_to(w, &turn, true) != NULL)
			break;
		clock_cond_wait_us(&w->wake, &w->lock, end - now);
	}
	w->pausing = false;
}

/* Waits for work. False when the WAL can be shrunk meanwhile. With the lock. */
static bool wait_for_work(struct writer *w)
{
	while (fair_queue_empty(&w->queue) && !w->closing) {
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
		bool dirty = sessions_dirty(w->sessions); /* of a commit that failed, or from a moment ago */
		pthread_mutex_lock(&w->lock);
		if (dirty && w->ack_due_ms == 0)
			w->ack_due_ms = clock_mono_ms() + ACK_DELAY_MS;
		bool busy = wait_for_work(w);
		pause_long(w);
		take_group(w, &group);
		bool acks = w->ack_due_ms != 0;
		w->ack_due_ms = 0;
		bool end = w->closing && list_empty(&group) && (!fine || !sessions_dirty(w->sessions));
		bool broken = w->breaker != BREAKER_CLOSED;
		pthread_mutex_unlock(&w->lock);
		if (end || (broken && w->closing))
			break;
		if (!list_empty(&group) || acks || sessions_dirty(w->sessions))
			fine = commit_group(w, &group);
		after_commit(w, !busy || (w->wrote && clock_mono_ms() >= w->idle_ms));
		pthread_mutex_lock(&w->lock);
		broken = w->breaker != BREAKER_CLOSED;
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
		return fault_set(fault, ERR_NOMEM, "out of memory");
	w->store = store;
	w->feed = feed;
	w->sessions = sessions;
	w->options = options;
	w->wrote = true; /* a WAL may be left from before */
	w->idle_ms = clock_mono_ms() + IDLE_MS;
	pthread_mutex_init(&w->lock, NULL);
	clock_cond_init(&w->wake);
	fair_queue_init(&w->queue);
	rate_init(&w->events);
	spread_init(&w->commit);
	enum err err = write_back_create(store, &w->write_back, fault);
	if (!err && pthread_create(&w->thread, NULL, work, w) != 0)
		err = fault_set(fault, ERR_NOMEM, "cannot start a thread");
	if (err) {
		writer_destroy(w);
		return err;
	}
	w->running = true;
	*out = w;
	return ERR_NONE;
}

void writer_close(struct writer *w)
{
	pthread_mutex_lock(&w->lock);
	w->closing = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	if (w->running)
		pthread_join(w->thread, NULL);
	w->running = false;
	atomic_store(&w->brief_until_ms, 0);
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
	bool due = sessions_dirty(w->sessions) || (o != NULL && o->is_due(o->arg, true, 0));
	w->last = true;
	if (w->breaker != BREAKER_CLOSED || !(due || last != NULL))
		return;
	if (last != NULL) {
		list_append(&group, &op.link);
		w->queued_events += op_events(&op);
		w->queued_bytes += op_bytes(&op);
		quota_charge(w->options.quotas, QUOTA_QUEUE_EVENTS, 0, op_events(&op));
		quota_charge(w->options.quotas, QUOTA_QUEUE_BYTES, 0, op_bytes(&op));
	}
	commit_group(w, &group);
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
	out->queued_events = w->queued_events;
	out->queued_bytes = w->queued_bytes;
	out->queued_requests = w->waiting_requests;
	out->duplicates = w->duplicates;
	out->refused = w->refused;
	out->failed = w->failed;
	out->breaker = w->breaker;
	out->breaker_opens = w->breaker_opens;
	out->breaker_half_opens = w->breaker_half_opens;
	out->breaker_closes = w->breaker_closes;
	out->breaker_failures = w->breaker_failures;
	if (w->breaker != BREAKER_CLOSED)
		memcpy(out->reason, w->reason.text, sizeof out->reason);
	pthread_mutex_unlock(&w->lock);
	out->events = rate_total(&w->events);
	out->events_1s = rate_read(&w->events, 1);
	out->events_10s = rate_read(&w->events, 10);
	out->events_60s = rate_read(&w->events, 60);
	spread_read(&w->commit, &out->commit);
	out->commits = out->commit.count;
}

struct writer_options writer_limits(const struct writer *w)
{
	return w->options;
}
