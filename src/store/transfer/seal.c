#include "store/transfer/seal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/system/atomic_file.h"
#include "base/system/log.h"
#include "base/system/path.h"
#include "store/archive/archive_check.h"
#include "store/index/selection.h"
#include "store/read/reader.h"

enum { PAGE_EVENTS = 1024, PAGE_BYTES = 256 * 1024 };

static bool is_stopped(const struct seal_watch *watch)
{
	return watch != NULL && watch->stop != NULL && watch->stop(watch->arg);
}

static enum err fault_stopped(struct fault *fault)
{
	return fault_set(fault, ERR_CLOSED, "it was interrupted");
}

/* Without a filter a page must have every event of its range. */
static enum err check_whole(struct page *page, uint64_t after, struct fault *fault)
{
	for (uint32_t i = 0; i < page_count(page); i++, after++)
		if (page_entry(page, i).seq != after + 1)
			break;
	if (after == page_last(page))
		return ERR_NONE;
	return fault_set(fault, ERR_CORRUPT, "event %" PRIu64 " is missing", after + 1);
}

enum err export_events(struct reader *r, struct history_query query, struct archive_writer *w,
		       const struct seal_watch *watch, struct fault *fault)
{
	assert(query.before > 0); /* a query without an end is not allowed here */
	uint64_t from = query.after;
	uint64_t all = query.before - 1 - from;
	uint64_t events = 0;
	enum err err = ERR_NONE;
	query.count_max = PAGE_EVENTS;
	query.bytes_max = PAGE_BYTES;
	while (!err && query.after + 1 < query.before) {
		struct page *page;
		if (is_stopped(watch))
			return fault_stopped(fault);
		err = history_page_as(r, &query, ENCODING_LINE, &page, fault);
		if (err)
			break;
		if (selection_is_open(query.select))
			err = check_whole(page, query.after, fault);
		if (!err)
			err = archive_writer_add(w, page, fault);
		query.after = page_last(page);
		events += page_count(page);
		page_unref(page);
		if (watch != NULL && watch->progress != NULL)
			watch->progress(watch->arg, events, query.after - from, all);
	}
	return err;
}

/* --- sealing --- */

/* The archive that seal_range makes. */
struct sealing {
	struct reader *reader;
	struct seq_range events;
	struct archive_options options;
	const struct seal_watch *watch;
	char path[PATH_MAX];
};

/* `previous`: the chain of the archive before; NULL: there is none. */
static enum err write_archive(const struct sealing *s, const char *previous, struct manifest *out, struct fault *fault)
{
	struct atomic_file file;
	struct archive_writer *w = NULL;
	struct history_query q = {.after = s->events.first - 1, .before = s->events.last + 1};
	enum err err = atomic_file_create(&file, s->path, ATOMIC_FILE_NEW, fault);
	if (!err)
		err = archive_writer_create(s->options, store_lineage(s->reader->store), previous,
					    (struct archive_output){atomic_file_write, &file}, &w, fault);
	if (!err)
		err = export_events(s->reader, q, w, s->watch, fault);
	if (!err)
		err = archive_writer_end(w, out, fault);
	if (!err)
		err = atomic_file_commit(&file, fault);
	archive_writer_destroy(w); /* before the file: its threads write to it until then */
	atomic_file_abandon(&file);
	return err;
}

/* The comparison of an archive that is being read back with the log. */
struct comparison {
	struct reader *reader;
	const struct seal_watch *watch;
	struct page *page;
	uint32_t index;
	uint64_t after;
	uint64_t last;
	bool log_failed; /* the log could not be read, not the archive */
};

static enum err next_page(struct comparison *c, struct fault *fault)
{
	struct history_query q = {
		.after = c->after, .before = c->last + 1, .count_max = PAGE_EVENTS, .bytes_max = PAGE_BYTES};
	page_unref(c->page);
	c->page = NULL;
	c->index = 0;
	if (is_stopped(c->watch))
		return fault_stopped(fault);
	enum err err = history_page_as(c->reader, &q, ENCODING_LINE, &c->page, fault);
	c->log_failed = err != ERR_NONE;
	if (!err)
		c->after = page_last(c->page);
	return err;
}

static enum err compare_event(void *arg, const struct envelope *e, struct slice text, int64_t time_ms, struct fault *fault)
{
	(void)time_ms;
	struct comparison *c = arg;
	/* Evicted events were compared before they were evicted. */
	if (e->seq < store_log_first(c->reader->store))
		return ERR_NONE;
	if (c->page == NULL || c->index == page_count(c->page)) {
		if (c->after < e->seq - 1)
			c->after = e->seq - 1;
		enum err err = next_page(c, fault);
		if (err)
			return err;
	}
	assert(c->index <= page_count(c->page));
	if (c->index < page_count(c->page) && slice_eq(page_envelope(c->page, c->index), text)) {
		c->index++;
		return ERR_NONE;
	}
	return fault_set(fault, ERR_CONFLICT, "event %" PRIu64 ": the archive and the log differ", e->seq);
}

/* The archive must have the whole range before events are evicted. */
static enum err check_range(const struct manifest *m, struct seq_range events, struct fault *fault)
{
	uint64_t first = events.first;
	uint64_t last = events.last;
	if (m->first == first && m->last == last && m->count == last - first + 1)
		return ERR_NONE;
	return fault_set(fault, ERR_CORRUPT,
			 "the archive of events %" PRIu64 " to %" PRIu64 " holds %" PRIu64 ", %" PRIu64 " to %" PRIu64
			 ": no event is evicted",
			 first, last, m->count, m->first, m->last);
}

/* Reads the archive back to the last byte, and compares it with the log. *damaged: the file is missing or damaged. */
static enum err prove(const struct sealing *s, const struct manifest *expected, struct manifest *out, bool *damaged,
		      struct fault *fault)
{
	struct seq_range events = {expected->first, expected->last};
	struct comparison c = {.reader = s->reader, .watch = s->watch, .after = events.first - 1, .last = events.last};
	struct archive_check check = {.expected = expected, .each = compare_event, .arg = &c};
	enum err err = archive_check(s->path, &check, out, fault);
	page_unref(c.page);
	*damaged = !c.log_failed && (err == ERR_CORRUPT || err == ERR_NOT_FOUND);
	return err ? err : check_range(out, events, fault);
}

enum err seal_range(struct reader *r, struct seq_range events, struct archive_options options,
		    const struct seal_watch *watch, struct manifest *out, struct fault *fault)
{
	struct archive_set *set = store_archives(r->store);
	struct manifest known;
	struct manifest before;
	char name[ARCHIVE_NAME_LEN];
	struct sealing s = {.reader = r, .events = events, .options = options, .watch = watch};
	uint64_t first = events.first;
	assert(first > 0 && first <= events.last);
	archive_name(name, first, events.last, ARCHIVE_ENDING);
	archive_set_path(set, name, s.path);
	bool damaged = false;
	enum err err = ERR_NONE;
	if (archive_set_named(set, name, &known)) {
		err = prove(&s, &known, out, &damaged, fault);
		/* As long as the log has all of its events, a damaged archive is made again. */
		if (!err || !damaged || first < store_log_first(r->store))
			return err;
		log_warn("an archive is damaged, and is made again from the log", "file=\"%s\" why=\"%s\"", s.path,
			 fault->text);
		archive_set_forget(set, name);
	}
	err = archive_set_prepare(set, fault);
	bool chained = first > 1 && archive_set_find(set, first - 1, &before) && before.last == first - 1;
	if (!err)
		err = archive_set_clear(set, &(struct manifest){.first = first, .last = events.last}, fault);
	if (!err)
		err = write_archive(&s, chained ? before.chain : NULL, &known, fault);
	if (!err)
		err = check_range(&known, events, fault);
	if (!err)
		err = prove(&s, &known, out, &damaged, fault);
	return err ? err : archive_set_add(set, out, fault);
}

enum err seal_delete(struct reader *r, const char *file, struct fault *fault)
{
	return archive_set_delete(store_archives(r->store), file, store_log_first(r->store), fault);
}

bool seal_find_range(struct store *s, uint64_t first, uint64_t last)
{
	struct manifest m;
	char name[ARCHIVE_NAME_LEN];
	archive_name(name, first, last, ARCHIVE_ENDING);
	return archive_set_named(store_archives(s), name, &m);
}
