/* The store is written by one thread at a time: the one that has the turn. Requests wait in a queue. The thread of the first
 * one takes the turn, runs all requests in the queue up to the first transaction in one commit, and wakes their threads. */
#include <assert.h>

#include "base/system/log.h"
#include "library/library.h"

enum { GROUP_BYTES_MAX = 4 * 1024 * 1024 };

bool write_is_refusal(enum err err)
{
	return err == ERR_INVALID || err == ERR_TOO_LARGE || err == ERR_CONFLICT;
}

/* --- with the turn --- */

static void wake_readers(struct tm_store *s)
{
	pthread_mutex_lock(&s->lock);
	pthread_cond_broadcast(&s->committed);
	pthread_mutex_unlock(&s->lock);
}

static enum err recover(struct tm_store *s, struct fault *fault)
{
	struct committed *found;
	if (!s->failed)
		return ERR_NONE;
	enum err err = store_recover(s->store, &found, fault);
	if (err)
		return err;
	s->failed = false;
	committed_destroy(found);
	wake_readers(s); /* what failed may have been stored */
	return ERR_NONE;
}

enum err write_end(struct tm_store *s, enum err err, struct fault *fault)
{
	struct committed *committed = NULL;
	struct fault upkeep;
	if (err) {
		store_rollback(s->store);
		return err;
	}
	err = store_commit(s->store, &committed, fault);
	s->failed = err != ERR_NONE;
	if (err)
		return err;
	committed_destroy(committed);
	wake_readers(s);
	/* What was committed stays so; the next one to write finds out whether the disk is to be trusted. */
	if (store_maintain(s->store, false, &upkeep) != ERR_NONE) {
		s->failed = true;
		log_warn("the write-ahead log cannot be written back", "error=%s", log_text(upkeep.text));
	}
	return ERR_NONE;
}

/* --- the queue --- */

/* With the lock. */
static bool is_first(const struct tm_store *s, const struct write_request *r)
{
	return s->queue.next == &r->link;
}

/* Waits until the request is done, or has the turn: true. With the lock. */
static bool wait_for_turn(struct tm_store *s, struct write_request *r)
{
	list_append(&s->queue, &r->link);
	while (!r->done && (s->writing || !is_first(s, r)))
		pthread_cond_wait(&s->turn, &s->lock);
	if (r->done)
		return false;
	s->writing = true;
	return true;
}

/* With the lock. */
static bool has_transaction(const struct tm_store *s)
{
	return s->owned && pthread_equal(s->owner, pthread_self());
}

static enum err own_transaction(struct fault *fault)
{
	return fault_set(fault, ERR_INVALID, "this thread has a transaction open, and would wait for itself");
}

/* The first requests of the queue, as many as go together. With the lock. */
static void take_group(struct tm_store *s, struct list *group)
{
	size_t weight = 0;
	list_init(group);
	LIST_EACH (link, &s->queue) {
		struct write_request *r = LIST_ITEM(link, struct write_request, link);
		weight += r->weight;
		if (r->alone || (weight > GROUP_BYTES_MAX && !list_empty(group)))
			break;
		list_remove(link);
		list_append(group, link);
	}
}

/* One transaction. */
static void run_group(struct tm_store *s, struct list *group)
{
	struct fault fault = {0};
	enum err err = recover(s, &fault);
	for (struct list *link = group->next; !err && link != group; link = link->next) {
		struct write_request *r = LIST_ITEM(link, struct write_request, link);
		r->err = r->run(r, s->store, &r->fault);
		if (r->err && !write_is_refusal(r->err)) {
			fault = r->fault;
			err = r->err;
		}
	}
	err = write_end(s, err, &fault);
	LIST_EACH (link, group) {
		struct write_request *r = LIST_ITEM(link, struct write_request, link);
		if (!err || r->err)
			continue;
		r->err = err;
		r->fault = fault;
	}
}

enum err write_run(struct tm_store *s, struct write_request *request)
{
	struct list group;
	pthread_mutex_lock(&s->lock);
	if (has_transaction(s)) {
		pthread_mutex_unlock(&s->lock);
		return own_transaction(&request->fault);
	}
	if (wait_for_turn(s, request)) {
		take_group(s, &group);
		pthread_mutex_unlock(&s->lock);
		run_group(s, &group);
		pthread_mutex_lock(&s->lock);
		LIST_EACH (link, &group) {
			list_remove(link);
			LIST_ITEM(link, struct write_request, link)->done = true;
		}
		assert(request->done);
		s->writing = false;
		pthread_cond_broadcast(&s->turn);
	}
	pthread_mutex_unlock(&s->lock);
	return request->err;
}

enum err write_take(struct tm_store *s, bool owned, struct fault *fault)
{
	struct write_request r = {.alone = true};
	pthread_mutex_lock(&s->lock);
	if (has_transaction(s)) {
		pthread_mutex_unlock(&s->lock);
		return own_transaction(fault);
	}
	bool taken = wait_for_turn(s, &r);
	assert(taken);
	list_remove(&r.link);
	s->owned = owned;
	s->owner = pthread_self();
	pthread_mutex_unlock(&s->lock);
	enum err err = recover(s, fault);
	if (err)
		write_give(s);
	return err;
}

void write_give(struct tm_store *s)
{
	pthread_mutex_lock(&s->lock);
	assert(s->writing);
	s->writing = false;
	s->owned = false;
	pthread_cond_broadcast(&s->turn);
	pthread_mutex_unlock(&s->lock);
}
