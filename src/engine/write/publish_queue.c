#include "engine/write/publish_queue.h"

#include <assert.h>

#include "base/system/clock.h"

enum {
	/* Of one commit, so that no request waits for the whole backlog. */
	COMMIT_EVENTS_MAX = 1024,
	COMMIT_BYTES_MAX = 4 * 1024 * 1024,
	/* The same while small requests arrive along with large ones; and of one client's turn. */
	TURN_EVENTS_MAX = 128,
	TURN_BYTES_MAX = 512 * 1024,
	/* Of a small request, together with the requests of its client that wait before it. */
	SMALL_EVENTS_MAX = 16,
	SMALL_BYTES_MAX = 64 * 1024,
	/* For this time after the last sign of it several clients publish, small requests arrive along with large ones, or a
	 * client is backlogged. A large request waits no longer than this. */
	RECENT_MS = 250,
};

/* What a request takes of its client's turn. */
static uint64_t turn_share(const struct write_op *op)
{
	uint64_t events = write_op_events(op);
	return events > 0 ? events : 1;
}

static bool is_small(const struct write_op *op)
{
	return op->small;
}

void publish_queue_init(struct publish_queue *q)
{
	*q = (struct publish_queue){0};
	fair_queue_init(&q->queue);
}

/* --- adding --- */

static void note_client(struct publish_queue *q, uint64_t client)
{
	if (client == 0 || client == q->last_client)
		return;
	if (q->last_client != 0)
		q->shared_until_ms = clock_mono_ms() + RECENT_MS;
	q->last_client = client;
}

static bool piles_up(const struct list *bucket)
{
	uint64_t events = 0;
	for (const struct list *link = bucket->prev; link != bucket && events <= SMALL_EVENTS_MAX; link = link->prev)
		events += turn_share(LIST_ITEM(link, struct write_op, link));
	return events > SMALL_EVENTS_MAX;
}

/* The client's entry among the backlogged ones; if it has none, the entry that ends first. */
static struct backlogged_client *entry_of(struct publish_queue *q, uint64_t client)
{
	struct backlogged_client *first = &q->backlogged[0];
	for (struct backlogged_client *b = q->backlogged; b < q->backlogged + BACKLOGGED_MAX; b++) {
		if (b->client == client)
			return b;
		if (b->until_ms < first->until_ms)
			first = b;
	}
	return first;
}

/* Many small requests at once count as a large one. Where clients share a bucket, it is not known whose they are. */
static bool is_backlogged(struct publish_queue *q, uint64_t client, const struct list *bucket)
{
	struct backlogged_client *b = entry_of(q, client);
	if (client != 0 && !q->queue.collided && piles_up(bucket))
		*b = (struct backlogged_client){client, clock_mono_ms() + RECENT_MS};
	return b->client == client && clock_mono_ms() < b->until_ms;
}

void publish_queue_add(struct publish_queue *q, struct write_op *op)
{
	note_client(q, op->client);
	const struct list *bucket = fair_queue_append(&q->queue, op->client, &op->link);
	op->small = op->change == NULL && !op->flush && write_op_events(op) <= SMALL_EVENTS_MAX &&
		    write_op_bytes(op) <= SMALL_BYTES_MAX && !is_backlogged(q, op->client, bucket);
	q->requests++;
}

/* --- taking --- */

/* What one transaction has taken so far, and may take. */
struct intake {
	struct list *ops;
	uint64_t events;
	uint64_t bytes;
	uint64_t events_max;
	uint64_t bytes_max;
	bool full;
};

/* A request that waits until changes to sessions are durable must not overtake them. */
static bool may_come_late(const struct write_op *op)
{
	return is_small(op) && op->batch != NULL;
}

static bool is_shared(struct publish_queue *q)
{
	return fair_queue_filled(&q->queue) > 1 || clock_mono_ms() < q->shared_until_ms;
}

static void note_small(struct publish_queue *q)
{
	atomic_store(&q->small_until_ms, clock_mono_ms() + RECENT_MS);
}

bool publish_queue_has_small(struct publish_queue *q)
{
	return clock_mono_ms() < atomic_load(&q->small_until_ms);
}

void publish_queue_forget_small(struct publish_queue *q)
{
	atomic_store(&q->small_until_ms, 0);
}

/* One client's turn, as long as its requests fit (NULL: all do). */
static void take_turn(struct publish_queue *q, struct intake *g, unsigned *turn, bool (*fits)(const struct write_op *op))
{
	const struct list *bucket = fair_queue_current(&q->queue, turn);
	uint64_t bytes_before = g->bytes;
	for (uint64_t taken = 0;
	     !list_empty(bucket) && taken < TURN_EVENTS_MAX && g->bytes - bytes_before < TURN_BYTES_MAX;) {
		struct write_op *op = LIST_ITEM(bucket->next, struct write_op, link);
		if (fits != NULL && !fits(op))
			break;
		g->full = !list_empty(g->ops) &&
			  (g->events + write_op_events(op) > g->events_max || g->bytes + write_op_bytes(op) > g->bytes_max);
		if (g->full) {
			/* A client that got nothing this round goes first in the next one, where its request always fits. */
			if (taken > 0)
				fair_queue_next(turn);
			return;
		}
		fair_queue_remove(&q->queue, *turn, &op->link);
		list_append(g->ops, &op->link);
		g->events += write_op_events(op);
		g->bytes += write_op_bytes(op);
		taken += turn_share(op);
		assert(q->requests > 0);
		q->requests--;
	}
	fair_queue_next(turn);
}

/* Every client's small requests, once around. */
static void take_small(struct publish_queue *q, struct intake *g, bool (*fits)(const struct write_op *op))
{
	for (int left = fair_queue_filled(&q->queue); left > 0 && !g->full; left--)
		take_turn(q, g, &q->small_turn, fits);
}

/* Moves the turn to the next client whose first request is small, or is not, and returns that; NULL where there is none. */
static const struct write_op *pass_to(struct publish_queue *q, unsigned *turn, bool small)
{
	for (int left = fair_queue_filled(&q->queue); left > 0; left--) {
		const struct write_op *op = LIST_ITEM(fair_queue_current(&q->queue, turn)->next, struct write_op, link);
		if (is_small(op) == small)
			return op;
		fair_queue_next(turn);
	}
	return NULL;
}

bool publish_queue_small_first(struct publish_queue *q)
{
	unsigned turn = q->small_turn;
	return pass_to(q, &turn, true) != NULL;
}

/* Among several clients small requests go first, in a transaction of their own, every other time, and for as long as large
 * ones have to wait. */
void publish_queue_take(struct publish_queue *q, struct list *ops)
{
	bool shared = is_shared(q);
	struct intake g = {.ops = ops, .events_max = COMMIT_EVENTS_MAX, .bytes_max = COMMIT_BYTES_MAX};
	list_init(ops);
	if (shared && (!q->small_last || clock_mono_us() < q->large_due_us))
		take_small(q, &g, is_small);
	const struct write_op *next = list_empty(ops) ? NULL : pass_to(q, &q->turn, false);
	q->small_last = next != NULL;
	if (next != NULL && write_op_is_large(next))
		note_small(q);
	else if (publish_queue_has_small(q)) {
		g.events_max = TURN_EVENTS_MAX;
		g.bytes_max = TURN_BYTES_MAX;
	}
	while (!q->small_last && !g.full && !publish_queue_empty(q))
		take_turn(q, &g, &q->turn, NULL);
	assert(!list_empty(ops) || publish_queue_empty(q));
}

void publish_queue_take_late(struct publish_queue *q, struct list *ops, bool is_large)
{
	struct intake g = {.ops = ops, .events_max = TURN_EVENTS_MAX, .bytes_max = TURN_BYTES_MAX};
	list_init(ops);
	take_small(q, &g, may_come_late);
	if (is_large && is_shared(q) && !list_empty(ops))
		note_small(q);
}

void publish_queue_take_all(struct publish_queue *q, struct list *ops)
{
	list_init(ops);
	fair_queue_take_all(&q->queue, ops);
	q->requests = 0;
}

/* --- putting off --- */

void publish_queue_put_off_large(struct publish_queue *q, int64_t took_us)
{
	int64_t wait_us = took_us + took_us / 2;
	q->large_due_us = clock_mono_us() + (wait_us < RECENT_MS * 1000 ? wait_us : RECENT_MS * 1000);
}

int64_t publish_queue_large_due_us(const struct publish_queue *q)
{
	return q->large_due_us;
}
