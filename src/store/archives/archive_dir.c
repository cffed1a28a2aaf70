/* The directory of a set of archives: scanning and locking it. */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/system/atomic_file.h"
#include "base/system/clock.h"
#include "base/system/log.h"
#include "base/system/path.h"
#include "base/system/sys.h"
#include "store/archives/archive_set_internal.h"
#include "store/sqlite/store_files.h"

/* Records a file that has the name of an archive but cannot be used; logged once, not on every scan. `ours`: it should be
 * one of this store's archives. */
static void reject(struct archive_set *s, const char *name, uint64_t first, uint64_t last, bool ours,
		   const struct fault *why)
{
	struct fault full = *why;
	fault_in(&full, name, why->code);
	pthread_mutex_lock(&s->lock);
	if (!s->rejected.code)
		s->rejected = full;
	bool news = !missing_archives_know(&s->told, first, last);
	if (news)
		missing_archives_add(&s->told, (struct missing_archive){first, last, MISSING_REJECTED, true, full});
	const struct missing_archive *excuse = missing_archives_find(&s->excused, first);
	if (ours && (excuse == NULL || excuse->last < last))
		missing_archives_add(&s->missing, (struct missing_archive){first, last, MISSING_REJECTED, true, full});
	pthread_mutex_unlock(&s->lock);
	if (news)
		log_warn("an archive cannot be used", "file=\"%s/%s\" why=\"%s\"", s->dir, name, why->text);
}

/* Adds the archive that `name` is the manifest of, if it can be used. */
static enum err take(struct archive_set *s, const char *name, struct fault *fault)
{
	char path[PATH_MAX];
	struct manifest m;
	struct fault why;
	struct stat st;
	uint64_t first;
	uint64_t last;
	if (!archive_name_parse(name, MANIFEST_ENDING, &first, &last))
		return ERR_NONE;
	bool ours = true; /* should it be one of this store's archives? */
	char file[ARCHIVE_NAME_LEN];
	archive_name(file, first, last, ARCHIVE_ENDING);
	if (archive_set_named(s, file, &m))
		return ERR_NONE;
	archive_set_path(s, file, path);
	enum err err = manifest_read(path, &m, &why);
	if (!err && (m.first != first || m.last != last))
		err = fault_set(&why, ERR_CORRUPT, "it is the manifest of %" PRIu64 " to %" PRIu64, m.first, m.last);
	if (!err && strcmp(m.file, file) != 0)
		err = fault_set(&why, ERR_CORRUPT, "it is the manifest of %s", m.file);
	ours = err || (archive_set_owns(s, &m) && m.count == last - first + 1);
	if (!err && !archive_set_owns(s, &m))
		err = fault_set(&why, ERR_CONFLICT, "it is of another store, or another line of history (epoch %s)",
				m.epoch);
	if (!err && m.count != last - first + 1)
		err = fault_set(&why, ERR_CONFLICT, "it is a selection of events");
	if (!err) {
		memcpy(m.file, file, sizeof m.file);
		if (stat(path, &st) != 0)
			err = fault_set(&why, ERR_NOT_FOUND, "its archive cannot be found: %s", strerror(errno));
		else if ((uint64_t)st.st_size != m.bytes)
			err = fault_set(&why, ERR_CORRUPT, "its archive has %" PRId64 " bytes, not %" PRIu64, st.st_size,
					m.bytes);
	}
	if (!err)
		return archive_set_insert(s, &m, fault);
	reject(s, name, first, last, ours, &why);
	return ERR_NONE;
}

/* Is it FIRST-LAST.ENDING.RANDOM.part (atomic_file.h)? Other programs leave files with that ending, too. */
static bool is_interrupted(const char *name)
{
	char whole[ARCHIVE_NAME_LEN];
	uint64_t first;
	uint64_t last;
	size_t len = strlen(name) - strlen(ATOMIC_FILE_ENDING);
	while (len > 0 && name[len - 1] != '.')
		len--;
	if (len == 0 || snprintf(whole, sizeof whole, "%.*s", (int)len - 1, name) >= (int)sizeof whole)
		return false;
	return archive_name_parse(whole, ARCHIVE_ENDING, &first, &last) ||
	       archive_name_parse(whole, MANIFEST_ENDING, &first, &last);
}

/* Removes an unfinished file that an interrupted process has left. */
static void remove_unfinished(struct archive_set *s, const char *name)
{
	char path[PATH_MAX];
	size_t len = strlen(name);
	size_t ending = strlen(ATOMIC_FILE_ENDING);
	if (len <= ending || strcmp(name + len - ending, ATOMIC_FILE_ENDING) != 0 || !is_interrupted(name))
		return;
	archive_set_path(s, name, path);
	log_info("an unfinished archive is removed", "file=\"%s\"", path);
	if (sys_remove(path) != 0)
		log_warn("an unfinished archive cannot be removed", "file=\"%s\" why=\"%s\"", path, strerror(errno));
}

static void begin_scan(struct archive_set *s)
{
	pthread_mutex_lock(&s->lock);
	s->scanned_ms = clock_mono_ms();
	s->rejected = (struct fault){0};
	missing_archives_begin(&s->missing);
	pthread_mutex_unlock(&s->lock);
}

static bool is_held(const struct archive_set *s, const struct missing_archive *a)
{
	uint64_t after = a->first - 1;
	for (uint32_t i = 0; i < s->count && s->items[i].first <= after + 1 && after < a->last; i++)
		after = s->items[i].last > after ? s->items[i].last : after;
	return after >= a->last;
}

static void end_scan(struct archive_set *s)
{
	pthread_mutex_lock(&s->lock);
	missing_archives_end(&s->missing);
	for (uint32_t i = s->missing.count; i-- > 0;) {
		struct missing_archive a = s->missing.items[i];
		if (!is_held(s, &a))
			continue;
		missing_archives_remove(&s->missing, i);
		log_info("events can be read again", "first=%" PRIu64 " last=%" PRIu64, a.first, a.last);
	}
	pthread_mutex_unlock(&s->lock);
}

static enum err read_directory(struct archive_set *s, DIR *dir, struct fault *fault)
{
	enum err err = ERR_NONE;
	for (struct dirent *e; !err && (e = readdir(dir)) != NULL;) {
		err = take(s, e->d_name, fault);
		if (s->own && !s->opened)
			remove_unfinished(s, e->d_name);
	}
	return err;
}

enum err archive_set_scan(struct archive_set *s, struct fault *fault)
{
	begin_scan(s);
	DIR *dir = opendir(s->dir);
	if (dir == NULL)
		return errno == ENOENT ? ERR_NONE : sys_fail(fault, "cannot open the directory of archives", s->dir, errno);
	enum err err = read_directory(s, dir, fault);
	closedir(dir);
	end_scan(s);
	return err;
}

bool archive_set_orphan(struct archive_set *s, uint64_t seq, struct fault *why)
{
	bool found = false;
	DIR *dir = opendir(s->dir);
	for (struct dirent *e; !found && dir != NULL && (e = readdir(dir)) != NULL;) {
		uint64_t first;
		uint64_t last;
		found = archive_name_parse(e->d_name, ARCHIVE_ENDING, &first, &last) && first <= seq && seq <= last;
		if (found)
			fault_set(why, ERR_NOT_FOUND,
				  "%s/%s has no manifest file: start with --salvage, which restores the embedded one",
				  s->dir, e->d_name);
	}
	if (dir != NULL)
		closedir(dir);
	return found;
}

static enum err take_lock(struct archive_set *s, struct fault *fault)
{
	if (sys_lock_dir(s->dir, "lock", false, &s->lock_fd) == 0)
		return ERR_NONE;
	return errno == EWOULDBLOCK
		       ? fault_set(fault, ERR_LOCKED, "another Tidemark server keeps its archives in %s", s->dir)
		       : sys_fail(fault, "cannot lock", s->dir, errno);
}

enum err archive_set_prepare(struct archive_set *s, struct fault *fault)
{
	assert(s->own);
	bool made = mkdir(s->dir, 0700) == 0;
	if ((!made && errno != EEXIST) || (made && sys_sync_parent(s->dir) != 0))
		return sys_fail(fault, "cannot make the directory of archives", s->dir, errno);
	/* A lock on a directory that was removed does not protect the one that replaced it. */
	struct stat st;
	if (s->lock_fd >= 0 && fstat(s->lock_fd, &st) == 0 && st.st_nlink == 0) {
		close(s->lock_fd);
		s->lock_fd = -1;
	}
	return s->lock_fd < 0 ? take_lock(s, fault) : ERR_NONE;
}

enum err archive_set_open(const char *dir, const struct lineage *lineage, bool own, struct archive_set **out,
			  struct fault *fault)
{
	*out = NULL;
	struct archive_set *s = calloc(1, sizeof *s);
	if (s == NULL)
		return fault_nomem(fault);
	snprintf(s->dir, sizeof s->dir, "%s", dir);
	s->lineage = lineage;
	s->own = own;
	s->lock_fd = -1;
	pthread_mutex_init(&s->lock, NULL);
	bool there = own && access(dir, F_OK) == 0;
	enum err err = there ? take_lock(s, fault) : ERR_NONE;
	/* Files that a killed process has renamed may not be on stable storage yet. */
	if (!err && there)
		err = store_files_sync_names(dir, fault);
	if (!err)
		err = archive_set_scan(s, fault);
	if (err) {
		archive_set_close(s);
		return err;
	}
	s->opened = true;
	*out = s;
	return ERR_NONE;
}

void archive_set_close(struct archive_set *s)
{
	if (s == NULL)
		return;
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	pthread_mutex_destroy(&s->lock);
	missing_archives_finish(&s->missing);
	missing_archives_finish(&s->told);
	missing_archives_finish(&s->excused);
	free(s->items);
	free(s->reach);
	free(s->chained);
	free(s);
}
