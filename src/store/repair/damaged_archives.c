#include "store/repair/damaged_archives.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/system/log.h"
#include "base/system/path.h"
#include "base/system/sys.h"
#include "event/envelope.h"
#include "store/archive/archive.h"
#include "store/archive/archive_check.h"
#include "store/archive/archive_manifest.h"
#include "store/archives/archive_set.h"
#include "store/sqlite/store_files.h"

enum {
	NAME_LEN = ARCHIVE_NAME_LEN + 16,
	MANIFEST_MAX = 4096,
	EPOCH_ERRORS = 2, /* characters of an epoch that may be damaged; two random epochs are never that close */
};

/* A sound frame, with consecutive events. */
struct sound_frame {
	uint32_t file;
	uint32_t frame;
	uint64_t first;
	uint32_t count;
};

struct damaged_archive {
	char dir[PATH_MAX];
	char (*names)[NAME_LEN];
	uint32_t count;
	struct sound_frame *frames;
	size_t frame_count;
	struct archive *open;
	uint32_t open_file;
};

static enum err no_memory(struct fault *fault)
{
	return fault_nomem(fault);
}

static enum err add_name(struct damaged_archive *t, const char *name, struct fault *fault)
{
	for (uint32_t i = 0; i < t->count; i++)
		if (strcmp(t->names[i], name) == 0)
			return ERR_NONE;
	char(*names)[NAME_LEN] = realloc(t->names, ((size_t)t->count + 1) * sizeof *names);
	if (names == NULL)
		return no_memory(fault);
	t->names = names;
	snprintf(t->names[t->count++], NAME_LEN, "%s", name);
	return ERR_NONE;
}

/* Calls back with every name in the directory. */
static enum err each_name(const char *dir, enum err (*each)(void *arg, const char *name, struct fault *fault), void *arg,
			  struct fault *fault)
{
	enum err err = ERR_NONE;
	DIR *d = opendir(dir);
	if (d == NULL)
		return errno == ENOENT ? ERR_NONE : sys_fail(fault, "cannot open the directory of archives", dir, errno);
	for (const struct dirent *e; !err && (e = readdir(d)) != NULL;)
		err = each(arg, e->d_name, fault);
	closedir(d);
	return err;
}

/* --- finding damaged archives --- */

static bool has_epoch(const char *text, ssize_t len, const char *epoch)
{
	for (ssize_t at = 0; at + LINE_EPOCH_LEN <= len; at++) {
		int errors = 0;
		for (int i = 0; i < LINE_EPOCH_LEN && errors <= EPOCH_ERRORS; i++)
			errors += text[at + i] != epoch[i];
		if (errors <= EPOCH_ERRORS)
			return true;
	}
	return false;
}

/* Does a manifest file, damaged or not, name one of these lines? */
static bool names_line(const char *path, const struct lineage *lineage)
{
	char text[MANIFEST_MAX];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof text) : -1;
	if (fd >= 0)
		close(fd);
	for (uint32_t i = 0; i < lineage->count; i++)
		if (has_epoch(text, n, lineage->lines[i].epoch))
			return true;
	return false;
}

struct suspects {
	struct damaged_archive *damaged;
	struct archive_set *set;
	const struct lineage *lineage;
};

enum inside { INSIDE_UNUSABLE, INSIDE_DIFFERS, INSIDE_PROVEN };

/* Has an archive an embedded manifest of this history, and does it agree with that? */
static enum err prove_inside(const struct suspects *s, const char *name, struct manifest *m, enum inside *out,
			     struct fault *fault)
{
	char path[PATH_MAX];
	uint64_t first;
	uint64_t last;
	struct manifest found;
	struct fault why;
	*out = INSIDE_UNUSABLE;
	archive_set_path(s->set, name, path);
	enum err err = archive_manifest_read_inside(path, m, &why);
	if (err == ERR_NOMEM)
		return no_memory(fault);
	if (err || !archive_name_parse(name, ARCHIVE_ENDING, &first, &last) || m->first != first || m->last != last ||
	    m->count != last - first + 1 || !archive_set_owns(s->set, m))
		return ERR_NONE;
	snprintf(m->file, sizeof m->file, "%s", name);
	err = archive_check(path, &(struct archive_check){.expected = m}, &found, &why);
	if (err == ERR_NOMEM)
		return no_memory(fault);
	*out = err ? INSIDE_DIFFERS : INSIDE_PROVEN;
	return ERR_NONE;
}

/* If an archive agrees with its embedded manifest (*out is INSIDE_PROVEN), its manifest file is written again. */
static enum err restore_manifest(const struct suspects *s, const char *name, enum inside *out, struct fault *fault)
{
	struct manifest m;
	char path[PATH_MAX];
	enum err err = prove_inside(s, name, &m, out, fault);
	if (err || *out != INSIDE_PROVEN)
		return err;
	archive_set_path(s->set, name, path);
	err = archive_manifest_restore(path, &m, fault);
	if (!err)
		log_warn("the manifest file of an archive was missing or damaged: it is restored from the embedded manifest",
			 "file=\"%s\"", path);
	return err;
}

/* Is the manifest file of an archive, damaged or not, of this history? */
static bool is_ours_beside(const struct suspects *s, const char *name, uint64_t count)
{
	struct manifest m;
	struct fault why;
	char path[PATH_MAX];
	char manifest[PATH_MAX];
	archive_set_path(s->set, name, path);
	bool foreign = manifest_read(path, &m, &why) == ERR_NONE && (!archive_set_owns(s->set, &m) || m.count != count);
	return !foreign && manifest_path(path, manifest) && names_line(manifest, s->lineage);
}

/* An archive without a usable manifest file. Without any manifest it never was an archive. */
static enum err suspect(void *arg, const char *name, struct fault *fault)
{
	const struct suspects *s = arg;
	struct manifest m;
	enum inside inside;
	uint64_t first;
	uint64_t last;
	if (!archive_name_parse(name, ARCHIVE_ENDING, &first, &last) || archive_set_named(s->set, name, &m))
		return ERR_NONE;
	enum err err = restore_manifest(s, name, &inside, fault);
	if (err || inside == INSIDE_PROVEN)
		return err;
	return inside == INSIDE_DIFFERS || is_ours_beside(s, name, last - first + 1) ? add_name(s->damaged, name, fault)
										     : ERR_NONE;
}

/* An archive that disagrees with its manifest file. */
static enum err check_inside(const struct suspects *s, const char *name, struct fault *fault)
{
	enum inside inside;
	enum err err = restore_manifest(s, name, &inside, fault);
	return err || inside == INSIDE_PROVEN ? err : add_name(s->damaged, name, fault);
}

static enum err check_all(const struct suspects *s, struct fault *fault)
{
	struct manifest m;
	enum err err = ERR_NONE;
	for (uint32_t i = 0; !err && archive_set_at(s->set, i, &m); i++) {
		char path[PATH_MAX];
		struct manifest found;
		struct fault why;
		archive_set_path(s->set, m.file, path);
		err = archive_check(path, &(struct archive_check){.expected = &m}, &found, &why);
		if (err == ERR_NOMEM)
			return no_memory(fault);
		if (err)
			err = check_inside(s, m.file, fault);
	}
	return err;
}

static enum err find_damaged(struct damaged_archive *t, const struct lineage *lineage, struct fault *fault)
{
	struct archive_set *set;
	enum err err = archive_set_open(t->dir, lineage, true, &set, fault);
	if (err)
		return err;
	struct suspects s = {t, set, lineage};
	err = check_all(&s, fault);
	if (!err)
		err = each_name(t->dir, suspect, &s, fault);
	archive_set_close(set);
	return err;
}

static enum err rename_damaged(const char *path, struct fault *fault)
{
	char to[PATH_MAX];
	path_format(to, "%s" DAMAGED_ENDING, path);
	if (sys_rename_new(path, to) == 0 || errno == ENOENT)
		return ERR_NONE;
	return sys_fail(fault, "cannot rename to *" DAMAGED_ENDING, path, errno);
}

/* Renames the manifest of an archive that was renamed. */
static enum err rename_manifest(const char *archive, struct fault *fault)
{
	char manifest[PATH_MAX];
	if (access(archive, F_OK) == 0 || !manifest_path(archive, manifest))
		return ERR_NONE;
	return rename_damaged(manifest, fault);
}

static enum err rename_archive(struct damaged_archive *t, uint32_t index, struct fault *fault)
{
	char path[PATH_MAX];
	path_format(path, "%s/%s", t->dir, t->names[index]);
	log_warn("an archive is damaged: the events that can be read are copied into others",
		 "file=\"%s" DAMAGED_ENDING "\"", path);
	return rename_damaged(path, fault);
}

/* --- reading sound frames --- */

static enum err find_renamed(void *arg, const char *name, struct fault *fault)
{
	char whole[NAME_LEN];
	uint64_t first;
	uint64_t last;
	size_t len = strlen(name);
	size_t ending = strlen(DAMAGED_ENDING);
	if (len <= ending || len >= sizeof whole || strcmp(name + len - ending, DAMAGED_ENDING) != 0)
		return ERR_NONE;
	snprintf(whole, sizeof whole, "%.*s", (int)(len - ending), name);
	return archive_name_parse(whole, ARCHIVE_ENDING, &first, &last) ? add_name(arg, name, fault) : ERR_NONE;
}

static bool open_file(struct damaged_archive *t, uint32_t file)
{
	char path[PATH_MAX];
	assert(file < t->count);
	if (t->open != NULL && t->open_file == file)
		return true;
	archive_close(t->open);
	path_format(path, "%s/%s", t->dir, t->names[file]);
	t->open_file = file;
	return archive_open_damaged(path, &t->open, NULL) == ERR_NONE;
}

/* Is line i event first + i, within what the file's name says? */
static bool is_consecutive(const struct archive_lines *lines, uint64_t lowest, uint64_t highest, uint64_t *first)
{
	struct envelope e;
	for (uint32_t i = 0; i < lines->count; i++) {
		if (!envelope_read(archive_line(lines, i), &e) || e.seq < lowest || e.seq > highest)
			return false;
		if (i == 0)
			*first = e.seq;
		if (e.seq != *first + i)
			return false;
	}
	return lines->count > 0;
}

static enum err add_frames(struct damaged_archive *t, uint32_t file, struct fault *fault)
{
	uint64_t lowest;
	uint64_t highest;
	char name[NAME_LEN];
	char path[PATH_MAX];
	assert(strlen(t->names[file]) > strlen(DAMAGED_ENDING));
	snprintf(name, sizeof name, "%.*s", (int)(strlen(t->names[file]) - strlen(DAMAGED_ENDING)), t->names[file]);
	path_format(path, "%s/%s", t->dir, name);
	enum err err = rename_manifest(path, fault);
	if (err || !archive_name_parse(name, ARCHIVE_ENDING, &lowest, &highest) || !open_file(t, file))
		return err;
	for (uint32_t i = 0; i < archive_frames(t->open); i++) {
		struct archive_lines lines;
		struct sound_frame f = {file, i, 0, 0};
		err = archive_unpack(t->open, i, &lines, NULL);
		if (err == ERR_NOMEM)
			return no_memory(fault);
		if (err || !is_consecutive(&lines, lowest, highest, &f.first))
			continue;
		f.count = lines.count;
		struct sound_frame *frames = realloc(t->frames, (t->frame_count + 1) * sizeof *frames);
		if (frames == NULL)
			return no_memory(fault);
		t->frames = frames;
		t->frames[t->frame_count++] = f;
	}
	return ERR_NONE;
}

static int by_first(const void *a, const void *b)
{
	uint64_t x = ((const struct sound_frame *)a)->first;
	uint64_t y = ((const struct sound_frame *)b)->first;
	return x < y ? -1 : x > y;
}

enum err damaged_archive_open(const char *dir, const struct lineage *lineage, struct damaged_archive **out,
			      struct fault *fault)
{
	*out = NULL;
	struct damaged_archive *t = calloc(1, sizeof *t);
	if (t == NULL)
		return no_memory(fault);
	path_format(t->dir, "%s", dir);
	enum err err = find_damaged(t, lineage, fault);
	for (uint32_t i = 0; !err && i < t->count; i++)
		err = rename_archive(t, i, fault);
	/* Archives are renamed before their manifests: without its manifest a file would not be taken for an archive. */
	if (!err && t->count > 0)
		err = store_files_sync_names(t->dir, fault);
	t->count = 0;
	if (!err)
		err = each_name(t->dir, find_renamed, t, fault);
	for (uint32_t i = 0; !err && i < t->count; i++)
		err = add_frames(t, i, fault);
	if (!err && t->count > 0)
		err = store_files_sync_names(t->dir, fault);
	if (err) {
		damaged_archive_close(t);
		return err;
	}
	if (t->frame_count > 0)
		qsort(t->frames, t->frame_count, sizeof *t->frames, by_first);
	*out = t;
	return ERR_NONE;
}

void damaged_archive_close(struct damaged_archive *t)
{
	if (t == NULL)
		return;
	archive_close(t->open);
	free(t->names);
	free(t->frames);
	free(t);
}

uint32_t damaged_archive_count(const struct damaged_archive *t)
{
	return t->count;
}

uint64_t damaged_archive_head(const struct damaged_archive *t)
{
	uint64_t head = 0;
	for (size_t i = 0; i < t->frame_count; i++) {
		assert(t->frames[i].count > 0);
		uint64_t last = t->frames[i].first + t->frames[i].count - 1;
		head = last > head ? last : head;
	}
	return head;
}

bool damaged_archive_find(struct damaged_archive *t, uint64_t seq, struct slice *envelope)
{
	for (size_t i = 0; i < t->frame_count && t->frames[i].first <= seq; i++) {
		const struct sound_frame *f = &t->frames[i];
		struct archive_lines lines;
		if (seq - f->first >= f->count || !open_file(t, f->file) ||
		    archive_unpack(t->open, f->frame, &lines, NULL) != ERR_NONE)
			continue;
		*envelope = archive_line(&lines, (uint32_t)(seq - f->first));
		return true;
	}
	return false;
}

/* --- their lines of history --- */

struct lines {
	const char *dir;
	struct lineage *lineage;
	bool several; /* they are not of one history */
};

/* The embedded manifest is preferred: the manifest file may belong to another archive. */
static enum err read_either(const char *path, struct manifest *m, struct fault *fault)
{
	enum err err = archive_manifest_read_inside(path, m, fault);
	return err == ERR_NONE || err == ERR_NOMEM ? err : manifest_read(path, m, fault);
}

/* Calls `take` with the manifest of an archive, if it is sound. */
static enum err each_manifest(struct lines *l, const char *name, enum err (*take)(struct lines *l, const struct manifest *m),
			      struct fault *fault)
{
	struct manifest m;
	char path[PATH_MAX];
	uint64_t first;
	uint64_t last;
	if (!archive_name_parse(name, ARCHIVE_ENDING, &first, &last))
		return ERR_NONE;
	path_format(path, "%s/%s", l->dir, name);
	enum err err = read_either(path, &m, fault);
	if (err || m.count != last - first + 1)
		return err == ERR_NOMEM ? err : ERR_NONE;
	return take(l, &m) ? fault_nomem(fault) : ERR_NONE;
}

static enum err insert_lines(struct lines *l, const struct manifest *m)
{
	enum err err = ERR_NONE;
	for (uint32_t i = 0; !err && i < m->line_count; i++) {
		bool same;
		err = lineage_insert(l->lineage, &m->lines[i], &same);
		l->several = l->several || !same;
	}
	return err;
}

static enum err compare_lines(struct lines *l, const struct manifest *m)
{
	l->several =
		l->several || !lineage_is(l->lineage, m->first > 1 ? m->first - 1 : 1, m->last, m->lines, m->line_count);
	return ERR_NONE;
}

static enum err on_insert(void *arg, const char *name, struct fault *fault)
{
	return each_manifest(arg, name, insert_lines, fault);
}

static enum err on_compare(void *arg, const char *name, struct fault *fault)
{
	return each_manifest(arg, name, compare_lines, fault);
}

enum err damaged_archive_lineage(const char *dir, struct lineage *out, struct fault *fault)
{
	struct lines l = {.dir = dir, .lineage = out};
	*out = (struct lineage){0};
	enum err err = each_name(dir, on_insert, &l, fault);
	if (!err)
		err = each_name(dir, on_compare, &l, fault);
	if (!err && (out->count == 0 || l.several))
		err = fault_set(fault, ERR_CORRUPT, "the archives in %s %s", dir,
				l.several ? "are of different histories"
					  : "have no manifest that says which history they are of");
	if (err)
		lineage_finish(out);
	return err;
}
