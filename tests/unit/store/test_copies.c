/* What does not belong together is not joined: archives and stores that import, backup and repair refuse, and what they do
 * where a part is missing. */
#include <sqlite3.h>
#include <sys/stat.h>

#include "base/system/log.h"
#include "store/archives/archive_set.h"
#include "store/read/reader.h"
#include "store/repair/repair.h"
#include "store/transfer/backup.h"
#include "store/transfer/import.h"
#include "unit/store/archives.h"
#include "unit/temp_dir.h"

enum { BATCH = 20, SMALL = 20, LARGE = 60 /* bytes of an event's data: another event */, PATH_LEN = 128 };

static const struct archive_options plain = {.level = 2, .threads = 0};
static const struct batch_limits limits = {1 << 20, 1 << 20};

static char top[TEMP_DIR_LEN];
static char dir[TEMP_DIR_LEN + 8]; /* of a store */
static char copy[TEMP_DIR_LEN + 8];
static struct store *store;
static struct reader *reader;

static void set_up(void)
{
	temp_dir_make(top);
	snprintf(dir, sizeof dir, "%s/store", top);
	snprintf(copy, sizeof copy, "%s/copy", top);
}

static void tear_down(void)
{
	temp_dir_remove(top);
}

static void open_store(const char *at)
{
	CHECK(store_open(at, (struct store_options){.archive_dir = ""}, &store, &fault) == ERR_NONE);
	CHECK(reader_open(store, &reader, &fault) == ERR_NONE);
}

static void close_store(void)
{
	reader_close(reader);
	store_close(store);
}

static bool says(const char *text)
{
	bool found = strstr(fault.text, text) != NULL;
	if (!found)
		fprintf(stderr, "%s\n", fault.text);
	return found;
}

/* --- archives --- */

/* Writes an archive of events first to last to `path`; `manifest`: with one. */
static void write_archive(char path[PATH_LEN], uint64_t first, uint64_t last, size_t size, bool manifest)
{
	struct buf file;
	struct manifest m;
	char name[ARCHIVE_NAME_LEN];
	archive_name(name, first, last, ARCHIVE_ENDING);
	snprintf(path, PATH_LEN, "%s/%s", top, name);
	buf_init(&file);
	make_archive(&file, first, last, size, BATCH, plain, NULL, &m);
	write_file(path, buf_slice(&file));
	buf_finish(&file);
	char json[PATH_MAX];
	CHECK(manifest_path(path, json));
	unlink(json);
	if (manifest)
		write_manifest(json, &m);
}

/* An archive without a manifest that holds these lines. */
static void write_lines(char path[PATH_LEN], int count, const char *const *envelopes)
{
	struct buf file;
	struct manifest m;
	struct archive_writer *w;
	struct page_builder *b = page_builder_create(ENCODING_LINE, "", 0, 0);
	CHECK(b != NULL);
	for (int i = 0; i < count; i++)
		CHECK(page_builder_add_envelope(b, (uint64_t)i + 1, slice_of(envelopes[i]), 0, 0) == ERR_NONE);
	struct page *page = page_builder_take(b, (uint64_t)count);
	buf_init(&file);
	CHECK(page != NULL && archive_writer_create(plain, &archives_lineage, NULL, (struct archive_output){into_buf, &file},
						    &w, &fault) == ERR_NONE);
	CHECK(archive_writer_add(w, page, &fault) == ERR_NONE && archive_writer_end(w, &m, &fault) == ERR_NONE);
	archive_writer_destroy(w);
	page_unref(page);
	snprintf(path, PATH_LEN, "%s/lines.ndjson.zst", top);
	write_file(path, buf_slice(&file));
	buf_finish(&file);
}

static void write_line(char path[PATH_LEN], const char *envelope)
{
	write_lines(path, 1, &envelope);
}

static enum err import(const char *path, struct import_figures *f)
{
	fault = (struct fault){0};
	return import_files(dir, &path, 1, (struct import_options){0}, f, &fault);
}

/* --- import --- */

static void archives_without_a_manifest_are_imported(void)
{
	char path[PATH_LEN];
	struct import_figures f;
	set_up();
	write_archive(path, 1, 2 * BATCH, SMALL, false);
	CHECK(import(path, &f) == ERR_NONE && f.restored == 2 * BATCH && f.first == 1 && f.head == 2 * BATCH);
	CHECK(import(path, &f) == ERR_NONE && f.known == 2 * BATCH && f.restored == 0);
	write_archive(path, 3 * BATCH, 4 * BATCH, SMALL, false);
	CHECK(import(path, &f) == ERR_NOT_FOUND && says("events 41 to 59 are missing"));
	write_archive(path, 5, 4, SMALL, false);
	CHECK(import(path, &f) == ERR_INVALID && says("holds no events"));
	write_line(path, "no event");
	CHECK(import(path, &f) == ERR_CORRUPT && says("the line is not an event"));
	tear_down();
}

static void other_events_are_refused(void)
{
	char path[PATH_LEN];
	struct import_figures f;
	set_up();
	write_archive(path, BATCH + 1, 2 * BATCH, SMALL, true);
	CHECK(import(path, &f) == ERR_NONE);
	write_archive(path, BATCH + 1, 2 * BATCH, LARGE, false);
	CHECK(import(path, &f) == ERR_CONFLICT && says("event 21 is another one"));
	write_archive(path, 1, BATCH, SMALL, true);
	CHECK(import(path, &f) == ERR_NONE && f.archived == BATCH);
	CHECK(import(path, &f) == ERR_NONE && f.known == BATCH);
	write_archive(path, 1, BATCH, LARGE, false);
	CHECK(import(path, &f) == ERR_CONFLICT && says("event 1 is another one"));
	tear_down();
}

static void what_no_server_stores_is_refused(void)
{
	char path[PATH_LEN];
	struct import_figures f;
	set_up();
	write_line(path,
		   "{\"seq\":1,\"time\":\"2026-01-01T00:00:00.000Z\",\"stream\":\"s\",\"type\":\"t\",\"data\":[1, 2]}");
	CHECK(import(path, &f) == ERR_CORRUPT && says("its data is not JSON as a server stores it"));
	write_line(path,
		   "{\"seq\":1,\"time\":\"2026-01-01T00:00:00.000Z\",\"stream\":\"\\u0000\",\"type\":\"t\",\"data\":1}");
	CHECK(import(path, &f) == ERR_CORRUPT && says("a name that no event can have"));
	const char *const backwards[] = {
		"{\"seq\":1,\"time\":\"2026-01-02T00:00:00.000Z\",\"stream\":\"s\",\"type\":\"t\",\"data\":1}",
		"{\"seq\":2,\"time\":\"2026-01-01T00:00:00.000Z\",\"stream\":\"s\",\"type\":\"t\",\"data\":1}"};
	write_lines(path, 2, backwards);
	CHECK(import(path, &f) == ERR_CORRUPT && says("event 2 is older than the one before it"));
	tear_down();
}

/* --- which archives are a store's --- */

/* A store is opened beside an archive and its manifest `m`, both under the name of events first to last. */
static void rejects(uint64_t first, uint64_t last, const struct buf *file, const struct manifest *m, const char *why)
{
	char name[ARCHIVE_NAME_LEN];
	char path[2 * PATH_LEN];
	struct manifest found;
	const char *const endings[] = {ARCHIVE_ENDING, MANIFEST_ENDING};
	for (int i = 0; i < 2; i++) {
		archive_name(name, first, last, endings[i]);
		snprintf(path, sizeof path, "%s/archives/%s", dir, name);
		if (i == 0)
			write_file(path, buf_slice(file));
		else
			write_manifest(path, m);
	}
	struct archive_set *set;
	snprintf(path, sizeof path, "%s/archives", dir);
	CHECK(archive_set_open(path, &archives_lineage, true, &set, &fault) == ERR_NONE);
	CHECK(!archive_set_at(set, 0, &found) && archive_set_rejected(set, &fault) && says(why));
	archive_set_close(set);
	for (int i = 0; i < 2; i++) {
		archive_name(name, first, last, endings[i]);
		snprintf(path, sizeof path, "%s/archives/%s", dir, name);
		unlink(path);
	}
}

static void manifests_of_other_archives_are_rejected(void)
{
	struct buf file;
	struct manifest m;
	set_up();
	open_store(dir);
	close_store();
	char path[PATH_LEN];
	snprintf(path, sizeof path, "%s/archives", dir);
	mkdir(path, 0700);
	buf_init(&file);
	make_archive(&file, 1, BATCH, SMALL, BATCH, plain, NULL, &m);
	rejects(1, BATCH + 1, &file, &m, "it is the manifest of 1 to 20");
	strcpy(m.file, "1-19.ndjson.zst");
	rejects(1, BATCH, &file, &m, "1-19.ndjson.zst");
	strcpy(m.file, "1-20.ndjson.zst");
	m.count--;
	rejects(1, BATCH, &file, &m, "it is a selection of events");
	m.count++;
	m.bytes++;
	rejects(1, BATCH, &file, &m, "its archive has");
	buf_finish(&file);
	tear_down();
}

/* --- backup --- */

static void commit(void)
{
	struct committed *c;
	CHECK(store_commit(store, &c, &fault) == ERR_NONE);
	committed_destroy(c);
}

static void publish(const char *at, const char *data)
{
	struct buf lines;
	struct batch *b;
	struct receipt r;
	open_store(at);
	buf_init(&lines);
	for (int i = 0; i < BATCH; i++)
		buf_printf(&lines, "{\"stream\":\"s\",\"data\":\"%s\"}\n", data);
	CHECK(batch_parse_take(lines.data, lines.len, BATCH_LINES, limits, &b, &fault) == ERR_NONE);
	CHECK(store_append(store, b, NULL, &r, &fault) == ERR_NONE);
	batch_destroy(b);
	receipt_finish(&r);
	commit();
	close_store();
}

static void copy_files(void)
{
	char command[4 * PATH_LEN];
	snprintf(command, sizeof command, "cp -r %s %s", dir, copy);
	CHECK(system(command) == 0);
}

static enum err back_up(uint64_t until, const struct seal_watch *watch)
{
	struct backup_figures f;
	fault = (struct fault){0};
	return backup_store(dir, copy, (struct backup_options){until, watch}, &f, &fault);
}

static void a_copy_that_went_another_way_is_refused(void)
{
	set_up();
	publish(dir, "both");
	copy_files();
	publish(dir, "one");
	CHECK(back_up(0, NULL) == ERR_NONE);
	publish(dir, "one");
	CHECK(back_up(BATCH, NULL) == ERR_CONFLICT && says("holds events up to 40"));
	temp_dir_remove(copy);
	copy_files();
	publish(dir, "one");
	publish(copy, "other");
	CHECK(back_up(0, NULL) == ERR_CONFLICT && says("have gone different ways"));
	tear_down();
}

static int calls;

static bool stop_at_last(void *arg)
{
	(void)arg;
	return --calls <= 0;
}

/* Stopped at the n-th question, n = 1, 2, …: in archives, and in events. */
static void a_backup_that_is_stopped_goes_on_later(void)
{
	const struct seal_watch watch = {.stop = stop_at_last};
	struct manifest m;
	uint64_t left;
	enum err err = ERR_CLOSED;
	int stops = 0;
	set_up();
	publish(dir, "one");
	publish(dir, "two");
	open_store(dir);
	CHECK(seal_range(reader, (struct seq_range){1, BATCH}, plain, NULL, &m, &fault) == ERR_NONE);
	while (store_log_first(store) <= BATCH) {
		CHECK(store_evict(store, BATCH, BATCH, m.chain, &left, &fault) == ERR_NONE);
		commit();
		CHECK(store_maintain(store, false, &fault) == ERR_NONE);
	}
	close_store();
	for (; err == ERR_CLOSED; stops++) {
		calls = stops + 1;
		err = back_up(0, &watch);
	}
	CHECK(err == ERR_NONE && stops > 3);
	open_store(copy);
	CHECK(store_first(store) == 1 && store_head(store) == 2 * BATCH);
	close_store();
	tear_down();
}

static void a_damaged_archive_is_not_copied(void)
{
	struct manifest m;
	char path[2 * PATH_LEN];
	set_up();
	publish(dir, "one");
	publish(dir, "two");
	open_store(dir);
	CHECK(seal_range(reader, (struct seq_range){1, BATCH}, plain, NULL, &m, &fault) ==
	      ERR_NONE); /* and the log has its events */
	close_store();
	snprintf(path, sizeof path, "%s/archives/%s", dir, m.file);
	int fd = open(path, O_WRONLY);
	CHECK(fd >= 0 && pwrite(fd, "x", 1, 30) == 1);
	close(fd);
	CHECK(back_up(0, NULL) == ERR_CORRUPT && says("its SHA-256 is not what its manifest says"));
	tear_down();
}

/* Removed events stay removed in a copy, as far as it reaches. */
static void a_copy_of_an_earlier_time_has_its_gaps(void)
{
	uint64_t left;
	set_up();
	for (int i = 0; i < 3; i++)
		publish(dir, "data");
	open_store(dir);
	while (store_log_first(store) <= 2 * BATCH) {
		CHECK(store_evict(store, 2 * BATCH, 2 * BATCH, NULL, &left, &fault) == ERR_NONE);
		commit();
		CHECK(store_maintain(store, false, &fault) == ERR_NONE);
	}
	close_store();
	CHECK(back_up(2 * BATCH + 5, NULL) == ERR_NONE);
	open_store(copy);
	CHECK(store_head(store) == 2 * BATCH + 5 && store_first(store) == 2 * BATCH + 1);
	CHECK(history_removed(reader, 0, store_head(store)) == 1);
	close_store();
	temp_dir_remove(copy);
	CHECK(back_up(BATCH + 5, NULL) == ERR_GONE && says("event 25 was removed"));
	tear_down();
}

static void a_copy_that_is_written_to_begins_a_line(void)
{
	struct line original;
	struct line line;
	struct line none;
	uint64_t end;
	set_up();
	publish(dir, "one");
	open_store(dir);
	CHECK(store_line(store, 0, &original) && !store_line(store, 1, &none) && original.first == 1);
	close_store();
	CHECK(back_up(0, NULL) == ERR_NONE);
	publish(copy, "two");
	open_store(copy);
	CHECK(store_line(store, 0, &line) && strcmp(line.epoch, original.epoch) == 0 && line.first == 1);
	CHECK(store_line(store, 1, &line) && strcmp(line.epoch, original.epoch) != 0 && line.first == BATCH + 1);
	CHECK(store_line_end(store, original.epoch, &end) && end == BATCH);
	CHECK(store_line_end(store, line.epoch, &end) && end == UINT64_MAX && !store_line_end(store, "none", &end));
	close_store();
	tear_down();
}

/* --- repair --- */

static void change(const char *sql)
{
	sqlite3 *db;
	char path[PATH_LEN];
	snprintf(path, sizeof path, "%s/tidemark.db", dir);
	CHECK(sqlite3_open(path, &db) == SQLITE_OK && sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
	sqlite3_close(db);
}

/* Where an archive is missing, what the store has counted of its events stays. */
static void a_log_is_repaired_without_the_archives_below_it(void)
{
	struct manifest m;
	struct manifest lost;
	struct repair_figures f;
	struct stream_figures stream;
	uint64_t left;
	char path[2 * PATH_LEN];
	set_up();
	for (int i = 0; i < 3; i++)
		publish(dir, "data");
	open_store(dir);
	CHECK(seal_range(reader, (struct seq_range){1, BATCH}, plain, NULL, &lost, &fault) == ERR_NONE);
	CHECK(seal_range(reader, (struct seq_range){BATCH + 1, 2 * BATCH}, plain, NULL, &m, &fault) == ERR_NONE);
	CHECK(store_evict(store, BATCH, BATCH, lost.chain, &left, &fault) == ERR_NONE);
	commit();
	CHECK(store_maintain(store, false, &fault) == ERR_NONE);
	CHECK(store_evict(store, BATCH, BATCH, lost.chain, &left, &fault) == ERR_NONE);
	commit();
	CHECK(store_log_first(store) == BATCH + 1);
	close_store();
	change("UPDATE event SET data = '\"other\"' WHERE seq = 30; DELETE FROM event WHERE seq = 35");
	const char *const endings[] = {ARCHIVE_ENDING, MANIFEST_ENDING};
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "%s/archives/1-%d%s", dir, BATCH, endings[i]);
		CHECK(unlink(path) == 0);
	}
	snprintf(path, sizeof path, "%s/archives/%s", dir, m.file);
	const char *archive = path;
	CHECK(repair_log(dir, &archive, 1, &f, &fault) == ERR_NONE && f.repaired == 2 && f.looked_at == BATCH);
	open_store(dir);
	CHECK(store_find_stream(store, slice_of("s"), &stream) && stream.count == 3 * BATCH && stream.first == 1 &&
	      stream.last == 3 * BATCH);
	close_store();
	/* Another history's archives mend nothing. */
	write_archive(path, BATCH + 1, 2 * BATCH, SMALL, true);
	CHECK(repair_log(dir, &archive, 1, &f, &fault) == ERR_CONFLICT && says("of another store"));
	tear_down();
}

int main(void)
{
	log_set_level(LOG_ERROR);
	RUN(archives_without_a_manifest_are_imported);
	RUN(other_events_are_refused);
	RUN(what_no_server_stores_is_refused);
	RUN(manifests_of_other_archives_are_rejected);
	RUN(a_copy_that_went_another_way_is_refused);
	RUN(a_backup_that_is_stopped_goes_on_later);
	RUN(a_damaged_archive_is_not_copied);
	RUN(a_copy_of_an_earlier_time_has_its_gaps);
	RUN(a_copy_that_is_written_to_begins_a_line);
	RUN(a_log_is_repaired_without_the_archives_below_it);
	return check_end();
}
