#include "store/repair/salvage.h"
#include "base/system/path.h"
#include "store/open/lineage_rows.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/data/checksum.h"
#include "base/system/atomic_file.h"
#include "base/system/log.h"
#include "event/envelope.h"
#include "event/page_build.h"
#include "store/archive/archive_check.h"
#include "store/archive/archive_write.h"
#include "store/archives/lost_ranges.h"
#include "store/archives/stream_last.h"
#include "store/log/store_internal.h"
#include "store/open/database_swap.h"
#include "store/read/reader.h"
#include "store/repair/damaged_archives.h"
#include "store/sqlite/db.h"
#include "store/transfer/restore.h"
#include "store/transfer/side_tables.h"

enum { RUN_MAX = 1000000, PAGE_EVENTS = 1024, TOPIC_BYTES_MIN = 8 /* of the database */ };

/* A topic of the damaged store; json.data NULL: it could not be read. */
struct old_topic {
	struct buf json;
	uint64_t hash;
};

struct salvage {
	const char *dir;
	char files[PATH_MAX]; /* where the new store is made */
	char path[PATH_MAX];  /* of the damaged database */
	sqlite3 *from;        /* the damaged database; NULL: nothing can be read. Sums of events are checked, not of pages */
	bool stands_in;       /* `first` is read instead of its first page */
	char first[DB_FILE_PAGE];
	sqlite3_stmt *one;
	struct old_topic *topics;
	uint32_t topic_count;
	int64_t topics_max;
	struct lineage lineage;
	struct archive_set *archives; /* the sound archives */
	struct damaged_archive *damaged;
	struct store *to;
	uint64_t counted;           /* archived events up to here are counted */
	struct lost_ranges removed; /* by retention: the last seqs of their streams are known */
	uint64_t lost;              /* the last event that was lost otherwise */
	struct manifest last;       /* the newest archive; file empty: none */
	struct salvage_report *report;
};

/* --- reading the damaged store --- */

static enum err read_lineage(struct salvage *s, struct fault *fault)
{
	enum err err = lineage_rows_load(s->from, &s->lineage, fault);
	return err || s->lineage.count > 0 ? err : fault_set(fault, ERR_CORRUPT, "%s has no line of history", s->path);
}

static enum err read_topic(struct salvage *s, sqlite3_stmt *st, struct fault *fault)
{
	sqlite3_int64 id = sqlite3_column_int64(st, 0);
	struct slice stream = {(const char *)sqlite3_column_text(st, 1), (size_t)sqlite3_column_bytes(st, 1)};
	struct slice type = {(const char *)sqlite3_column_text(st, 2), (size_t)sqlite3_column_bytes(st, 2)};
	if (id < 0 || id >= s->topics_max || stream.p == NULL || type.p == NULL)
		return ERR_NONE;
	if (id >= s->topic_count) {
		size_t count = (size_t)id + 1024;
		struct old_topic *topics = realloc(s->topics, count * sizeof *topics);
		if (topics == NULL)
			return fault_nomem(fault);
		memset(topics + s->topic_count, 0, (count - s->topic_count) * sizeof *topics);
		s->topics = topics;
		s->topic_count = (uint32_t)count;
	}
	struct old_topic *t = &s->topics[id];
	t->hash = checksum_names(stream, type);
	t->json.len = 0;
	encoding_topic(&t->json, stream, type);
	return buf_failed(&t->json) ? fault_nomem(fault) : ERR_NONE;
}

/* Reads the topics that can be read: events of others cannot be verified. */
static enum err read_topics(struct salvage *s, struct fault *fault)
{
	sqlite3_stmt *st = NULL;
	enum err err = ERR_NONE;
	struct stat file;
	s->topics_max = stat(s->path, &file) == 0 ? file.st_size / TOPIC_BYTES_MIN : 0; /* a higher number is damage */
	if (s->topics_max > CATALOG_TOPICS_MAX)
		s->topics_max = CATALOG_TOPICS_MAX;
	if (db_prepare(s->from, "SELECT id, stream, type FROM topic ORDER BY id", &st, fault) == ERR_NONE)
		while (!err && sqlite3_step(st) == SQLITE_ROW)
			err = read_topic(s, st, fault);
	sqlite3_finalize(st);
	return err;
}

/* Has the database an event with this seq and the right sum? *out is valid until the next call. */
static bool read_event(struct salvage *s, uint64_t seq, struct row *out)
{
	if (s->one == NULL)
		return false;
	sqlite3_reset(s->one);
	sqlite3_bind_int64(s->one, 1, (sqlite3_int64)seq);
	if (sqlite3_step(s->one) != SQLITE_ROW)
		return false;
	sqlite3_int64 topic = sqlite3_column_int64(s->one, 2);
	*out = (struct row){.seq = seq, .time_ms = sqlite3_column_int64(s->one, 1), .topic = (uint32_t)topic};
	out->id = (struct slice){(const char *)sqlite3_column_text(s->one, 3), (size_t)sqlite3_column_bytes(s->one, 3)};
	out->data = (struct slice){(const char *)sqlite3_column_text(s->one, 4), (size_t)sqlite3_column_bytes(s->one, 4)};
	if (topic < 0 || topic >= s->topic_count || s->topics[topic].json.data == NULL || out->data.p == NULL)
		return false;
	return (int32_t)sqlite3_column_int64(s->one, 5) ==
	       checksum_event(seq, out->time_ms, s->topics[topic].hash, out->id, out->data);
}

static bool has_event(struct salvage *s, uint64_t seq)
{
	struct row row;
	struct slice envelope;
	return read_event(s, seq, &row) || damaged_archive_find(s->damaged, seq, &envelope);
}

/* --- writing archives --- */

/* Counts an archived event in the figures of the new store, and remembers its id. */
static enum err count_event(void *arg, const struct envelope *e, struct slice text, int64_t time_ms, struct fault *fault)
{
	(void)text;
	(void)time_ms;
	struct salvage *s = arg;
	struct restored_names names;
	struct event event;
	if (e->seq <= s->counted)
		return ERR_NONE; /* archives may overlap */
	s->counted = e->seq;
	enum err err = restore_decode(e, &names, &event, fault);
	if (!err)
		err = restore_archived(s->to, e, fault);
	if (!err && event.id.len > 0)
		err = store_remember(s->to, e->seq, event.stream, event.id, fault);
	return err;
}

static enum err count_page(struct salvage *s, const struct page *p, struct fault *fault)
{
	enum err err = ERR_NONE;
	for (uint32_t i = 0; !err && i < page_count(p); i++) {
		struct envelope e;
		if (!envelope_read(page_envelope(p, i), &e))
			return fault_set(fault, ERR_CORRUPT, "the archive has a line that is not an envelope");
		err = count_event(s, &e, (struct slice){0}, 0, fault);
	}
	return err;
}

static enum err add_event(struct salvage *s, struct page_builder *b, uint64_t seq, struct fault *fault)
{
	struct row row;
	char time[CLOCK_TEXT_LEN];
	struct slice text;
	struct envelope e;
	if (read_event(s, seq, &row)) {
		clock_format(row.time_ms, time);
		struct encoding_event w = {seq, time, buf_slice(&s->topics[row.topic].json), row.id, row.data};
		return page_builder_add(b, &w, row.time_ms, row.topic);
	}
	if (damaged_archive_find(s->damaged, seq, &text) && envelope_read(text, &e) && clock_parse(e.time, &row.time_ms))
		return page_builder_add_envelope(b, seq, text, row.time_ms, 0);
	return fault_set(fault, ERR_CORRUPT, "event %" PRIu64 " cannot be read any more, though it could a moment ago", seq);
}

static enum err add_page(struct salvage *s, struct archive_writer *w, uint64_t first, uint64_t last, struct fault *fault)
{
	assert(first > 0 && first <= last);
	struct page_builder *b = page_builder_create(ENCODING_LINE, "", first - 1, 0);
	enum err err = b != NULL ? ERR_NONE : fault_nomem(fault);
	for (uint64_t seq = first; !err && seq <= last; seq++)
		err = add_event(s, b, seq, fault);
	struct page *page = err || b == NULL ? NULL : page_builder_take(b, last);
	if (err && b != NULL)
		page_builder_destroy(b);
	if (!err && page == NULL)
		err = fault_nomem(fault);
	if (!err)
		err = archive_writer_add(w, page, fault);
	if (!err)
		err = count_page(s, page, fault);
	page_unref(page);
	return err;
}

static enum err write_run(struct salvage *s, uint64_t first, uint64_t last, struct fault *fault)
{
	struct atomic_file file = {.fd = -1};
	struct archive_writer *w = NULL;
	struct manifest m = {.first = first, .last = last};
	char name[ARCHIVE_NAME_LEN];
	char path[PATH_MAX];
	const struct archive_options options = {.level = ARCHIVE_LEVEL, .threads = 1};
	bool chained = s->last.last == first - 1 && s->last.file[0] != '\0';
	archive_name(name, first, last, ARCHIVE_ENDING);
	archive_set_path(s->archives, name, path);
	enum err err = archive_set_prepare(s->archives, fault);
	if (!err)
		err = archive_set_clear(s->archives, &m, fault);
	if (!err)
		err = atomic_file_create(&file, path, ATOMIC_FILE_NEW, fault);
	if (!err)
		err = archive_writer_create(options, &s->lineage, chained ? s->last.chain : NULL,
					    (struct archive_output){atomic_file_write, &file}, &w, fault);
	for (uint64_t from = first; !err && from <= last; from += PAGE_EVENTS)
		err = add_page(s, w, from, last - from < PAGE_EVENTS ? last : from + PAGE_EVENTS - 1, fault);
	if (!err)
		err = archive_writer_end(w, &m, fault);
	if (!err)
		err = atomic_file_commit(&file, fault);
	archive_writer_destroy(w); /* before the file: its threads write to it until then */
	atomic_file_abandon(&file);
	struct manifest found;
	struct archive_check check = {.expected = &m};
	if (!err)
		err = archive_check(path, &check, &found, fault);
	if (!err)
		err = archive_set_add(s->archives, &m, fault);
	if (err)
		return err;
	s->last = m;
	s->report->kept += last - first + 1;
	log_info("salvaged", "first=%" PRIu64 " last=%" PRIu64 " file=%s", first, last, m.file);
	return ERR_NONE;
}

static void note_lost(struct salvage *s, uint64_t first, uint64_t last)
{
	struct salvage_report *r = s->report;
	uint64_t lost = lost_ranges_last_outside(&s->removed, first, last);
	s->lost = lost != 0 ? lost : s->lost;
	if (r->range_count < SALVAGE_RANGES_MAX)
		r->ranges[r->range_count] = (struct lost_range){first, last};
	r->range_count++;
	r->lost += last - first + 1;
}

/* Goes through all seqs: each is in an archive, can be read, or is lost. */
static enum err walk(struct salvage *s, struct fault *fault)
{
	enum err err = ERR_NONE;
	for (uint64_t seq = 1; !err && seq <= s->report->head;) {
		struct manifest m;
		uint64_t first = seq;
		if (archive_set_find(s->archives, seq, &m)) {
			struct archive_check check = {.expected = &m, .each = count_event, .arg = s};
			char path[PATH_MAX];
			archive_set_path(s->archives, m.file, path);
			err = archive_check(path, &check, &s->last, fault);
			seq = m.last + 1;
		} else if (has_event(s, seq)) {
			do
				seq++;
			while (seq <= s->report->head && seq - first < RUN_MAX && !archive_set_find(s->archives, seq, &m) &&
			       has_event(s, seq));
			err = write_run(s, first, seq - 1, fault);
		} else {
			do
				seq++;
			while (seq <= s->report->head && !archive_set_find(s->archives, seq, &m) && !has_event(s, seq));
			note_lost(s, first, seq - 1);
		}
	}
	return err;
}

/* --- the new store --- */

/* Reads the ranges that retention has removed, and the last seqs of streams. If that fails, they count as lost otherwise. */
static void read_removed(struct salvage *s, sqlite3 *from)
{
	struct fault why;
	enum err err = db_exec(s->to->db, "BEGIN", &why);
	if (!err)
		err = stream_last_copy(from, s->to->db, s->report->head, &why);
	if (!err)
		err = lost_ranges_load(from, &s->removed, &why);
	if (!err)
		err = db_exec(s->to->db, "COMMIT", &why);
	if (!err)
		return;
	db_rollback(s->to->db);
	lost_ranges_finish(&s->removed);
	log_warn("the last seqs of streams without events cannot be read", "why=\"%s\"", why.text);
}

/* Sessions, notes and the like have no sums of their own: they are read only from pages whose sums are right. */
static enum err read_side_tables(struct salvage *s, struct fault *fault)
{
	sqlite3 *from;
	enum err err = s->from != NULL ? db_open_damaged(s->path, s->stands_in ? s->first : NULL, true, &from, fault)
				       : fault_set(fault, ERR_CORRUPT, "no part of the database can be read");
	if (err)
		return err;
	err = side_tables_read_db(from, s->to, fault);
	if (!err)
		read_removed(s, from);
	db_close(from);
	return err;
}

static enum err make_store(struct salvage *s, struct fault *fault)
{
	struct fault side_fault = {0};
	enum err err = store_open(s->files, (struct store_options){.access = STORE_WRITE, .copies = true}, &s->to, fault);
	if (!err)
		err = restore_adopt(s->to, &s->lineage, UINT64_MAX, fault);
	bool others = !err && read_side_tables(s, &side_fault) == ERR_NONE;
	if (!others)
		snprintf(s->report->side_fault, sizeof s->report->side_fault, "%.127s", side_fault.text);
	if (!err)
		err = restore_begin(s->to, s->report->head + 1, fault);
	if (!err && others)
		err = side_tables_write(s->to, s->report->head, true, fault);
	if (!err)
		err = walk(s, fault);
	if (!err && s->lost != 0)
		err = stream_last_note_unknown(s->to->db, s->lost, false, fault);
	if (!err && s->report->head > 0)
		err = store_note_chain(s->to, s->report->head, s->last.last == s->report->head ? s->last.chain : NULL,
				       fault);
	if (!err)
		err = restore_commit(s->to, fault);
	if (err && s->to != NULL)
		restore_abandon(s->to);
	store_close(s->to);
	return err;
}

/* Opens the database, with its own first page or the copy of it. */
static enum err try_database(struct salvage *s, bool stands_in, struct fault *fault)
{
	enum err err = db_open_damaged(s->path, stands_in ? s->first : NULL, false, &s->from, fault);
	if (!err)
		err = read_lineage(s, fault);
	if (!err)
		err = read_topics(s, fault);
	if (!err)
		err = db_prepare(s->from, "SELECT seq, time, topic, id, data, sum FROM event WHERE seq = ?", &s->one, fault);
	s->stands_in = stands_in;
	if (!err)
		return ERR_NONE;
	db_close(s->from);
	s->from = NULL;
	lineage_finish(&s->lineage);
	return err;
}

static bool is_first_page_whole(const char *path, uint64_t *bytes)
{
	char page[DB_FILE_PAGE];
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool whole = fd >= 0 && pread(fd, page, sizeof page, 0) == sizeof page && db_file_proves(page);
	*bytes = fd >= 0 && fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
	if (fd >= 0)
		close(fd);
	return whole;
}

/* Leaves `from` NULL if nothing can be read. */
static enum err open_database(struct salvage *s, struct fault *fault)
{
	struct store_files files;
	uint64_t bytes;
	bool whole = is_first_page_whole(s->path, &bytes);
	store_files_init(&files, s->path);
	enum err err = store_files_open_head(&files, s->dir, &s->report->head, fault);
	bool copied = !err && !whole && store_files_read_first(&files, bytes, s->first);
	store_files_finish(&files);
	if (!err && copied)
		err = try_database(s, true, fault);
	if (s->from == NULL && err != ERR_NOMEM)
		err = try_database(s, false, fault);
	return err;
}

/* The newest row that is an event: seqs on a damaged page may be any number. */
static uint64_t newest_event(struct salvage *s)
{
	sqlite3_stmt *st;
	uint64_t newest = 0;
	if (s->from == NULL ||
	    db_prepare(s->from, "SELECT seq FROM event ORDER BY seq DESC LIMIT 100000", &st, NULL) != ERR_NONE)
		return 0;
	while (newest == 0 && sqlite3_step(st) == SQLITE_ROW) {
		uint64_t seq = (uint64_t)sqlite3_column_int64(st, 0);
		newest = has_event(s, seq) ? seq : 0;
	}
	sqlite3_finalize(st);
	return newest;
}

/* The head in the table meta, read from pages with right sums. */
static uint64_t noted_head(struct salvage *s)
{
	sqlite3 *db;
	sqlite3_int64 head = 0;
	struct fault why;
	if (s->from == NULL || db_open_damaged(s->path, s->stands_in ? s->first : NULL, true, &db, &why) != ERR_NONE)
		return 0;
	if (db_integer(db, "SELECT max(value) FROM meta WHERE key IN ('head', 'trail')", 0, &head, &why) != ERR_NONE ||
	    head < 0)
		head = 0;
	db_close(db);
	return (uint64_t)head;
}

static void read_head(struct salvage *s)
{
	struct manifest m;
	const uint64_t says[] = {damaged_archive_head(s->damaged), newest_event(s), noted_head(s)};
	uint64_t *head = &s->report->head;
	for (uint32_t i = 0; archive_set_at(s->archives, i, &m); i++)
		*head = m.last > *head ? m.last : *head;
	for (size_t i = 0; i < sizeof says / sizeof *says; i++)
		*head = says[i] > *head ? says[i] : *head;
}

static enum err open_damaged(struct salvage *s, const char *archive_dir, struct fault *fault)
{
	char archives[PATH_MAX];
	path_format(archives, "%s/archives", s->dir);
	const char *dir = archive_dir != NULL ? archive_dir : archives;
	enum err err = open_database(s, fault);
	if (err == ERR_NOMEM)
		return err;
	struct fault why;
	if (s->from == NULL && (err = damaged_archive_lineage(dir, &s->lineage, &why)) != ERR_NONE)
		return fault_set(fault, err,
				 "no part of %s can be read, and %s: move it away to start with an empty store, and import "
				 "archives or a backup",
				 s->path, why.text);
	err = damaged_archive_open(dir, &s->lineage, &s->damaged, fault);
	if (!err)
		err = archive_set_open(dir, &s->lineage, true, &s->archives, fault);
	if (err)
		return err;
	s->report->damaged = damaged_archive_count(s->damaged);
	read_head(s);
	return ERR_NONE;
}

enum err store_salvage(const char *dir, const char *archive_dir, struct salvage_report *out, struct fault *fault)
{
	struct salvage s = {.dir = dir, .report = out};
	int lock;
	*out = (struct salvage_report){0};
	path_format(s.files, "%s/salvage" ATOMIC_FILE_ENDING, dir);
	store_files_db(dir, s.path);
	enum err err = store_files_lock(dir, &lock, fault);
	if (err)
		return err;
	err = open_damaged(&s, archive_dir, fault);
	store_files_remove(s.files);
	if (!err)
		err = make_store(&s, fault);
	sqlite3_finalize(s.one);
	db_close(s.from);
	archive_set_close(s.archives);
	damaged_archive_close(s.damaged);
	lineage_finish(&s.lineage);
	lost_ranges_finish(&s.removed);
	if (!err)
		err = database_swap_decide(dir, s.files, fault);
	if (!err)
		err = database_swap_finish(dir, out->old_dir, fault);
	store_files_remove(s.files);
	for (uint32_t i = 0; i < s.topic_count; i++)
		buf_finish(&s.topics[i].json);
	free(s.topics);
	close(lock);
	return err;
}
