#include "store/open/store_complete.h"
#include "base/system/path.h"
#include "store/archives/archive_set.h"
#include "store/open/lineage_rows.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/system/atomic_file.h"
#include "store/archive/lineage.h"
#include "store/sqlite/db.h"
#include "store/sqlite/meta.h"
#include "store/sqlite/store_files.h"

enum { NAME_LEN = 300 };

/* The other files of the directory. */
struct traces {
	char path[PATH_MAX];     /* of the database */
	char archives[PATH_MAX]; /* the directory of archives, which may be elsewhere */
	uint64_t noted;          /* the last acknowledged seq in the file `head`; 0: none */
};

/* The state of the database. */
struct account {
	bool empty; /* it has no tables */
	uint64_t head;
};

static bool has_bytes(const char *path, const char *ending)
{
	char name[PATH_MAX];
	struct stat st;
	path_format(name, "%s%s", path, ending);
	return stat(name, &st) == 0 && st.st_size > 0;
}

static bool is_archive(const char *name, uint64_t *first, uint64_t *last)
{
	return archive_name_parse(name, ARCHIVE_ENDING, first, last);
}

static bool has_archives(const char *path)
{
	uint64_t first;
	uint64_t last;
	bool found = false;
	DIR *dir = opendir(path);
	for (const struct dirent *e; dir != NULL && !found && (e = readdir(dir)) != NULL;)
		found = is_archive(e->d_name, &first, &last);
	if (dir != NULL)
		closedir(dir);
	return found;
}

/* The database is missing or empty: ERR_CORRUPT if there are traces of a store. */
static enum err check_rest(const char *dir, const struct traces *t, struct fault *fault)
{
	char part[PATH_MAX];
	char beside[PATH_MAX];
	struct stat st;
	path_format(part, "%s/import" ATOMIC_FILE_ENDING, dir);
	path_format(beside, "%s/archives", dir);
	if (stat(part, &st) == 0)
		return fault_set(fault, ERR_CORRUPT,
				 "an import into %s was interrupted: run it again, or remove the directory", dir);
	bool archives = has_archives(beside);
	/* An interrupted first start leaves a log, but with a database: without one SQLite would delete the log. */
	bool log = stat(t->path, &st) != 0 && has_bytes(t->path, "-wal");
	if (t->noted == 0 && !archives && !log)
		return ERR_NONE;
	return fault_set(
		fault, ERR_CORRUPT,
		"%s is missing or empty, though %s: put the database back, or start with --salvage, which makes one of "
		"what is left",
		t->path,
		t->noted > 0 ? "events were acknowledged here"
		: archives   ? "there are archives beside it"
			     : "there is a write-ahead log beside it");
}

/* The archive of this history with the highest last event after `head`. */
static bool find_past(const char *path, const struct lineage *lineage, uint64_t head, struct manifest *farthest)
{
	farthest->last = head;
	DIR *dir = opendir(path);
	for (const struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
		char file[PATH_MAX];
		struct manifest m;
		struct fault why;
		uint64_t first;
		uint64_t last;
		path_format(file, "%s/%s", path, e->d_name);
		if (is_archive(e->d_name, &first, &last) && last > farthest->last &&
		    manifest_read(file, &m, &why) == ERR_NONE && m.first == first && m.last == last &&
		    manifest_is_on(&m, lineage))
			*farthest = m;
	}
	if (dir != NULL)
		closedir(dir);
	return farthest->last > head;
}

static enum err read_head(sqlite3 *db, uint64_t *head, struct fault *fault)
{
	sqlite3_int64 seq = 0;
	enum err err = db_integer(db,
				  "SELECT max(coalesce((SELECT value FROM meta WHERE key = 'head'), 0), "
				  "coalesce((SELECT max(seq) FROM event), 0))",
				  0, &seq, fault);
	*head = (uint64_t)seq;
	return err;
}

/* If an archive of this history has events after the log's end, the log is damaged or another one. */
static enum err check_end(sqlite3 *db, const struct traces *t, const struct lineage *lineage, uint64_t *head,
			  struct fault *fault)
{
	struct manifest m;
	if (!find_past(t->archives, lineage, *head, &m))
		return ERR_NONE;
	enum err err = read_head(db, head, fault); /* a server may have written meanwhile */
	if (err || m.last <= *head)
		return err;
	return fault_set(fault, ERR_CONFLICT,
			 "%s/%s has events after the log's end, which is %" PRIu64 ": import it, or move it away",
			 t->archives, m.file, *head);
}

/* A database of an older schema has no lines. */
static enum err read_account(sqlite3 *db, struct traces *t, const char *archive_dir, bool copies, struct account *out,
			     struct fault *fault)
{
	struct lineage lineage = {0};
	sqlite3_int64 tables = 0;
	sqlite3_int64 lines = 0;
	*out = (struct account){0};
	enum err err = db_integer(db, "SELECT count(*) FROM sqlite_master", 0, &tables, fault);
	out->empty = tables == 0;
	if (err || out->empty)
		return err;
	err = db_integer(db, "SELECT count(*) FROM sqlite_master WHERE name = 'line'", 0, &lines, fault);
	if (!err && lines > 0)
		err = lineage_rows_load(db, &lineage, fault);
	if (!err && archive_dir == NULL)
		meta_get_short(db, "archive_dir", t->archives, sizeof t->archives);
	if (!err)
		err = read_head(db, &out->head, fault);
	if (!err && !copies && lines > 0)
		err = check_end(db, t, &lineage, &out->head, fault);
	lineage_finish(&lineage);
	return err;
}

enum err store_complete_check(const char *dir, const char *archive_dir, bool copies, sqlite3 **inspected,
			      struct fault *fault)
{
	struct traces t;
	struct account a;
	*inspected = NULL;
	store_files_db(dir, t.path);
	if (archive_dir != NULL && archive_dir[0] != '\0')
		path_format(t.archives, "%s", archive_dir);
	else
		path_format(t.archives, "%s/archives", dir);
	if (!copies && store_files_marked(dir) != STORE_FILES_NO_MARK)
		return fault_set(fault, ERR_CORRUPT,
				 "a backup into %s was not finished: run it again, it goes on where it stopped", dir);
	t.noted = store_files_saved_head(dir);
	if (!has_bytes(t.path, ""))
		return check_rest(dir, &t, fault);
	enum err err = db_open_inspect(t.path, inspected, fault);
	if (!err)
		err = read_account(*inspected, &t, archive_dir, copies, &a, fault);
	if (err == ERR_CORRUPT)
		return ERR_NONE; /* opening the database reports the damage in more detail */
	if (err)
		return err;
	if (a.empty)
		return check_rest(dir, &t, fault);
	if (t.noted > a.head)
		return fault_set(fault, ERR_CORRUPT,
				 "%s has lost events: up to %" PRIu64 " were acknowledged, and the log ends with %" PRIu64,
				 dir, t.noted, a.head);
	return ERR_NONE;
}
