#include "base/system/path.h"
#include "store/archives/archive_set_internal.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/kind.h"
#include "base/system/clock.h"
#include "base/system/log.h"
#include "base/system/sys.h"

enum { SCAN_MS = 2000 /* between two scans of a directory while archives are missing */ };

/* May the archive be removed? ERR_CONFLICT: it belongs to another store. Without a manifest it belongs to none. */
static enum err is_ours(struct archive_set *s, const char *archive_path, struct fault *fault)
{
	struct manifest m;
	struct fault why;
	enum err err = manifest_read(archive_path, &m, &why);
	if (err == ERR_NOT_FOUND || (!err && archive_set_owns(s, &m)))
		return ERR_NONE;
	if (err)
		return fault_set(fault, err == ERR_CORRUPT || err == ERR_NEWER ? ERR_CONFLICT : err, "%s is in the way: %s",
				 archive_path, why.text);
	return fault_set(fault, ERR_CONFLICT,
			 "%s is in the way: it is of another store, or another line of history (epoch %s)", archive_path,
			 m.epoch);
}

enum err archive_set_clear(struct archive_set *s, const struct manifest *m, struct fault *fault)
{
	static const char *const endings[] = {MANIFEST_ENDING, ARCHIVE_ENDING};
	char name[ARCHIVE_NAME_LEN];
	char path[PATH_MAX];
	archive_name(name, m->first, m->last, ARCHIVE_ENDING);
	archive_set_path(s, name, path);
	enum err err = is_ours(s, path, fault);
	for (int i = 0; !err && i < 2; i++) {
		archive_name(name, m->first, m->last, endings[i]);
		archive_set_path(s, name, path);
		if (access(path, F_OK) == 0 && sys_remove(path) != 0)
			err = sys_fail(fault, "cannot delete", path, errno);
	}
	return err;
}

enum err archive_set_add(struct archive_set *s, const struct manifest *m, struct fault *fault)
{
	char path[PATH_MAX];
	archive_set_path(s, m->file, path);
	enum err err = manifest_save(path, m, fault);
	return err ? err : archive_set_insert(s, m, fault);
}

bool archive_set_has_manifest(const struct archive_set *s, const char *file)
{
	char path[PATH_MAX];
	char manifest[PATH_MAX];
	archive_set_path(s, file, path);
	return manifest_path(path, manifest) && access(manifest, F_OK) == 0;
}

static void take_out(struct archive_set *s, uint32_t at)
{
	assert(at < s->count);
	s->count--;
	memmove(s->items + at, s->items + at + 1, (s->count - at) * sizeof *s->items);
	memmove(s->chained + at, s->chained + at + 1, (s->count - at) * sizeof *s->chained);
	archive_list_set_reach(s, at);
}

void archive_set_forget(struct archive_set *s, const char *file)
{
	struct fault why;
	pthread_mutex_lock(&s->lock);
	int64_t at = archive_list_index(s, file);
	if (at >= 0) {
		struct manifest m = s->items[at];
		take_out(s, (uint32_t)at);
		fault_set(&why, ERR_NOT_FOUND, "%s/%s does not exist any more", s->dir, file);
		missing_archives_add(&s->missing, (struct missing_archive){m.first, m.last, MISSING_NOT_FOUND, true, why});
	}
	pthread_mutex_unlock(&s->lock);
	if (at >= 0)
		log_error("an archive is missing: its events cannot be read until it is back", "file=\"%s/%s\"", s->dir,
			  file);
}

/* --- queries --- */

bool archive_set_at(struct archive_set *s, uint32_t index, struct manifest *out)
{
	pthread_mutex_lock(&s->lock);
	bool there = index < s->count;
	if (there)
		*out = s->items[index];
	pthread_mutex_unlock(&s->lock);
	return there;
}

static bool is_better(const struct archive_set *s, int64_t i, int64_t best)
{
	if (best < 0 || s->chained[i] != s->chained[best])
		return best < 0 || s->chained[i];
	return s->items[i].last > s->items[best].last;
}

/* The index of the archive that readers of `seq` use; -1: none. With the lock. */
static int64_t best_of(const struct archive_set *s, uint64_t seq)
{
	int64_t best = -1;
	for (int64_t i = (int64_t)archive_list_begins_after(s, seq) - 1; i >= 0 && s->reach[i] >= seq; i--)
		if (s->items[i].last >= seq && is_better(s, i, best))
			best = i;
	assert(best < 0 || (s->items[best].first <= seq && seq <= s->items[best].last));
	return best;
}

bool archive_set_find(struct archive_set *s, uint64_t seq, struct manifest *out)
{
	pthread_mutex_lock(&s->lock);
	int64_t best = best_of(s, seq);
	if (best >= 0)
		*out = s->items[best];
	pthread_mutex_unlock(&s->lock);
	return best >= 0;
}

bool archive_set_find_time(struct archive_set *s, int64_t time_ms, uint64_t log_first, struct manifest *out, uint64_t *sure)
{
	uint32_t i = 0;
	pthread_mutex_lock(&s->lock);
	while (i < s->count && s->items[i].last_ms < time_ms)
		i++;
	bool there = i < s->count;
	if (there)
		*out = s->items[i];
	uint64_t end = there && s->items[i].first < log_first ? s->items[i].first : log_first;
	uint64_t held = i > 0 ? s->reach[i - 1] : 0;
	assert(end > 0);
	*sure = missing_archives_previous(&s->missing, end) > held ? held : end - 1;
	pthread_mutex_unlock(&s->lock);
	return there;
}

/* Do readers use it for any of its events? With the lock. */
static bool is_needed(const struct archive_set *s, int64_t at, uint64_t log_first)
{
	uint64_t seq = s->items[at].first;
	while (seq <= s->items[at].last && seq < log_first) {
		int64_t best = best_of(s, seq); /* also for the rest of that archive: none reaches farther */
		assert(best >= 0);              /* `at` itself has it */
		if (best == at)
			return true;
		seq = s->items[best].last + 1;
	}
	return false;
}

/* May the archive be deleted? With the lock. */
static enum err may_delete(const struct archive_set *s, const char *file, uint64_t log_first, struct fault *fault)
{
	int64_t at = archive_list_index(s, file);
	if (at < 0)
		return fault_set(fault, ERR_NOT_FOUND, "there is no archive %s", file);
	if (s->missing.count > 0)
		return fault_set(fault, ERR_CONFLICT, "no archive can be deleted while one is missing: %s",
				 s->missing.items[0].why.text);
	if (is_needed(s, at, log_first))
		return fault_set(fault, ERR_CONFLICT,
				 "%s is needed: it has events that are neither in the log nor in another archive", file);
	return ERR_NONE;
}

/* The manifest is removed first: without it the file is not an archive any more. */
enum err archive_set_delete(struct archive_set *s, const char *file, uint64_t log_first, struct fault *fault)
{
	char path[PATH_MAX];
	char manifest[PATH_MAX];
	archive_set_path(s, file, path);
	pthread_mutex_lock(&s->lock);
	enum err err = may_delete(s, file, log_first, fault);
	pthread_mutex_unlock(&s->lock);
	if (err)
		return err;
	if (!manifest_path(path, manifest) || (sys_remove(manifest) != 0 && errno != ENOENT))
		return sys_fail(fault, "cannot delete the manifest of", path, errno);
	pthread_mutex_lock(&s->lock);
	int64_t at = archive_list_index(s, file);
	if (at >= 0)
		take_out(s, (uint32_t)at);
	pthread_mutex_unlock(&s->lock);
	if ((sys_remove(path) != 0 && errno != ENOENT) || sys_sync_dir(s->dir) != 0)
		return sys_fail(fault, "cannot delete", path, errno);
	return ERR_NONE;
}

/* The first seq after `after` in archives, missing ones included. With the lock. */
static uint64_t first_after(const struct archive_set *s, uint64_t after)
{
	uint32_t i = archive_list_begins_after(s, after);
	uint64_t held = i > 0 && s->reach[i - 1] > after ? after + 1 : i < s->count ? s->items[i].first : 0;
	uint64_t missing = missing_archives_next(&s->missing, after);
	return held == 0 || (missing != 0 && missing < held) ? missing : held;
}

uint64_t archive_set_next(struct archive_set *s, uint64_t after)
{
	pthread_mutex_lock(&s->lock);
	uint64_t next = first_after(s, after);
	assert(next == 0 || next > after);
	pthread_mutex_unlock(&s->lock);
	return next;
}

uint64_t archive_set_previous(struct archive_set *s, uint64_t before)
{
	assert(before > 0);
	pthread_mutex_lock(&s->lock);
	uint32_t i = before > 0 ? archive_list_begins_after(s, before - 1) : 0;
	uint64_t held = i > 0 ? s->reach[i - 1] : 0;
	uint64_t missing = missing_archives_previous(&s->missing, before);
	pthread_mutex_unlock(&s->lock);
	held = held < before ? held : before - 1;
	return held > missing ? held : missing;
}

uint64_t archive_set_part(struct archive_set *s, uint64_t seq)
{
	pthread_mutex_lock(&s->lock);
	int64_t best = best_of(s, seq);
	const struct missing_archive *missing = missing_archives_find(&s->missing, seq);
	uint64_t first = best >= 0 ? s->items[best].first : missing != NULL ? missing->first : seq;
	uint32_t i = archive_list_begins_after(s, seq);
	if (best < 0 && i > 0 && s->reach[i - 1] >= first) /* the missing range begins after another archive */
		first = s->reach[i - 1] + 1;
	assert(first <= seq);
	pthread_mutex_unlock(&s->lock);
	return first;
}

/* --- missing and damaged archives --- */

void archive_set_expect(struct archive_set *s, uint64_t first, uint64_t last)
{
	struct fault why;
	assert(first > 0 && first <= last);
	fault_set(&why, ERR_NOT_FOUND, "no archive in %s holds events %" PRIu64 " to %" PRIu64, s->dir, first, last);
	pthread_mutex_lock(&s->lock);
	missing_archives_add(&s->missing, (struct missing_archive){first, last, MISSING_NOT_FOUND, true, why});
	pthread_mutex_unlock(&s->lock);
}

void archive_set_excuse(struct archive_set *s, uint64_t first, uint64_t last)
{
	assert(first > 0 && first <= last);
	pthread_mutex_lock(&s->lock);
	missing_archives_add(&s->excused, (struct missing_archive){.first = first, .last = last});
	for (uint32_t i = s->missing.count; i-- > 0;)
		if (s->missing.items[i].first >= first && s->missing.items[i].last <= last)
			missing_archives_remove(&s->missing, i);
	pthread_mutex_unlock(&s->lock);
}

bool archive_set_is_missing(struct archive_set *s, struct fault *why)
{
	pthread_mutex_lock(&s->lock);
	bool any = s->missing.count > 0;
	if (any)
		*why = s->missing.items[0].why;
	pthread_mutex_unlock(&s->lock);
	return any;
}

/* The identity of the file; false: there is none. */
static bool identify(const struct archive_set *s, const char *file, struct damaged *out)
{
	char path[PATH_MAX];
	struct stat st;
	archive_set_path(s, file, path);
	bool there = stat(path, &st) == 0;
	if (there) {
		out->inode = st.st_ino;
		out->changed = st.st_mtim;
	}
	return there;
}

void archive_set_note_damage(struct archive_set *s, const char *file, const struct fault *why)
{
	struct damaged d = {.why = *why};
	snprintf(d.file, sizeof d.file, "%s", file);
	if (!identify(s, file, &d))
		return;
	pthread_mutex_lock(&s->lock);
	s->damaged = d;
	pthread_mutex_unlock(&s->lock);
}

static bool is_damaged(struct archive_set *s, struct fault *why)
{
	struct damaged now = {0};
	pthread_mutex_lock(&s->lock);
	struct damaged d = s->damaged;
	pthread_mutex_unlock(&s->lock);
	bool same = d.file[0] != '\0' && identify(s, d.file, &now) && now.inode == d.inode &&
		    now.changed.tv_sec == d.changed.tv_sec && now.changed.tv_nsec == d.changed.tv_nsec;
	if (same)
		*why = d.why;
	return same;
}

bool archive_set_is_incomplete(struct archive_set *s, struct fault *why)
{
	return archive_set_is_missing(s, why) || is_damaged(s, why);
}

void archive_set_find_missing(struct archive_set *s)
{
	int64_t now = clock_mono_ms();
	pthread_mutex_lock(&s->lock);
	bool due = s->missing.count > 0 && now - s->scanned_ms >= SCAN_MS;
	if (due)
		s->scanned_ms = now;
	pthread_mutex_unlock(&s->lock);
	struct fault why;
	if (due && archive_set_scan(s, &why) != ERR_NONE)
		log_warn("the directory of archives cannot be read", "why=\"%s\"", why.text);
}

/* Why the archive of `seq` cannot be read; ERR_GONE: the event was removed by retention. */
static enum err why_not(struct archive_set *s, uint64_t seq, struct fault *fault)
{
	pthread_mutex_lock(&s->lock);
	const struct missing_archive *a = missing_archives_find(&s->missing, seq);
	enum err err = a == NULL ? fault_set(fault, ERR_GONE, "event %" PRIu64 " was removed by retention", seq)
				 : fault_kind(fault,
					      fault_set(fault, ERR_IO,
							"event %" PRIu64 " cannot be read: its archive cannot be used: %s",
							seq, a->why.text),
					      KIND_ARCHIVE);
	pthread_mutex_unlock(&s->lock);
	return err;
}

enum err archive_set_want(struct archive_set *s, uint64_t seq, struct manifest *out, struct fault *fault)
{
	if (archive_set_find(s, seq, out))
		return ERR_NONE;
	archive_set_find_missing(s);
	return archive_set_find(s, seq, out) ? ERR_NONE : why_not(s, seq, fault);
}

/* The index of the archive that ends with `last` and has this chain; -1: none. With the lock. */
static int64_t ends_with(const struct archive_set *s, uint64_t last, const char *chain)
{
	for (int64_t i = (int64_t)archive_list_begins_after(s, last) - 1; i >= 0 && s->reach[i] >= last; i--)
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

bool archive_set_rejected(struct archive_set *s, struct fault *why)
{
	pthread_mutex_lock(&s->lock);
	bool any = s->rejected.code != ERR_NONE;
	if (any)
		*why = s->rejected;
	pthread_mutex_unlock(&s->lock);
	return any;
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
