#include "store/transfer/backup.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/system/path.h"
#include "base/system/sys.h"
#include "store/archive/archive_check.h"
#include "store/archives/archive_copy.h"
#include "store/archives/incoming_archives.h"
#include "store/archives/lost_ranges.h"
#include "store/archives/stream_last.h"
#include "store/read/reader.h"
#include "store/sqlite/store_files.h"
#include "store/transfer/restore.h"
#include "store/transfer/side_tables.h"

enum {
	PAGE_EVENTS = 2000,
	PAGE_BYTES = 1024 * 1024,
	COMMIT_EVENTS = 10000,
	/* While a server uses the store, the copy pauses this many times as long as it has worked. */
	REST = 3,
	TRIES = 20, /* of a copy from which retention removes events before any is copied */
};

struct backup {
	struct store *from;
	struct store *to;
	struct reader *reader;
	struct backup_options options;
	struct backup_figures *figures;
	uint64_t head; /* of the finished copy */
	uint64_t log;  /* log_first of the finished copy */
	uint64_t counted;
	uint64_t start;
	bool gentle;    /* a server is using the original */
	bool fresh;     /* the copy was empty */
	bool committed; /* events were copied for good */
	bool is_new;    /* the copy was never finished */
	struct incoming_archives incoming;
};

static bool is_stopped(const struct backup *b)
{
	const struct seal_watch *w = b->options.watch;
	return w != NULL && w->stop != NULL && w->stop(w->arg);
}

static void tell(const struct backup *b)
{
	assert(b->start <= store_head(b->to) && store_head(b->to) <= b->head);
	const struct seal_watch *w = b->options.watch;
	if (w != NULL && w->progress != NULL)
		w->progress(w->arg, b->figures->events, store_head(b->to) - b->start, b->head - b->start);
}

/* --- checking the destination --- */

static enum err same_event(struct backup *b, uint64_t seq, struct fault *fault)
{
	struct page *page;
	struct envelope e;
	bool same = false;
	struct history_query q = {.after = seq - 1, .before = seq + 1, .count_max = 1, .bytes_max = 1};
	enum err err = history_page(b->reader, &q, &page, fault);
	if (err == ERR_GONE)
		return ERR_NONE; /* the event was removed: nothing to compare with */
	if (err)
		return err;
	if (page_count(page) == 1 && envelope_read(page_envelope(page, 0), &e))
		err = restore_is(b->to, &e, page_entry(page, 0).time_ms, &same, fault);
	page_unref(page);
	if (err || same)
		return err;
	return fault_set(fault, ERR_CONFLICT,
			 "event %" PRIu64 " is another one in %s: the two stores have gone different ways", seq,
			 store_dir(b->to));
}

static enum err check_dest(struct backup *b, struct fault *fault)
{
	uint64_t known = store_head(b->to);
	/* A copy without a missing archive would look complete. */
	if (archive_set_rejected(store_archives(b->from), fault) || archive_set_is_missing(store_archives(b->from), fault))
		return fault->code;
	if (known == 0)
		return ERR_NONE;
	const struct lineage *ours = store_lineage(b->to);
	uint32_t lines;
	lineage_span(ours, 1, known, &lines);
	if (!lineage_is(store_lineage(b->from), 1, known, ours->lines, lines))
		return fault_set(fault, ERR_CONFLICT,
				 "%s is a copy of another store, or another line of history (epoch %s, not %s)",
				 store_dir(b->to), store_epoch(b->to), store_epoch(b->from));
	if (known > b->head)
		return fault_set(fault, ERR_CONFLICT,
				 "%s holds events up to %" PRIu64 ", and %" PRIu64 " is the last to be copied",
				 store_dir(b->to), known, b->head);
	return same_event(b, known, fault);
}

/* --- archives --- */

static enum err on_archived(void *arg, const struct envelope *e, struct slice text, int64_t time_ms, struct fault *fault)
{
	(void)text;
	(void)time_ms;
	struct backup *b = arg;
	if (is_stopped(b))
		return fault_set(fault, ERR_CLOSED, "it was interrupted");
	struct manifest known;
	bool has = !b->fresh && archive_set_find(store_archives(b->to), e->seq, &known);
	if (e->seq <= b->counted || e->seq >= store_log_first(b->to) || has)
		return ERR_NONE;
	b->counted = e->seq;
	return restore_archived(b->to, e, fault);
}

/* A fresh copy counts the events of all archives, also of those that an earlier attempt has copied; another counts those of
 * new ones. */
static enum err copy_one(struct backup *b, const struct manifest *m, struct fault *fault)
{
	char path[PATH_MAX];
	struct manifest found;
	struct manifest known;
	struct archive_check s = {.expected = m, .each = on_archived, .arg = b};
	struct archive_set *to = store_archives(b->to);
	bool is_new = !archive_set_named(to, m->file, &known);
	bool counts = (b->fresh || is_new) && m->first < store_log_first(b->to);
	archive_set_path(store_archives(b->from), m->file, path);
	enum err err = counts ? archive_check(path, &s, &found, fault) : ERR_NONE;
	if (!err)
		err = b->fresh ? archive_copy(path, m, to, fault) : incoming_archives_copy(&b->incoming, path, m, to, fault);
	b->figures->archives += !err && is_new;
	return err;
}

/* The archives that end before the copy does. */
static enum err copy_archives(struct backup *b, struct fault *fault)
{
	struct manifest m;
	enum err err = ERR_NONE;
	for (uint32_t i = 0; !err && archive_set_at(store_archives(b->from), i, &m); i++) {
		if (is_stopped(b))
			return fault_set(fault, ERR_CLOSED, "it was interrupted");
		if (m.last <= b->head)
			err = copy_one(b, &m, fault);
	}
	return err;
}

/* Adds archives to a copy that has events, with their figures in one transaction. */
static enum err add_archives(struct backup *b, struct fault *fault)
{
	enum err err = restore_begin(b->to, 0, fault);
	if (!err)
		err = copy_archives(b, fault);
	if (!err)
		err = incoming_archives_note(&b->incoming, b->to->db, fault);
	if (!err)
		err = restore_commit(b->to, fault);
	if (err)
		incoming_archives_abandon(&b->incoming, store_archives(b->to));
	return err ? err : incoming_archives_settle(b->to->db, store_archives(b->to), fault);
}

/* --- events --- */

static enum err copy_page(struct backup *b, struct page *page, struct fault *fault)
{
	enum err err = ERR_NONE;
	for (uint32_t i = 0; !err && i < page_count(page); i++) {
		struct envelope e;
		if (!envelope_read(page_envelope(page, i), &e))
			return fault_set(fault, ERR_CORRUPT, "event %" PRIu64 " is damaged", page_entry(page, i).seq);
		err = restore_envelope(b->to, &e, page_entry(page, i).time_ms, fault);
	}
	b->figures->events += page_count(page);
	return err;
}

/* Processor time of this thread. */
static int64_t worked_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Pauses, to leave disk and processors to the server. */
static void rest(const struct backup *b, int64_t since_us)
{
	int64_t us = b->gentle ? (worked_us() - since_us) * REST : 0;
	if (us > 0)
		nanosleep(&(struct timespec){us / 1000000, us % 1000000 * 1000}, NULL);
}

/* Is a process writing to the store? Then it holds the lock. */
static bool is_in_use(const char *dir)
{
	int fd;
	bool used = sys_lock_dir(dir, "lock", true, &fd) != 0 && errno == EWOULDBLOCK;
	if (fd >= 0)
		close(fd);
	return used;
}

/* Copies the events of one transaction. */
static enum err copy_events(struct backup *b, struct fault *fault)
{
	uint64_t until = store_head(b->to) + COMMIT_EVENTS;
	enum err err = ERR_NONE;
	while (!err && store_head(b->to) < b->head && store_head(b->to) < until) {
		struct page *page;
		struct history_query q = {.after = store_head(b->to),
					  .before = b->head + 1,
					  .count_max = PAGE_EVENTS,
					  .bytes_max = PAGE_BYTES};
		if (is_stopped(b))
			return fault_set(fault, ERR_CLOSED, "it was interrupted");
		int64_t start_us = worked_us();
		err = history_page(b->reader, &q, &page, fault);
		if (err)
			return err;
		err = copy_page(b, page, fault);
		page_unref(page);
		tell(b);
		rest(b, start_us);
	}
	return err;
}

/* Evicts from the copy's log what was evicted from that of the original: the archives were copied. */
static enum err follow(struct backup *b, struct fault *fault)
{
	uint64_t log_first = b->log;
	struct manifest m;
	bool archived = log_first > 1 && archive_set_find(store_archives(b->to), log_first - 1, &m);
	enum err err = ERR_NONE;
	while (!err && store_log_first(b->to) < log_first) {
		uint64_t left = 0;
		struct committed *none = NULL;
		err = store_evict(b->to, log_first - 1, archived ? m.last : log_first - 1, archived ? m.chain : NULL, &left,
				  fault);
		if (!err)
			err = store_commit(b->to, &none, fault);
		if (!err)
			err = store_maintain(b->to, false, fault);
	}
	return err;
}

/* Where the log of a fresh copy begins: where that of the original does, or after the archives that end before the copy. */
static uint64_t log_start(struct backup *b)
{
	struct manifest m;
	uint64_t archived = 0;
	if (store_log_first(b->from) <= b->head)
		return store_log_first(b->from);
	for (uint32_t i = 0; archive_set_at(store_archives(b->from), i, &m); i++)
		archived = m.last <= b->head && m.last > archived ? m.last : archived;
	uint64_t next = store_next(b->from, archived);
	return next < b->head ? next : b->head;
}

/* Copies lost ranges, last seqs of streams, and the chain that the log of the copy follows. */
static enum err note_below(struct backup *b, struct fault *fault)
{
	struct manifest m;
	uint64_t log_first = b->log > store_log_first(b->to) ? b->log : store_log_first(b->to);
	enum err err = lost_ranges_copy(b->reader->db, b->to->db, log_first, fault);
	if (!err)
		err = stream_last_copy(b->reader->db, b->to->db, b->head, fault);
	if (!err && log_first > 1 && archive_set_find(store_archives(b->to), log_first - 1, &m))
		err = store_note_chain(b->to, m.last, m.chain, fault);
	else if (!err && log_first > 1)
		err = store_note_chain(b->to, log_first - 1, NULL, fault);
	return err;
}

static enum err copy_all(struct backup *b, struct fault *fault)
{
	bool fresh = b->fresh = store_head(b->to) == 0;
	b->log = log_start(b);
	enum err err = fresh ? restore_begin(b->to, b->log > 0 ? b->log : 1, fault) : ERR_NONE;
	b->start = store_head(b->to);
	if (!err)
		err = fresh ? copy_archives(b, fault) : add_archives(b, fault);
	for (bool begun = fresh, last = false; !err && !last; begun = false) {
		if (!begun)
			err = restore_begin(b->to, 0, fault);
		if (!err)
			err = copy_events(b, fault);
		last = store_head(b->to) == b->head;
		if (!err && last)
			err = side_tables_write(b->to, b->head, b->is_new, fault);
		if (!err && last)
			err = note_below(b, fault);
		if (!err && last)
			err = restore_adopt(b->to, store_lineage(b->from), b->head, fault);
		if (!err)
			err = restore_commit(b->to, fault);
		b->committed = b->committed || !err;
		if (!err)
			err = store_maintain(b->to, false, fault);
	}
	return err ? err : follow(b, fault);
}

/* A fresh copy gets the lines of history first, so that an interrupted one recognizes its archives. It is marked until
 * everything is copied. */
static enum err adopt(const char *dir, const char *dest, struct fault *fault)
{
	struct store *from = NULL;
	struct store *to = NULL;
	enum err err = store_open(dir, (struct store_options){.access = STORE_READ}, &from, fault);
	if (!err)
		err = store_files_make_dir(dest, fault);
	if (!err && !store_files_has_store(dest))
		err = store_files_mark(dest, STORE_FILES_NEW_COPY, fault);
	if (!err)
		err = store_open(dest, (struct store_options){.access = STORE_WRITE, .copies = true}, &to, fault);
	if (!err && store_head(to) == 0)
		err = restore_adopt(to, store_lineage(from), UINT64_MAX, fault);
	store_close(to);
	store_close(from);
	return err;
}

/* *again: in: this try follows one that failed, and does not pause; out: retention has removed events before any was
 * copied, and the log begins later now. */
static enum err copy_store(const char *dir, const char *dest, struct backup_options options, struct backup_figures *out,
			   bool *again, struct fault *fault)
{
	*out = (struct backup_figures){0};
	struct backup b = {.options = options, .figures = out, .gentle = !*again && is_in_use(dir)};
	enum err err = adopt(dir, dest, fault);
	/* Commits are not synced, which would slow a server on the same disk down: closing the copy syncs it. */
	if (!err)
		err = store_open(dest, (struct store_options){.access = STORE_WRITE, .relaxed = true, .copies = true}, &b.to,
				 fault);
	/* The side tables are read first, so that they are never ahead of the events. */
	if (!err)
		err = side_tables_read(dir, b.to, fault);
	if (!err)
		err = store_open(dir, (struct store_options){.access = STORE_READ}, &b.from, fault);
	if (!err)
		err = reader_open(b.from, &b.reader, fault);
	if (!err) {
		b.head = store_head(b.from);
		if (options.until != 0 && options.until < b.head)
			b.head = options.until;
		err = check_dest(&b, fault);
	}
	b.is_new = store_files_marked(dest) == STORE_FILES_NEW_COPY;
	if (!err && !b.is_new)
		err = store_files_mark(dest, STORE_FILES_OLD_COPY, fault);
	if (!err)
		err = copy_all(&b, fault);
	if (!err) {
		out->first = store_first(b.to);
		out->head = store_head(b.to);
	}
	if (err && b.to != NULL)
		restore_abandon(b.to);
	store_close(b.to);
	if (!err)
		err = store_files_unmark(dest, fault); /* closing the copy has synced it */
	incoming_archives_finish(&b.incoming);
	reader_close(b.reader);
	store_close(b.from);
	*again = err == ERR_GONE && b.fresh && !b.committed;
	return err;
}

enum err backup_store(const char *dir, const char *dest, struct backup_options options, struct backup_figures *out,
		      struct fault *fault)
{
	bool again = false;
	enum err err = copy_store(dir, dest, options, out, &again, fault);
	for (int i = 1; again && i < TRIES; i++)
		err = copy_store(dir, dest, options, out, &again, fault);
	return err;
}
