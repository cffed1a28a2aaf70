/* The open transaction. */
#include "store/log/store.h"

#include <assert.h>
#include <stdlib.h>

#include "base/system/clock.h"
#include "event/page_build.h"
#include "store/log/store_internal.h"
#include "store/sqlite/db.h"

enum err store_run(struct store *s, enum statement which, const char *what, struct fault *fault)
{
	assert(which < STATEMENTS && s->statements[which] != NULL);
	int rc = sqlite3_step(s->statements[which]);
	enum err err = rc == SQLITE_DONE || rc == SQLITE_ROW ? ERR_NONE : db_fault(s->db, rc, what, fault);
	sqlite3_reset(s->statements[which]);
	return err;
}

void store_bind(sqlite3_stmt *st, int at, struct slice text)
{
	sqlite3_bind_text(st, at, text.p, (int)text.len, SQLITE_STATIC);
}

enum err store_check_clock(const struct store *s, struct fault *fault)
{
	if (clock_wall_ms() <= CLOCK_MAX_MS && s->last_time_ms <= CLOCK_MAX_MS)
		return ERR_NONE;
	return fault_set(fault, ERR_IO, "the clock of this machine is past the year 9999, which no event can have: set it");
}

/* The time is that of the commit and never behind an earlier one. */
enum err store_begin(struct store *s, struct fault *fault)
{
	if (s->open)
		return ERR_NONE;
	assert(s->options.access == STORE_WRITE);
	assert(s->builder == NULL && s->committed == NULL);
	if (s->db == NULL)
		return fault_set(fault, ERR_IO, "the store could not be opened again yet");
	enum err err = store_files_check(&s->files, fault);
	if (!err)
		err = store_check_clock(s, fault);
	if (!err)
		err = store_run(s, S_BEGIN, "opening a transaction", fault);
	/* Not ERR_BUSY: no request is at fault, and the next one would wait as long. */
	if (err == ERR_BUSY)
		err = fault_set(fault, ERR_IO, "another program has locked %s", s->path);
	if (err)
		return err;
	int64_t now = clock_wall_ms();
	s->open = true;
	s->next_seq = s->head + 1;
	s->time_ms = now > s->last_time_ms ? now : s->last_time_ms;
	clock_format(s->time_ms, s->time_text);
	s->keys_before = index_tail_keys(s->tail);
	s->log_first_before = s->log_first;
	s->expired_before = s->expired_ids;
	s->reduced_count = 0;
	s->removed_count = 0;
	s->unused_topics = false;
	s->pending_count = 0;
	s->new_topic_count = 0;
	s->new_topics_stored = 0;
	return ERR_NONE;
}

void store_forget_pages(struct store *s)
{
	page_builder_destroy(s->builder);
	s->builder = NULL;
	committed_destroy(s->committed);
	s->committed = NULL;
}

void store_rollback(struct store *s)
{
	if (!s->open)
		return;
	s->open = false;
	if (s->db != NULL)
		db_rollback(s->db);
	index_tail_forget_keys(s->tail, s->keys_before);
	store_set_log_first(s, s->log_first_before);
	s->expired_ids = s->expired_before;
	for (size_t i = 0; i < s->pending_count; i++)
		catalog_set_open_last(s->catalog, s->pending[i].topic, 0);
	catalog_rollback(s->catalog);
	store_forget_pages(s);
}

static void set_committing(struct store *s, bool committing)
{
	pthread_mutex_lock(&s->lock);
	assert(s->committing != committing);
	s->committing = committing;
	if (!committing)
		pthread_cond_signal(&s->commit_done);
	pthread_mutex_unlock(&s->lock);
}

enum err store_commit_transaction(struct store *s, struct fault *fault)
{
	set_committing(s, true);
	enum err err = store_run(s, S_COMMIT, "committing", fault);
	set_committing(s, false);
	return err;
}
