#include "store/transfer/import.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/system/atomic_file.h"
#include "base/system/log.h"
#include "base/system/path.h"
#include "base/system/sys.h"
#include "store/archive/archive_check.h"
#include "store/archive/archive_manifest.h"
#include "store/archives/incoming_archives.h"
#include "store/archives/lost_ranges.h"
#include "store/archives/stream_last.h"
#include "store/read/reader.h"
#include "store/sqlite/db.h"
#include "store/sqlite/store_files.h"
#include "store/transfer/restore.h"
#include "json/json.h"

/* One of the files. */
struct piece {
	const char *path;
	bool has_manifest;
	struct manifest manifest; /* without a manifest: only first, last and raw_bytes */
};

struct import {
	struct store *store;
	struct reader *reader; /* reads the store as it was before */
	struct import_options options;
	struct import_figures *figures;
	uint64_t old_log_first; /* of the store as it was; 0: it was empty */
	bool grows;             /* there are events past the last one */
	uint64_t counted;       /* the store's figures have the events up to here, though it has lost their archives */
	uint64_t chain_seq;     /* where the archive ends that the log's last events went to; 0: none is noted */
	struct piece *pieces;
	int count;
	struct lineage lineage; /* of the store, and of what the files add to it */
	struct buf scratch;
	struct incoming_archives incoming;
	/* How far all of it is. */
	uint64_t done;
	uint64_t all;
	uint64_t events;
};

/* --- before anything is changed --- */

/* The range of an archive that has no manifest. */
static enum err find_range(const char *path, struct manifest *m, struct fault *fault)
{
	struct archive *a;
	struct archive_lines lines;
	struct slice time;
	enum err err = archive_open(path, &a, fault);
	if (err)
		return err;
	if (archive_frames(a) == 0)
		err = fault_set(fault, ERR_INVALID, "%s holds no events", path);
	for (int end = 0; !err && end < 2; end++) {
		err = archive_unpack(a, end == 0 ? 0 : archive_frames(a) - 1, &lines, fault);
		if (!err && (lines.count == 0 || !envelope_read_start(archive_line(&lines, end == 0 ? 0 : lines.count - 1),
								      end == 0 ? &m->first : &m->last, &time)))
			err = fault_set(fault, ERR_CORRUPT, "%s: its lines are not events", path);
	}
	if (!err && (m->first == 0 || m->first > m->last))
		err = fault_set(fault, ERR_CORRUPT, "%s: its events are not in order", path);
	m->raw_bytes = archive_raw(a);
	archive_close(a);
	return err;
}

/* Reads the manifest or the range of a file, before the store is opened. */
static enum err inspect(struct import *im, struct piece *p, struct fault *fault)
{
	struct manifest *m = &p->manifest;
	enum err err = archive_manifest_find(p->path, m, fault);
	p->has_manifest = err == ERR_NONE;
	if (err == ERR_NOT_FOUND)
		err = find_range(p->path, m, fault);
	if (err)
		return err;
	if (p->has_manifest && m->count != m->last - m->first + 1)
		return fault_set(fault, ERR_CONFLICT, "%s has a selection of events: it cannot be imported", p->path);
	im->all += m->raw_bytes;
	return ERR_NONE;
}

static int by_first(const void *a, const void *b)
{
	const struct manifest *x = &((const struct piece *)a)->manifest;
	const struct manifest *y = &((const struct piece *)b)->manifest;
	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	return x->last > y->last ? -1 : x->last < y->last;
}

/* The head of the store; 0: there is no event. */
static uint64_t head_of(const struct import *im)
{
	return im->store != NULL ? store_head(im->store) : 0;
}

/* `until` must be neither before the head of the store nor after the events of the files. */
static enum err check_until(const struct import *im, uint64_t covered, struct fault *fault)
{
	uint64_t until = im->options.until;
	uint64_t head = head_of(im);
	if (until != 0 && until < head)
		return fault_set(fault, ERR_CONFLICT,
				 "the store has events up to %" PRIu64 " already: to restore it as of %" PRIu64
				 ", import into an empty directory",
				 head, until);
	if (until > covered)
		return fault_set(fault, ERR_CONFLICT,
				 "event %" PRIu64 " is in none of the files: %" PRIu64 " is the last there is", until,
				 covered);
	return ERR_NONE;
}

/* Adds the lines of a file, which must agree with those known so far. */
static enum err join_lines(struct import *im, const struct piece *p, uint64_t covered, struct fault *fault)
{
	const struct manifest *m = &p->manifest;
	bool same = true;
	if (p->has_manifest &&
	    lineage_join(&im->lineage, covered, (struct seq_range){m->first, m->last}, m->lines, m->line_count, &same))
		return fault_nomem(fault);
	if (same)
		return ERR_NONE;
	return fault_set(
		fault, ERR_CONFLICT,
		"%s is of another store, or of another line of history (its epoch is %s) than %s: they cannot be joined",
		p->path, m->epoch, im->store != NULL ? store_dir(im->store) : "the files before it");
}

/* The files must be of one store and leave nothing out; those of events below the log may. */
static enum err check_pieces(struct import *im, struct fault *fault)
{
	uint64_t covered = head_of(im);
	for (int i = 0; i < im->count; i++) {
		const struct piece *p = &im->pieces[i];
		const struct manifest *m = &p->manifest;
		enum err err = join_lines(im, p, covered, fault);
		if (err)
			return err;
		if (m->last < im->old_log_first)
			continue;
		if (covered != 0 && m->first > covered + 1)
			return fault_set(fault, ERR_NOT_FOUND,
					 "events %" PRIu64 " to %" PRIu64 " are missing: they are in none of the files",
					 covered + 1, m->first - 1);
		covered = m->last > covered ? m->last : covered;
	}
	uint64_t first = im->pieces[0].manifest.first;
	if (im->lineage.count > 0 && im->lineage.lines[0].first > first) /* a file without a manifest, among others */
		return fault_set(fault, ERR_CONFLICT,
				 "events %" PRIu64 " to %" PRIu64 " are on none of the lines of history of the files", first,
				 im->lineage.lines[0].first - 1);
	im->grows = covered > head_of(im);
	return check_until(im, covered, fault);
}

/* --- event by event --- */

static enum err differs(uint64_t seq, struct fault *fault)
{
	return fault_set(fault, ERR_CONFLICT, "event %" PRIu64 " is another one in the store", seq);
}

/* An event that the store has in an archive. */
static enum err compare(struct import *im, const struct envelope *e, struct slice text, struct fault *fault)
{
	struct page *page;
	struct history_query q = {.after = e->seq - 1, .before = e->seq + 1, .count_max = 1, .bytes_max = 1};
	enum err err = history_page(im->reader, &q, &page, fault);
	if (err)
		return err;
	if (page_count(page) != 1 || !slice_eq(page_envelope(page, 0), text))
		err = differs(e->seq, fault);
	page_unref(page);
	im->figures->known += !err;
	return err;
}

static enum err check_data(struct import *im, const struct envelope *e, struct fault *fault)
{
	struct json_error error;
	size_t len;
	im->scratch.len = 0;
	if (!buf_reserve(&im->scratch, e->data.len))
		return fault_nomem(fault);
	if (json_minify(e->data.p, e->data.len, im->scratch.data, &len, &error) && len == e->data.len)
		return ERR_NONE;
	return fault_set(fault, ERR_CORRUPT, "event %" PRIu64 ": its data is not JSON as a server stores it", e->seq);
}

static enum err on_event(void *arg, const struct envelope *e, struct slice text, int64_t time_ms, struct fault *fault)
{
	struct import *im = arg;
	const struct seal_watch *watch = im->options.watch;
	uint64_t head = store_head(im->store);
	struct manifest known;
	im->events++;
	if (watch != NULL && watch->stop != NULL && watch->stop(watch->arg))
		return fault_set(fault, ERR_CLOSED, "it was interrupted");
	if (im->options.until != 0 && e->seq > im->options.until)
		return ERR_NONE;
	enum err err = check_data(im, e, fault);
	if (err)
		return err;
	if (e->seq > head) {
		err = restore_envelope(im->store, e, time_ms, fault);
		im->figures->restored += !err;
		return err;
	}
	if (e->seq >= im->old_log_first) {
		bool same;
		err = restore_is(im->store, e, time_ms, &same, fault);
		im->figures->known += same;
		return err || same ? err : differs(e->seq, fault);
	}
	if (archive_set_find(store_archives(im->store), e->seq, &known))
		return compare(im, e, text, fault);
	if (e->seq > im->counted)
		err = restore_archived(im->store, e, fault);
	im->figures->archived += !err;
	return err;
}

static void on_progress(void *arg, uint64_t done, uint64_t all)
{
	struct import *im = arg;
	const struct seal_watch *watch = im->options.watch;
	(void)all;
	if (watch != NULL && watch->progress != NULL)
		watch->progress(watch->arg, im->events, im->done + done, im->all);
}

static enum err take_piece(struct import *im, struct piece *p, struct fault *fault)
{
	struct archive_check s = {
		.expected = p->has_manifest ? &p->manifest : NULL, .each = on_event, .progress = on_progress, .arg = im};
	struct manifest found;
	uint64_t archived = im->figures->archived;
	enum err err = archive_check(p->path, &s, &found, fault);
	im->done += found.raw_bytes;
	if (err || im->figures->archived == archived)
		return err;
	err = manifest_set_lines(&found, store_lineage(im->store), fault);
	return err ? err : incoming_archives_copy(&im->incoming, p->path, &found, store_archives(im->store), fault);
}

/* If the archive that the log follows was lost, an imported one may replace it. */
static enum err renew_chain(struct import *im, uint64_t seq, struct fault *fault)
{
	struct manifest m;
	uint64_t log_first = store_log_first(im->store);
	if (!archive_set_find(store_archives(im->store), log_first - 1, &m) || m.last == seq)
		return ERR_NONE;
	return store_note_chain(im->store, m.last, m.chain, fault);
}

/* Lowers the seq up to which last seqs of streams are not known, below events that are in files or archives now. */
static enum err lower_unknown(const struct import *im, struct fault *fault)
{
	uint64_t unknown;
	struct manifest m;
	enum err err = stream_last_unknown(im->store->db, &unknown, fault);
	if (err || unknown == 0)
		return err;
	for (int i = im->count; i > 0; i--) {
		const struct manifest *piece = &im->pieces[i - 1].manifest;
		while (archive_set_find(store_archives(im->store), unknown, &m))
			unknown = m.first - 1;
		if (piece->first <= unknown && unknown <= piece->last)
			unknown = piece->first - 1;
	}
	while (unknown > 0 && archive_set_find(store_archives(im->store), unknown, &m))
		unknown = m.first - 1;
	return stream_last_note_unknown(im->store->db, unknown, true, fault);
}

static enum err take_all(struct import *im, struct fault *fault)
{
	uint64_t first = im->pieces[0].manifest.first;
	uint64_t last = im->options.until != 0 ? im->options.until : UINT64_MAX;
	enum err err = restore_begin(im->store, first, fault);
	/* Without manifests the lines are not known: the store keeps its own. */
	if (!err && im->grows && im->lineage.count > 0)
		err = restore_adopt(im->store, &im->lineage, last, fault);
	/* Events before a log that begins here are lost. */
	if (!err && im->old_log_first == 0 && first > 1)
		err = lost_ranges_add(im->store->db, 1, first - 1, false, fault);
	if (!err && im->old_log_first == 0 && first > 1)
		err = stream_last_note_unknown(im->store->db, first - 1, false, fault);
	for (int i = 0; !err && i < im->count; i++)
		err = take_piece(im, &im->pieces[i], fault);
	if (!err)
		err = lower_unknown(im, fault);
	if (!err && im->chain_seq != 0)
		err = renew_chain(im, im->chain_seq, fault);
	if (!err)
		err = incoming_archives_note(&im->incoming, im->store->db, fault);
	if (!err)
		err = restore_commit(im->store, fault);
	return err;
}

/* --- into an empty directory --- */

/* The store is made in a directory of its own, without a journal, and then moved into place. */
struct site {
	char dir[PATH_MAX];
	char from[PATH_MAX];
	char to[PATH_MAX];
};

static enum err put_in_place(const struct site *site, const char *dir, struct fault *fault)
{
	static const char *const logs[] = {"-wal", "-shm"};
	/* A process that has the empty store open keeps its write-ahead log: it must not be taken for the new store's. */
	for (int i = 0; i < 2; i++) {
		char path[PATH_MAX];
		path_format(path, "%s%s", site->to, logs[i]);
		unlink(path);
	}
	if (sys_sync_dir(dir) != 0)
		return sys_fail(fault, "cannot sync", dir, errno);
	return atomic_file_move(site->from, site->to, fault);
}

/* `empty`: the existing store without events, which keeps the lock; NULL: none. */
static enum err import_beside(struct import *im, struct store *empty, const char *dir, struct fault *fault)
{
	struct site site;
	path_format(site.dir, "%s/import" ATOMIC_FILE_ENDING, dir);
	store_files_db(site.dir, site.from);
	store_files_db(dir, site.to);
	if (empty != NULL)
		restore_abandon(empty);
	store_files_remove(site.dir);
	im->store = NULL;
	enum err err =
		store_open(site.dir, (struct store_options){.access = STORE_WRITE, .copies = true}, &im->store, fault);
	if (!err)
		err = restore_in_bulk(im->store, fault);
	if (!err)
		err = take_all(im, fault);
	if (err && im->store != NULL)
		restore_abandon(im->store);
	im->figures->first = err ? 0 : store_first(im->store);
	im->figures->head = err ? 0 : store_head(im->store);
	store_close(im->store);
	im->store = empty;
	if (!err)
		err = put_in_place(&site, dir, fault);
	store_files_remove(site.dir);
	return err;
}

/* Imports into a directory without a store. On failure everything is removed again. */
static enum err import_fresh(struct import *im, const char *dir, struct fault *fault)
{
	int lock = -1;
	bool made = access(dir, F_OK) != 0;
	enum err err = store_files_make_dir(dir, fault);
	if (!err)
		err = store_files_lock(dir, &lock, fault);
	if (!err)
		err = import_beside(im, NULL, dir, fault);
	if (lock >= 0)
		close(lock);
	if (err && made)
		store_files_remove(dir);
	return err;
}

static enum err import_more(struct import *im, struct fault *fault)
{
	static const char chain[] = "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'chain' AND value LIKE '%:_%'";
	sqlite3_int64 counted = 0;
	enum err err = reader_open(im->store, &im->reader, fault);
	if (!err)
		err = db_integer(im->reader->db, chain, 0, &counted, fault);
	im->counted = im->chain_seq = (uint64_t)counted;
	if (!err)
		err = take_all(im, fault);
	struct fault late;
	if (err) {
		restore_abandon(im->store);
		incoming_archives_abandon(&im->incoming, store_archives(im->store));
	} else if (incoming_archives_settle(im->store->db, store_archives(im->store), &late) != ERR_NONE) {
		log_warn("the archives are finished when the store is opened again", "why=\"%s\"", late.text);
	}
	im->figures->first = store_first(im->store);
	im->figures->head = store_head(im->store);
	reader_close(im->reader);
	return err;
}

enum err import_files(const char *dir, const char *const *paths, int count, struct import_options options,
		      struct import_figures *out, struct fault *fault)
{
	*out = (struct import_figures){0};
	struct import im = {.options = options, .figures = out, .count = count};
	assert(count > 0);
	im.pieces = calloc((size_t)count, sizeof *im.pieces);
	if (im.pieces == NULL)
		return fault_nomem(fault);
	enum err err = ERR_NONE;
	for (int i = 0; !err && i < count; i++) {
		im.pieces[i].path = paths[i];
		err = inspect(&im, &im.pieces[i], fault);
	}
	if (!err)
		qsort(im.pieces, (size_t)count, sizeof *im.pieces, by_first);
	if (!err && store_files_has_store(dir))
		err = store_open(dir, (struct store_options){.access = STORE_WRITE, .copies = true}, &im.store, fault);
	if (!err && im.store != NULL && store_head(im.store) > 0 &&
	    !lineage_copy(&im.lineage, store_lineage(im.store)->lines, store_lineage(im.store)->count))
		err = fault_nomem(fault);
	if (!err && im.store != NULL)
		im.old_log_first = store_head(im.store) > 0 ? store_log_first(im.store) : 0;
	if (!err)
		err = check_pieces(&im, fault);
	if (!err && im.store == NULL)
		err = import_fresh(&im, dir, fault);
	else if (!err)
		err = im.old_log_first == 0 ? import_beside(&im, im.store, dir, fault) : import_more(&im, fault);
	store_close(im.store);
	buf_finish(&im.scratch);
	incoming_archives_finish(&im.incoming);
	lineage_finish(&im.lineage);
	free(im.pieces);
	return err;
}
