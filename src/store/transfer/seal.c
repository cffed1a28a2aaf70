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

static enum err stopped(struct fault *fault)
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
			return stopped(fault);
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

static enum err write_archive(struct reader *r, const char *path, uint64_t first, uint64_t last, const char *previous,
			      struct archive_options options, const struct seal_watch *watch, struct manifest *out,
			      struct fault *fault)
{
	struct atomic_file file;
	struct archive_writer *w = NULL;
	struct history_query q = {.after = first - 1, .before = last + 1};
	enum err err = atomic_file_create(&file, path, ATOMIC_FILE_NEW, fault);
	if (!err)
		err = archive_writer_create(options, store_lineage(r->store), previous, atomic_file_write, &file, &w, fault);
	if (!err)
		err = export_events(r, q, w, watch, fault);
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
		return stopped(fault);
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
	return fault_set(fault, ERR_CONFLICT, "the archive and the log differ");
}

/* The archive must have the whole range before events are evicted. */
static enum err is_range(const struct manifest *m, uint64_t first, uint64_t last, struct fault *fault)
{
	if (m->first == first && m->last == last && m->count == last - first + 1)
		return ERR_NONE;
	return fault_set(fault, ERR_CORRUPT,
			 "the archive of events %" PRIu64 " to %" PRIu64 " holds %" PRIu64 ", %" PRIu64 " to %" PRIu64
			 ": no event is evicted",
			 first, last, m->count, m->first, m->last);
}

/* Reads the archive back to the last byte, and compares it with the log. *damaged: the file is missing or damaged. */
static enum err prove(struct reader *r, const char *path, const struct manifest *expected, const struct seal_watch *watch,
		      struct manifest *out, bool *damaged, struct fault *fault)
{
	struct comparison c = {.reader = r, .watch = watch, .after = expected->first - 1, .last = expected->last};
	struct archive_check s = {.expected = expected, .each = compare_event, .arg = &c};
	enum err err = archive_check(path, &s, out, fault);
	page_unref(c.page);
	*damaged = !c.log_failed && (err == ERR_CORRUPT || err == ERR_NOT_FOUND);
	return err ? err : is_range(out, expected->first, expected->last, fault);
}

enum err seal_range(struct reader *r, uint64_t first, uint64_t last, struct archive_options options,
		    const struct seal_watch *watch, struct manifest *out, struct fault *fault)
{
	struct archive_set *set = store_archives(r->store);
	struct manifest known;
	struct manifest before;
	char name[ARCHIVE_NAME_LEN];
	char path[PATH_MAX];
	assert(first > 0 && first <= last);
	archive_name(name, first, last, ARCHIVE_ENDING);
	archive_set_path(set, name, path);
	bool damaged = false;
	enum err err = ERR_NONE;
	if (archive_set_named(set, name, &known)) {
		err = prove(r, path, &known, watch, out, &damaged, fault);
		/* As long as the log has all of its events, a damaged archive is made again. */
		if (!err || !damaged || first < store_log_first(r->store))
			return err;
		log_warn("an archive is damaged, and is made again from the log", "file=\"%s\" why=\"%s\"", path,
			 fault->text);
		archive_set_forget(set, name);
	}
	err = archive_set_prepare(set, fault);
	bool chained = first > 1 && archive_set_find(set, first - 1, &before) && before.last == first - 1;
	if (!err)
		err = archive_set_clear(set, &(struct manifest){.first = first, .last = last}, fault);
	if (!err)
		err = write_archive(r, path, first, last, chained ? before.chain : NULL, options, watch, &known, fault);
	if (!err)
		err = is_range(&known, first, last, fault);
	if (!err)
		err = prove(r, path, &known, watch, out, &damaged, fault);
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
