#include "engine/write/writer_internal.h"

#include <assert.h>

#include "base/system/clock.h"
#include "base/system/log.h"

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

/* Changes to sessions take effect once they are durable. */
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

/* The observer's figures as of the last commit are saved with this one. */
static enum err save_observer(struct writer *w, struct list *group, struct fault *fault)
{
	const struct writer_observer *o = w->options.observer;
	uint64_t evict_upto = 0;
	LIST_EACH (link, group) {
		const struct write_op *op = LIST_ITEM(link, struct write_op, link);
		uint64_t upto = op->divides ? UINT64_MAX : op->evict_upto;
		evict_upto = upto > evict_upto ? upto : evict_upto;
	}
	w->saving = o != NULL && o->is_due(o->arg, w->last, evict_upto);
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

/* The observer comes first, so that an event is counted before any reader gets it. */
void group_deliver(struct writer *w, struct committed *committed, int64_t submitted_us)
{
	if (w->options.observer != NULL)
		w->options.observer->apply(w->options.observer->arg, committed);
	feed_publish_take(w->feed, committed, submitted_us);
}

/* A transaction that cannot be opened fails the group, not the change. */
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

static void refuse_low(struct writer *w, const struct write_op *op)
{
	pthread_mutex_lock(&w->lock);
	w->refused++;
	pthread_mutex_unlock(&w->lock);
	disk_reserve_count(&w->reserve, &op->fault);
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
		op->err = low->code != ERR_NONE ? low->code : disk_reserve_take(&w->reserve, op->batch, &op->fault);
		if (op->err) {
			refuse_low(w, op);
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

static uint64_t bytes_of(const struct list *group)
{
	uint64_t bytes = 0;
	LIST_EACH (link, group)
		bytes += write_op_bytes(LIST_ITEM(link, struct write_op, link));
	return bytes;
}

static bool has_large(const struct list *group)
{
	LIST_EACH (link, group)
		if (write_op_is_large(LIST_ITEM(link, struct write_op, link)))
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

/* Small requests are answered before a large one, whose answer may take the thread from its processor; but no client's own
 * requests change places. */
static void put_before_large(struct list *group, struct list *late)
{
	struct list *first = group->next;
	LIST_EACH (link, late) {
		bool goes_last = has_client(group, LIST_ITEM(link, struct write_op, link)->client);
		list_remove(link);
		list_append(goes_last ? group : first, link); /* to a link: before it */
	}
}

/* Small requests that arrived meanwhile join this commit; otherwise they would wait for two. */
static enum err append_late(struct writer *w, struct list *group, bool is_large, const struct fault *low,
			    struct fault *fault)
{
	struct list late;
	pthread_mutex_lock(&w->lock);
	publish_queue_take_late(&w->queue, &late, is_large);
	pthread_mutex_unlock(&w->lock);
	enum err err = append_group(w, &late, low, fault);
	if (is_large)
		put_before_large(group, &late);
	else
		list_move_all(group, &late);
	return err;
}

void group_trip(struct writer *w, const struct fault *why)
{
	pthread_mutex_lock(&w->lock);
	breaker_open(&w->breaker, why);
	pthread_mutex_unlock(&w->lock);
	log_error("cannot commit; publishing stops until commits work again", "error=%s", log_text(why->text));
}

static void roll_back(struct writer *w)
{
	store_rollback(w->store);
	sessions_written(w->sessions, false);
	observer_saved(w, false);
}

/* All or nothing: no request of the group was stored, and each is answered with the reason. So is one that had a conflict:
 * the last seq of its stream may have come from another request of the group. */
static void fail_group(struct writer *w, struct list *group, const struct fault *why)
{
	roll_back(w);
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
		events += write_op_events(op);
		bytes += write_op_bytes(op);
		quota_give(w->options.quotas, QUOTA_QUEUE_EVENTS, op->account, write_op_events(op));
		quota_give(w->options.quotas, QUOTA_QUEUE_BYTES, op->account, write_op_bytes(op));
		duplicates += op->err ? 0 : op->receipt.duplicates;
	}
	pthread_mutex_lock(&w->lock);
	assert(w->waiting_events >= events && w->waiting_bytes >= bytes && w->waiting_requests >= requests);
	w->waiting_events -= events;
	w->waiting_bytes -= bytes;
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

/* Such a change is alone in its group. */
static bool divides(const struct list *group)
{
	return !list_empty(group) && LIST_ITEM(group->next, struct write_op, link)->divides;
}

/* Tries to commit the whole group in one transaction, with small requests that arrive meanwhile. */
static enum err try_commit(struct writer *w, struct list *group, bool is_large, const struct fault *low,
			   struct committed **committed, struct fault *fault)
{
	w->failed_change = NULL;
	enum err err = sessions_write(w->sessions, w->store, fault);
	if (!err)
		err = save_observer(w, group, fault);
	if (!err)
		err = append_group(w, group, low, fault);
	if (!err && !divides(group))
		err = append_late(w, group, is_large, low, fault);
	/* Small requests that arrived during a large transaction wait for the commit after it: neither should flush the
	 * index. */
	store_defer_flush(w->store, publish_queue_has_small(&w->queue) && (is_large || w->large_last));
	w->large_last = is_large;
	return err ? err : store_commit(w->store, committed, fault);
}

/* Rolls back a transaction in which a change has failed, and answers that change. SQLite rolls back everything at an
 * unreadable page, so a savepoint would not keep the other requests: they stay in the group for the next try. Other changes
 * move to `apart`, so that any number of changes that fail cost the group one try. */
static void fail_change(struct writer *w, struct list *group, struct list *apart)
{
	struct list failed;
	assert(w->failed_change != NULL && w->failed_change->change != NULL);
	list_init(&failed);
	roll_back(w);
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
	assert(!list_empty(&failed));
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
	bool is_large = has_large(group); /* late requests are small */
	int64_t start = clock_mono_us();
	disk_reserve_check(&w->reserve, bytes_of(group),
			   &low); /* being low is not a disk failure: the breaker stays closed */
	enum err err = try_commit(w, group, is_large, &low, &committed, &fault);
	if (err && w->failed_change != NULL) {
		fail_change(w, group, apart);
		err = try_commit(w, group, is_large, &low, &committed, &fault);
	}
	assert(w->failed_change == NULL); /* the changes of the second try are all apart */
	if (err) {
		fault.code = err;
		fail_group(w, group, &fault);
		if (err != ERR_NOMEM)
			group_trip(w, &fault);
	} else {
		sessions_written(w->sessions, true);
		observer_saved(w, true);
		apply_sessions(w, group);
		if (committed != NULL)
			spread_add(&w->commit, clock_mono_us() - start, 1);
		w->wrote = true;
		/* Refused requests do not postpone the idle checkpoint, or a client that tries again and again would keep
		 * the WAL from shrinking. */
		if (low.code == ERR_NONE && !w->reserve.refused_any)
			w->idle_ms = clock_mono_ms() + WRITER_IDLE_MS;
		if (committed != NULL) {
			rate_add(&w->events, committed_count(committed));
			group_deliver(w, committed, submitted_us(group));
		}
	}
	finish_group(w, group);
	if (is_large)
		publish_queue_put_off_large(&w->queue, clock_mono_us() - start);
	return !err;
}

/* Fails requests that wait for the next transaction, for the reason that the breaker is open. */
void group_fail(struct writer *w, struct list *waiting)
{
	pthread_mutex_lock(&w->lock);
	struct fault why = w->breaker.reason;
	pthread_mutex_unlock(&w->lock);
	fail_group(w, waiting, &why);
	finish_group(w, waiting);
}

/* Moves requests that must be committed alone to `apart`. */
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
bool group_commit(struct writer *w, struct list *group)
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
		group_fail(w, &apart);
	return fine;
}
