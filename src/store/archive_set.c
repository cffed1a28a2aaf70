#include "store/archive_set.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sys.h"
#include "store/new_file.h"

enum { DIR_LEN = 1024 };

struct archive_set {
	char dir[DIR_LEN];
	char epoch[STORE_EPOCH_LEN + 1];
	bool own;
	int lock_fd;
	struct fault rejected;  /* the first that was left alone on opening */
	pthread_mutex_t lock;   /* guards all below */
	struct manifest *items; /* ascending by first, then by last */
	uint64_t *reach;        /* of items[0..i]: the highest last */
	bool *chained;          /* what archive_set_follow has found */
	uint32_t count;
	uint32_t cap;
};

const char *archive_set_dir(const struct archive_set *s)
{
	return s->dir;
}

void archive_set_path(const struct archive_set *s, const char *name, char *out, size_t size)
{
	snprintf(out, size, "%s/%s", s->dir, name);
}

/* --- the list --- */

static void set_reach(struct archive_set *s, uint32_t from)
{
	for (uint32_t i = from; i < s->count; i++)
		s->reach[i] = i > 0 && s->reach[i - 1] > s->items[i].last ? s->reach[i - 1] : s->items[i].last;
}

/* The first index whose archive begins after `seq`. */
static uint32_t begins_after(const struct archive_set *s, uint64_t seq)
{
	uint32_t low = 0;
	uint32_t high = s->count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (s->items[middle].first <= seq)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool room(struct archive_set *s)
{
	if (s->count < s->cap)
		return true;
	uint32_t cap = s->cap ? s->cap * 2 : 16;
	struct manifest *items = realloc(s->items, cap * sizeof *items);
	if (items != NULL)
		s->items = items;
	uint64_t *reach = realloc(s->reach, cap * sizeof *reach);
	if (reach != NULL)
		s->reach = reach;
	bool *chained = realloc(s->chained, cap * sizeof *chained);
	if (chained != NULL)
		s->chained = chained;
	if (items == NULL || reach == NULL || chained == NULL)
		return false;
	s->cap = cap;
	return true;
}

/* The index of an archive by its file; -1. */
static int64_t index_of(const struct archive_set *s, const char *file)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (strcmp(s->items[i].file, file) == 0)
			return i;
	return -1;
}

static enum err insert(struct archive_set *s, const struct manifest *m, struct fault *fault)
{
	pthread_mutex_lock(&s->lock);
	bool there = index_of(s, m->file) >= 0;
	bool fine = there || room(s);
	if (!there && fine) {
		uint32_t at = begins_after(s, m->first);
		while (at > 0 && s->items[at - 1].first == m->first && s->items[at - 1].last > m->last)
			at--;
		memmove(s->items + at + 1, s->items + at, (s->count - at) * sizeof *s->items);
		memmove(s->chained + at + 1, s->chained + at, (s->count - at) * sizeof *s->chained);
		s->items[at] = *m;
		s->chained[at] = false;
		s->count++;
		set_reach(s, at);
	}
	pthread_mutex_unlock(&s->lock);
	return fine ? ERR_NONE : fault_set(fault, ERR_NOMEM, "out of memory");
}

/* Would clearing it away take somebody else's archive? Without a manifest it is nobody's. */
static enum err is_ours(struct archive_set *s, const char *archive_path, struct fault *fault)
{
	struct manifest m;
	struct fault why;
	enum err err = manifest_read(archive_path, &m, &why);
	if (err == ERR_NOT_FOUND || (!err && strcmp(m.epoch, s->epoch) == 0))
		return ERR_NONE;
	if (err)
		return fault_set(fault, ERR_CONFLICT, "%s is in the way: %s", archive_path, why.text);
	return fault_set(fault, ERR_CONFLICT, "%s is in the way: it is of another store (epoch %s)", archive_path, m.epoch);
}

enum err archive_set_clear(struct archive_set *s, const struct manifest *m, struct fault *fault)
{
	static const char *const endings[] = {MANIFEST_ENDING, ARCHIVE_ENDING};
	char name[ARCHIVE_NAME_LEN];
	char path[DIR_LEN + 300];
	archive_name(name, m->first, m->last, ARCHIVE_ENDING);
	archive_set_path(s, name, path, sizeof path);
	enum err err = is_ours(s, path, fault);
	for (int i = 0; !err && i < 2; i++) {
		archive_name(name, m->first, m->last, endings[i]);
		archive_set_path(s, name, path, sizeof path);
		if (access(path, F_OK) == 0 && sys_remove(path) != 0)
			err = fault_set(fault, ERR_IO, "%s is in the way: %s", path, strerror(errno));
	}
	return err;
}

enum err archive_set_add(struct archive_set *s, const struct manifest *m, struct fault *fault)
{
	char path[DIR_LEN + 300];
	archive_set_path(s, m->file, path, sizeof path);
	enum err err = manifest_save(path, m, fault);
	return err ? err : insert(s, m, fault);
}

void archive_set_forget(struct archive_set *s, const char *file)
{
	pthread_mutex_lock(&s->lock);
	int64_t at = index_of(s, file);
	if (at >= 0) {
		s->count--;
		memmove(s->items + at, s->items + at + 1, (s->count - (uint32_t)at) * sizeof *s->items);
		memmove(s->chained + at, s->chained + at + 1, (s->count - (uint32_t)at) * sizeof *s->chained);
		set_reach(s, (uint32_t)at);
	}
	pthread_mutex_unlock(&s->lock);
	if (at >= 0)
		log_error("an archive is gone: what it held cannot be read", "file=\"%s/%s\"", s->dir, file);
}

/* --- the directory --- */

/* Takes in the archive that `name` is the manifest of, if it counts. */
static enum err take(struct archive_set *s, const char *name, struct fault *fault)
{
	char path[DIR_LEN + 300];
	struct manifest m;
	struct fault why;
	struct stat st;
	uint64_t first;
	uint64_t last;
	if (!archive_name_parse(name, MANIFEST_ENDING, &first, &last))
		return ERR_NONE;
	char file[ARCHIVE_NAME_LEN];
	archive_name(file, first, last, ARCHIVE_ENDING);
	if (archive_set_named(s, file, &m))
		return ERR_NONE;
	archive_set_path(s, file, path, sizeof path);
	enum err err = manifest_read(path, &m, &why);
	if (!err && (m.first != first || m.last != last))
		err = fault_set(&why, ERR_CORRUPT, "it is the manifest of %llu to %llu", (unsigned long long)m.first,
				(unsigned long long)m.last);
	if (!err && strcmp(m.file, file) != 0)
		err = fault_set(&why, ERR_CORRUPT, "it is the manifest of %s", m.file);
	if (!err && strcmp(m.epoch, s->epoch) != 0)
		err = fault_set(&why, ERR_CONFLICT, "it is of another store (epoch %s)", m.epoch);
	if (!err && m.count != last - first + 1)
		err = fault_set(&why, ERR_CONFLICT, "it is a selection of events");
	if (!err) {
		memcpy(m.file, file, sizeof m.file);
		if (stat(path, &st) != 0)
			err = fault_set(&why, ERR_NOT_FOUND, "its archive is not there: %s", strerror(errno));
		else if ((uint64_t)st.st_size != m.bytes)
			err = fault_set(&why, ERR_CORRUPT, "its archive has %lld bytes, not %llu", (long long)st.st_size,
					(unsigned long long)m.bytes);
	}
	if (!err)
		return insert(s, &m, fault);
	if (!s->rejected.code) {
		s->rejected = why;
		fault_in(&s->rejected, name, err);
	}
	log_warn("an archive is left alone", "file=\"%s/%s\" why=\"%s\"", s->dir, name, why.text);
	return ERR_NONE;
}

/* FIRST-LAST.ENDING.RANDOM.part, see new_file.h: others leave such endings, too. */
static bool is_interrupted(const char *name)
{
	char whole[ARCHIVE_NAME_LEN];
	uint64_t first;
	uint64_t last;
	size_t len = strlen(name) - strlen(NEW_FILE_ENDING);
	while (len > 0 && name[len - 1] != '.')
		len--;
	if (len == 0 || snprintf(whole, sizeof whole, "%.*s", (int)len - 1, name) >= (int)sizeof whole)
		return false;
	return archive_name_parse(whole, ARCHIVE_ENDING, &first, &last) ||
	       archive_name_parse(whole, MANIFEST_ENDING, &first, &last);
}

/* What was being written when a process ended. */
static void clear_away(struct archive_set *s, const char *name)
{
	char path[DIR_LEN + 300];
	size_t len = strlen(name);
	size_t ending = strlen(NEW_FILE_ENDING);
	if (len <= ending || strcmp(name + len - ending, NEW_FILE_ENDING) != 0 || !is_interrupted(name))
		return;
	archive_set_path(s, name, path, sizeof path);
	log_info("an interrupted archive is cleared away", "file=\"%s\"", path);
	if (sys_remove(path) != 0)
		log_warn("it cannot be removed", "file=\"%s\" why=\"%s\"", path, strerror(errno));
}

enum err archive_set_scan(struct archive_set *s, struct fault *fault)
{
	DIR *dir = opendir(s->dir);
	if (dir == NULL)
		return errno == ENOENT ? ERR_NONE
				       : fault_set(fault, ERR_IO, "cannot open the directory of archives %s: %s", s->dir,
						   strerror(errno));
	enum err err = ERR_NONE;
	for (struct dirent *e; !err && (e = readdir(dir)) != NULL;) {
		err = take(s, e->d_name, fault);
		if (s->own)
			clear_away(s, e->d_name);
	}
	closedir(dir);
	return err;
}

static enum err take_lock(struct archive_set *s, struct fault *fault)
{
	char path[DIR_LEN + 8];
	snprintf(path, sizeof path, "%s/lock", s->dir);
	s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock_fd < 0)
		return fault_set(fault, errno == ENOSPC ? ERR_FULL : ERR_IO, "cannot open %s: %s", path, strerror(errno));
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return ERR_NONE;
	close(s->lock_fd);
	s->lock_fd = -1;
	return fault_set(fault, ERR_LOCKED, "another Tidemark server keeps its archives in %s", s->dir);
}

enum err archive_set_prepare(struct archive_set *s, struct fault *fault)
{
	bool made = mkdir(s->dir, 0700) == 0;
	if ((!made && errno != EEXIST) || (made && sys_sync_parent(s->dir) != 0))
		return fault_set(fault, errno == ENOSPC ? ERR_FULL : ERR_IO, "cannot make the directory of archives %s: %s",
				 s->dir, strerror(errno));
	/* A lock in a directory that was removed keeps nobody out of the one that has taken its place. */
	struct stat st;
	if (s->lock_fd >= 0 && fstat(s->lock_fd, &st) == 0 && st.st_nlink == 0) {
		close(s->lock_fd);
		s->lock_fd = -1;
	}
	return s->lock_fd < 0 ? take_lock(s, fault) : ERR_NONE;
}

enum err archive_set_open(const char *dir, const char *epoch, bool own, struct archive_set **out, struct fault *fault)
{
	*out = NULL;
	struct archive_set *s = calloc(1, sizeof *s);
	if (s == NULL)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	snprintf(s->dir, sizeof s->dir, "%s", dir);
	snprintf(s->epoch, sizeof s->epoch, "%s", epoch);
	s->own = own;
	s->lock_fd = -1;
	pthread_mutex_init(&s->lock, NULL);
	bool there = own && access(dir, F_OK) == 0;
	enum err err = there ? take_lock(s, fault) : ERR_NONE;
	/* What a killed process has renamed may be in the kernel's memory only: it counts once it is on the disk. */
	if (!err && there && sys_sync_dir(dir) != 0)
		err = fault_set(fault, ERR_IO, "cannot sync %s: %s", dir, strerror(errno));
	if (!err)
		err = archive_set_scan(s, fault);
	if (err) {
		archive_set_close(s);
		return err;
	}
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
	free(s->items);
	free(s->reach);
	free(s->chained);
	free(s);
}

/* --- asking --- */

bool archive_set_at(struct archive_set *s, uint32_t index, struct manifest *out)
{
	pthread_mutex_lock(&s->lock);
	bool there = index < s->count;
	if (there)
		*out = s->items[index];
	pthread_mutex_unlock(&s->lock);
	return there;
}

bool archive_set_named(struct archive_set *s, const char *file, struct manifest *out)
{
	pthread_mutex_lock(&s->lock);
	int64_t at = index_of(s, file);
	if (at >= 0)
		*out = s->items[at];
	pthread_mutex_unlock(&s->lock);
	return at >= 0;
}

static bool is_better(const struct archive_set *s, int64_t i, int64_t best)
{
	if (best < 0 || s->chained[i] != s->chained[best])
		return best < 0 || s->chained[i];
	return s->items[i].last > s->items[best].last;
}

bool archive_set_find(struct archive_set *s, uint64_t seq, struct manifest *out)
{
	int64_t best = -1;
	pthread_mutex_lock(&s->lock);
	for (int64_t i = (int64_t)begins_after(s, seq) - 1; i >= 0 && s->reach[i] >= seq; i--)
		if (s->items[i].last >= seq && is_better(s, i, best))
			best = i;
	if (best >= 0)
		*out = s->items[best];
	pthread_mutex_unlock(&s->lock);
	return best >= 0;
}

bool archive_set_find_time(struct archive_set *s, int64_t time_ms, struct manifest *out)
{
	uint32_t i = 0;
	pthread_mutex_lock(&s->lock);
	while (i < s->count && s->items[i].last_ms < time_ms)
		i++;
	bool there = i < s->count;
	if (there)
		*out = s->items[i];
	pthread_mutex_unlock(&s->lock);
	return there;
}

uint64_t archive_set_next(struct archive_set *s, uint64_t after)
{
	pthread_mutex_lock(&s->lock);
	uint32_t i = begins_after(s, after);
	uint64_t next = i > 0 && s->reach[i - 1] > after ? after + 1 : i < s->count ? s->items[i].first : 0;
	pthread_mutex_unlock(&s->lock);
	return next;
}

uint64_t archive_set_previous(struct archive_set *s, uint64_t before)
{
	pthread_mutex_lock(&s->lock);
	uint32_t i = before > 0 ? begins_after(s, before - 1) : 0;
	uint64_t reach = i > 0 ? s->reach[i - 1] : 0;
	pthread_mutex_unlock(&s->lock);
	return reach < before ? reach : before - 1;
}

/* The index of the one that ends there with this chain; -1. With the lock. */
static int64_t ends_with(const struct archive_set *s, uint64_t last, const char *chain)
{
	for (int64_t i = (int64_t)begins_after(s, last) - 1; i >= 0 && s->reach[i] >= last; i--)
		if (s->items[i].last == last && strcmp(s->items[i].chain, chain) == 0)
			return i;
	return -1;
}

void archive_set_follow(struct archive_set *s, uint64_t last, const char *chain)
{
	pthread_mutex_lock(&s->lock);
	int64_t at = ends_with(s, last, chain);
	while (at >= 0 && !s->chained[at]) {
		s->chained[at] = true;
		at = s->items[at].first > 1 ? ends_with(s, s->items[at].first - 1, s->items[at].previous) : -1;
	}
	pthread_mutex_unlock(&s->lock);
}

enum err archive_set_check_end(struct archive_set *s, uint64_t head, struct fault *fault)
{
	enum err err = ERR_NONE;
	pthread_mutex_lock(&s->lock);
	for (uint32_t i = 0; !err && i < s->count; i++)
		if (s->items[i].last > head)
			err = fault_set(fault, ERR_CONFLICT,
					"%s/%s reaches past the log's end, which is %llu: import it first, "
					"or take it away",
					s->dir, s->items[i].file, (unsigned long long)head);
	pthread_mutex_unlock(&s->lock);
	return err;
}

bool archive_set_rejected(const struct archive_set *s, struct fault *why)
{
	if (s->rejected.code)
		*why = s->rejected;
	return s->rejected.code != ERR_NONE;
}

void archive_set_figures(struct archive_set *s, uint32_t *count, uint64_t *bytes)
{
	pthread_mutex_lock(&s->lock);
	*count = s->count;
	*bytes = 0;
	for (uint32_t i = 0; i < s->count; i++)
		*bytes += s->items[i].bytes;
	pthread_mutex_unlock(&s->lock);
}
