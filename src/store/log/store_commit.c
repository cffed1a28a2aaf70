/* Committing, and counting what was committed. */
#include "store/log/store.h"

#include <assert.h>
#include <stdlib.h>

#include "store/log/store_internal.h"

void store_count_out(struct store *s)
{
	catalog_lock(s->catalog);
	for (size_t i = 0; i < s->reduced_count; i++)
		catalog_set_figures(s->catalog, s->reduced[i].topic, s->reduced[i].figures);
	catalog_unlock(s->catalog);
}

/* Marks the events that the rows of their topics count already. */
static void note_in_rows(struct store *s)
{
	for (size_t i = 0; i < s->new_topic_count; i++) {
		const struct insert_topic *t = &s->new_topics[i];
		if (t->first == 0)
			continue;
		struct pending *p = &s->pending[t->first - s->head - 1];
		assert(t->first - s->head <= s->pending_count && p->topic == t->topic);
		p->in_row = true;
	}
}

/* Updates everything in memory after a commit. Nothing here can fail. */
static void count_in(struct store *s)
{
	assert(s->next_seq == s->head + 1 + s->pending_count);
	catalog_commit(s->catalog);
	note_in_rows(s);
	store_count_out(s);
	catalog_lock(s->catalog);
	for (size_t i = 0; i < s->pending_count; i++)
		catalog_count(s->catalog, s->pending[i].topic, s->head + 1 + i, s->pending[i].bytes);
	catalog_unlock(s->catalog);
	store_forget_topics(s);
	index_tail_lock(s->tail);
	for (size_t i = 0; i < s->pending_count; i++)
		index_tail_add(s->tail, s->pending[i].topic, s->pending[i].in_row);
	index_tail_unlock(s->tail);
	if (s->pending_count > 0)
		s->last_time_ms = s->time_ms;
	store_set_head(s, s->next_seq - 1);
	assert(index_tail_upto(s->tail) <= s->head && index_tail_end(s->tail) <= s->head);
	assert(s->log_first <= s->head + 1);
}

void store_defer_flush(struct store *s, bool defer_flush)
{
	s->defer_flush = defer_flush;
}

/* Is the index tail flushed with this commit? Then one sync serves both. */
static bool flushes(const struct store *s)
{
	if (s->reduced_count > 0)
		return false;
	if (s->flush_wanted)
		return index_tail_lags(s->tail);
	return s->defer_flush ? index_tail_is_overdue(s->tail) : index_tail_is_due(s->tail);
}

enum err store_commit(struct store *s, struct committed **out, struct fault *fault)
{
	*out = NULL;
	if (!s->open)
		return ERR_NONE;
	assert(s->incoming.count == 0 && s->new_topics_stored == s->new_topic_count);
	enum err err = store_end_page(s);
	if (!err)
		err = index_tail_reserve(s->tail, s->pending_count);
	if (err)
		fault_set(fault, err, "out of memory");
	bool flushed = !err && flushes(s);
	if (flushed)
		err = index_tail_flush(s->tail, s->db, s->catalog, fault);
	if (!err)
		err = store_remove_topics(s, fault);
	if (!err)
		err = store_commit_transaction(s, fault);
	/* The database may have been moved away meanwhile: then the commit is lost. */
	if (!err)
		err = store_files_check(&s->files, fault);
	if (err) {
		store_rollback(s);
		return err;
	}
	s->open = false;
	if (flushed) {
		index_tail_flushed(s->tail);
		s->flush_wanted = false;
	}
	count_in(s);
	if (s->pending_count > 0)
		store_files_save_head(&s->files, s->head);
	*out = s->committed;
	s->committed = NULL;
	return ERR_NONE;
}
