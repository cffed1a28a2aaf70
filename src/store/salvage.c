#include "store/salvage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sys.h"
#include "event/envelope.h"
#include "store/archive_write.h"
#include "store/aside.h"
#include "store/db.h"
#include "store/new_file.h"
#include "store/page_build.h"
#include "store/reader.h"
#include "store/restore.h"
#include "store/store_inside.h"
#include "store/sum.h"
#include "store/survey.h"

enum { PATH_LEN = 1200, RUN_MAX = 1000000, PAGE_EVENTS = 1024, TOPICS_MAX = 1 << 24 };

/* A topic of the damaged store; json.data NULL: it cannot be read. */
struct old_topic {
	struct buf json;
	uint64_t hash;
};

struct salvage {
	const char *dir;
	char place[PATH_LEN]; /* where the new store is made */
	sqlite3 *from;        /* damaged; its pages are not checked, its events are */
	sqlite3_stmt *one;
	struct old_topic *topics;
	uint32_t topic_count;
	char epoch[STORE_EPOCH_LEN + 1];
	struct archive_set *archives;
	struct store *to;
	struct manifest last; /* the newest archive; no file: there is none */
	struct salvage_report *report;
};

/* --- what can be read --- */

static enum err read_epoch(struct salvage *s, struct fault *fault)
{
	sqlite3_stmt *st = NULL;
	enum err err = db_prepare(s->from, "SELECT value FROM meta WHERE key = 'epoch'", &st, fault);
	if (!err && sqlite3_step(st) == SQLITE_ROW && sqlite3_column_bytes(st, 0) == STORE_EPOCH_LEN)
		memcpy(s->epoch, sqlite3_column_text(st, 0), STORE_EPOCH_LEN);
	sqlite3_finalize(st);
	if (!err && s->epoch[0] != '\0')
		return ERR_NONE;
	return fault_set(
		fault, ERR_CORRUPT,
		"not even the epoch of %s/tidemark.db can be read: move it away to begin anew, and import archives or a "
		"backup",
		s->dir);
}

/* The highest seq that there ever was, as far as anything still says so. */
static void read_head(struct salvage *s)
{
	static const char *const says[] = {"SELECT max(seq) FROM event", "SELECT value FROM meta WHERE key = 'head'",
					   "SELECT value FROM meta WHERE key = 'trail'"};
	struct place place;
	uint64_t noted = 0;
	place_init(&place, "");
	if (place_open_note(&place, s->dir, &noted, NULL) == ERR_NONE)
		s->report->head = noted;
	place_finish(&place);
	for (size_t i = 0; i < sizeof says / sizeof *says; i++) {
		sqlite3_int64 seq = 0;
		if (db_integer(s->from, says[i], 0, &seq, NULL) == ERR_NONE && seq > 0 && (uint64_t)seq > s->report->head)
			s->report->head = (uint64_t)seq;
	}
}

static enum err read_topic(struct salvage *s, sqlite3_stmt *st, struct fault *fault)
{
	sqlite3_int64 id = sqlite3_column_int64(st, 0);
	struct slice stream = {(const char *)sqlite3_column_text(st, 1), (size_t)sqlite3_column_bytes(st, 1)};
	struct slice type = {(const char *)sqlite3_column_text(st, 2), (size_t)sqlite3_column_bytes(st, 2)};
	if (id < 0 || id >= TOPICS_MAX || stream.p == NULL || type.p == NULL)
		return ERR_NONE;
	if (id >= s->topic_count) {
		size_t count = (size_t)id + 1024;
		struct old_topic *topics = realloc(s->topics, count * sizeof *topics);
		if (topics == NULL)
			return fault_set(fault, ERR_NOMEM, "out of memory");
		memset(topics + s->topic_count, 0, (count - s->topic_count) * sizeof *topics);
		s->topics = topics;
		s->topic_count = (uint32_t)count;
	}
	struct old_topic *t = &s->topics[id];
	t->hash = sum_names(stream, type);
	t->json.len = 0;
	wire_topic(&t->json, stream, type);
	return buf_failed(&t->json) ? fault_set(fault, ERR_NOMEM, "out of memory") : ERR_NONE;
}

/* As many as can be read: an event whose topic is not among them cannot be proven. */
static enum err read_topics(struct salvage *s, struct fault *fault)
{
	sqlite3_stmt *st = NULL;
	enum err err = ERR_NONE;
	if (db_prepare(s->from, "SELECT id, stream, type FROM topic ORDER BY id", &st, fault) == ERR_NONE)
		while (!err && sqlite3_step(st) == SQLITE_ROW)
			err = read_topic(s, st, fault);
	sqlite3_finalize(st);
	return err;
}

/* Is there an event with this seq, and its sum right? Until the next call *out is valid. */
static bool read_event(struct salvage *s, uint64_t seq, struct row *out)
{
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
	       sum_event(seq, out->time_ms, s->topics[topic].hash, out->id, out->data);
}

/* --- into archives --- */

static enum err count_event(void *arg, const struct envelope *e, struct slice text, int64_t time_ms, struct fault *fault)
{
	(void)text;
	(void)time_ms;
	return restore_archived(((struct salvage *)arg)->to, e, fault);
}

/* The figures of the new store count what archives hold, and it remembers the ids. */
static enum err count_page(struct salvage *s, const struct page *p, struct fault *fault)
{
	enum err err = ERR_NONE;
	for (uint32_t i = 0; !err && i < page_count(p); i++) {
		struct envelope e;
		struct restored_names names;
		struct event event;
		if (!envelope_read(page_envelope(p, i), &e))
			return fault_set(fault, ERR_CORRUPT, "an envelope is none");
		err = restore_decode(&e, &names, &event, fault);
		if (!err)
			err = restore_archived(s->to, &e, fault);
		if (!err && event.id.len > 0)
			err = store_remember(s->to, e.seq, event.stream, event.id, fault);
	}
	return err;
}

static enum err add_page(struct salvage *s, struct archive_writer *w, uint64_t first, uint64_t last, struct fault *fault)
{
	struct page_builder *b = page_builder_create(WIRE_LINE, first - 1, 0);
	enum err err = b != NULL ? ERR_NONE : fault_set(fault, ERR_NOMEM, "out of memory");
	for (uint64_t seq = first; !err && seq <= last; seq++) {
		struct row row;
		char time[CLOCK_TEXT_LEN];
		if (!read_event(s, seq, &row)) {
			err = fault_set(fault, ERR_CORRUPT, "event %llu could be read a moment ago",
					(unsigned long long)seq);
			break;
		}
		clock_format(row.time_ms, time);
		struct wire_event e = {seq, time, buf_slice(&s->topics[row.topic].json), row.id, row.data};
		err = page_builder_add(b, &e, row.time_ms, row.topic);
	}
	struct page *page = err || b == NULL ? NULL : page_builder_take(b, last);
	if (err && b != NULL)
		page_builder_destroy(b);
	if (!err && page == NULL)
		err = fault_set(fault, ERR_NOMEM, "out of memory");
	if (!err)
		err = archive_writer_add(w, page, fault);
	if (!err)
		err = count_page(s, page, fault);
	page_unref(page);
	return err;
}

static enum err write_run(struct salvage *s, uint64_t first, uint64_t last, struct fault *fault)
{
	struct new_file file = {.fd = -1};
	struct archive_writer *w = NULL;
	struct manifest m = {.first = first, .last = last};
	char name[ARCHIVE_NAME_LEN];
	char path[PATH_LEN];
	const struct archive_options options = {ARCHIVE_LEVEL, 1};
	bool chained = s->last.last == first - 1 && s->last.file[0] != '\0';
	archive_name(name, first, last, ARCHIVE_ENDING);
	archive_set_path(s->archives, name, path, sizeof path);
	enum err err = archive_set_prepare(s->archives, fault);
	if (!err)
		err = archive_set_clear(s->archives, &m, fault);
	if (!err)
		err = new_file_create(&file, path, fault);
	if (!err)
		err = archive_writer_create(options, s->epoch, chained ? s->last.chain : NULL, new_file_write, &file, &w,
					    fault);
	for (uint64_t from = first; !err && from <= last; from += PAGE_EVENTS)
		err = add_page(s, w, from, last - from < PAGE_EVENTS ? last : from + PAGE_EVENTS - 1, fault);
	if (!err)
		err = archive_writer_end(w, &m, fault);
	if (!err)
		err = new_file_commit(&file, fault);
	new_file_abandon(&file);
	archive_writer_destroy(w);
	struct manifest found;
	struct survey survey = {.expected = &m};
	if (!err)
		err = archive_survey(path, &survey, &found, fault);
	if (!err)
		err = archive_set_add(s->archives, &m, fault);
	if (err)
		return err;
	s->last = m;
	s->report->kept += last - first + 1;
	log_info("salvaged", "first=%llu last=%llu file=%s", (unsigned long long)first, (unsigned long long)last, m.file);
	return ERR_NONE;
}

static void note_gone(struct salvage_report *r, uint64_t first, uint64_t last)
{
	if (r->range_count < SALVAGE_RANGES_MAX)
		r->ranges[r->range_count] = (struct gone_range){first, last};
	r->range_count++;
	r->gone += last - first + 1;
}

/* Each seq is in an archive already, can be read, or is gone. */
static enum err walk(struct salvage *s, struct fault *fault)
{
	enum err err = ERR_NONE;
	for (uint64_t seq = 1; !err && seq <= s->report->head;) {
		struct row row;
		struct manifest m;
		uint64_t first = seq;
		if (archive_set_find(s->archives, seq, &m)) {
			struct survey survey = {.expected = &m, .each = count_event, .arg = s};
			char path[PATH_LEN];
			archive_set_path(s->archives, m.file, path, sizeof path);
			err = archive_survey(path, &survey, &s->last, fault);
			seq = m.last + 1;
		} else if (read_event(s, seq, &row)) {
			while (seq <= s->report->head && seq - first < RUN_MAX && !archive_set_find(s->archives, seq, &m) &&
			       read_event(s, seq, &row))
				seq++;
			err = write_run(s, first, seq - 1, fault);
		} else {
			while (seq <= s->report->head && !archive_set_find(s->archives, seq, &m) &&
			       !read_event(s, seq, &row))
				seq++;
			note_gone(s->report, first, seq - 1);
		}
	}
	return err;
}

/* --- the new store --- */

static enum err make_store(struct salvage *s, struct fault *fault)
{
	struct fault beside;
	enum err err = store_open(s->place, (struct store_options){.access = STORE_WRITE}, &s->to, fault);
	if (!err)
		err = restore_adopt(s->to, s->epoch, fault);
	bool others = !err && aside_read(s->dir, s->to, &beside) == ERR_NONE;
	if (!others)
		snprintf(s->report->beside, sizeof s->report->beside, "%.127s", beside.text);
	if (!err)
		err = restore_begin(s->to, NULL, s->report->head + 1, fault);
	if (!err && others)
		err = aside_write(s->to, s->report->head, true, fault);
	if (!err)
		err = walk(s, fault);
	if (!err && s->last.file[0] != '\0')
		err = store_note_chain(s->to, s->last.last, s->last.chain, fault);
	if (!err)
		err = restore_commit(s->to, fault);
	if (err && s->to != NULL)
		restore_abandon(s->to);
	store_close(s->to);
	return err;
}

/* What was there goes aside, and the new database into its place. A crash in between leaves both. */
static enum err swap(struct salvage *s, struct fault *fault)
{
	static const char *const files[] = {"tidemark.db-wal", "tidemark.db-shm", "head", "tidemark.db"};
	char from[PATH_LEN + 32];
	char to[PATH_LEN + 32];
	char stamp[32];
	struct tm tm;
	time_t now = (time_t)(clock_wall_ms() / 1000);
	strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
	snprintf(s->report->aside, sizeof s->report->aside, "%.1000s/damaged-%s", s->dir, stamp);
	if (mkdir(s->report->aside, 0700) != 0 && errno != EEXIST)
		return fault_set(fault, ERR_IO, "cannot make %s: %s", s->report->aside, strerror(errno));
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		snprintf(from, sizeof from, "%.1000s/%s", s->dir, files[i]);
		snprintf(to, sizeof to, "%s/%s", s->report->aside, files[i]);
		if (sys_rename(from, to) != 0 && errno != ENOENT)
			return fault_set(fault, ERR_IO, "%s cannot be put aside: %s", from, strerror(errno));
	}
	snprintf(from, sizeof from, "%s/tidemark.db", s->place);
	snprintf(to, sizeof to, "%.1000s/tidemark.db", s->dir);
	if (sys_sync_dir(s->report->aside) != 0 || sys_rename(from, to) != 0 || sys_sync_dir(s->dir) != 0)
		return fault_set(fault, ERR_IO, "%s cannot be put in its place: %s", from, strerror(errno));
	return ERR_NONE;
}

static enum err open_damaged(struct salvage *s, const char *archive_dir, struct fault *fault)
{
	char path[PATH_LEN + 32];
	snprintf(path, sizeof path, "%.1000s/tidemark.db", s->dir);
	if (access(path, F_OK) != 0)
		return fault_set(fault, ERR_NOT_FOUND, "there is no Tidemark store in %s", s->dir);
	enum err err = db_open(path, DB_DAMAGED, &s->from, fault);
	if (err)
		return fault_in(fault, path, err);
	err = read_epoch(s, fault);
	if (!err)
		err = read_topics(s, fault);
	if (!err)
		err = db_prepare(s->from, "SELECT seq, time, topic, id, data, sum FROM event WHERE seq = ?", &s->one, fault);
	snprintf(path, sizeof path, "%.1000s/archives", s->dir);
	if (!err)
		err = archive_set_open(archive_dir != NULL ? archive_dir : path, s->epoch, true, &s->archives, fault);
	read_head(s);
	return err;
}

enum err store_salvage(const char *dir, const char *archive_dir, struct salvage_report *out, struct fault *fault)
{
	struct salvage s = {.dir = dir, .report = out};
	int lock;
	*out = (struct salvage_report){0};
	snprintf(s.place, sizeof s.place, "%.1000s/salvage" NEW_FILE_ENDING, dir);
	enum err err = store_lock(dir, &lock, fault);
	if (err)
		return err;
	err = open_damaged(&s, archive_dir, fault);
	place_remove(s.place);
	if (!err)
		err = make_store(&s, fault);
	sqlite3_finalize(s.one);
	db_close(s.from);
	archive_set_close(s.archives);
	if (!err)
		err = swap(&s, fault);
	place_remove(s.place);
	for (uint32_t i = 0; i < s.topic_count; i++)
		buf_finish(&s.topics[i].json);
	free(s.topics);
	close(lock);
	return err;
}
