#include "disk.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/data/checksum.h"

enum {
	SECTOR = 512,
	FILES_MAX = 256,
	NAMES_MAX = 256,
	NAME_LEN = 160,
	FDS_MAX = 1024,
	PENDING_MAX = 65536,
	OPS_MAX = 1024,
	RECORDED_MAX = 65536,
	ROOT = 0, /* the directory that is watched */
	NONE = -1
};

/* A write that is not on the disk yet; bytes NULL: the file was cut or stretched to `at`. */
struct pending {
	uint64_t at;
	size_t len;
	unsigned char *bytes;
};

/* What names stand for: a file, or a directory, whose contents are the names in it. */
struct file {
	unsigned char *durable;
	size_t len;
	struct pending *pending;
	size_t count;
};

/* dir NONE: no name. */
struct name {
	int dir;
	char text[NAME_LEN];
};

struct entry {
	struct name name;
	int file;
};

/* A change of names: one begins to stand for a file, another one goes, or both. */
struct op {
	struct name made;
	struct name lost;
	int file;
};

/* A change of the disk, of any kind. */
struct change {
	enum { CHANGE_BYTES, CHANGE_NAMES, CHANGE_SYNC } kind;
	int file;           /* of CHANGE_BYTES and CHANGE_SYNC */
	struct pending put; /* of CHANGE_BYTES */
	struct op op;       /* of CHANGE_NAMES */
};

struct disk_figures disk_figures;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX];
static bool watching;
static struct file files[FILES_MAX];
static bool is_dir[FILES_MAX];
static int file_count;
static struct entry now[NAMES_MAX];
static int now_count;
static struct entry durable[NAMES_MAX];
static int durable_count;
static struct op *ops; /* that are not on the disk yet; OPS_MAX */
static int op_count;
static int file_of_fd[FDS_MAX]; /* file + 1; 0: not watched */
static uint64_t left;           /* changes until the cut; 0: there will be none */
static bool cut;
static uint64_t syncs_left; /* until one fails; 0: none will */

static bool recording;
static struct change *recorded; /* RECORDED_MAX */
static uint32_t recorded_count;
static struct file base_files[FILES_MAX]; /* the disk when recording began */
static struct entry base[NAMES_MAX];
static int base_count;

uint64_t disk_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* --- names --- */

static bool is_watched(const char *path)
{
	size_t len = strlen(root);
	return watching && strncmp(path, root, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static bool is_same(const struct name *a, const struct name *b)
{
	return a->dir == b->dir && strcmp(a->text, b->text) == 0;
}

static struct entry *find(struct entry *entries, int count, const struct name *name)
{
	for (int i = 0; name->dir != NONE && i < count; i++)
		if (is_same(&entries[i].name, name))
			return &entries[i];
	return NULL;
}

/* The last name of a path below the root; no name where the directory is not there. */
static struct name name_of(const char *path)
{
	struct name name = {.dir = ROOT};
	path += strlen(root);
	for (path += strspn(path, "/"); name.dir != NONE; path += strspn(path, "/")) {
		size_t len = strcspn(path, "/");
		snprintf(name.text, sizeof name.text, "%.*s", (int)len, path);
		path += len;
		if (path[strspn(path, "/")] == '\0')
			break;
		const struct entry *e = find(now, now_count, &name);
		name.dir = e != NULL && is_dir[e->file] ? e->file : NONE;
	}
	return name;
}

/* What a path stands for; NONE. */
static int file_at(const char *path)
{
	struct name name = name_of(path);
	const struct entry *e = find(now, now_count, &name);
	return name.text[0] == '\0' ? ROOT : e != NULL ? e->file : NONE;
}

static void put(struct entry *entries, int *count, const struct op *o)
{
	struct entry *lost = find(entries, *count, &o->lost);
	if (lost != NULL)
		*lost = entries[--*count];
	if (o->made.dir == NONE)
		return;
	struct entry *e = find(entries, *count, &o->made);
	if (e == NULL) {
		assert(*count < NAMES_MAX);
		e = &entries[(*count)++];
		e->name = o->made;
	}
	e->file = o->file;
}

/* A rename over directories is one change: it is durable when either of them is. */
static void sync_names(int dir)
{
	int kept = 0;
	for (int i = 0; i < op_count; i++) {
		if (ops[i].made.dir == dir || ops[i].lost.dir == dir)
			put(durable, &durable_count, &ops[i]);
		else
			ops[kept++] = ops[i];
	}
	op_count = kept;
}

/* --- contents --- */

static void resize(struct file *f, size_t len)
{
	f->durable = realloc(f->durable, len > 0 ? len : 1);
	assert(f->durable != NULL);
	if (len > f->len)
		memset(f->durable + f->len, 0, len - f->len);
	f->len = len;
}

static void apply(struct file *f, const struct pending *p)
{
	if (p->bytes == NULL) {
		resize(f, p->at);
		return;
	}
	if (p->at + p->len > f->len)
		resize(f, p->at + p->len);
	memcpy(f->durable + p->at, p->bytes, p->len);
}

static void drop_pending(struct file *f)
{
	for (size_t i = 0; i < f->count; i++)
		free(f->pending[i].bytes);
	f->count = 0;
}

static void sync_file(struct file *f)
{
	for (size_t i = 0; i < f->count; i++)
		apply(f, &f->pending[i]);
	drop_pending(f);
}

static struct pending copy_of(const struct pending *p)
{
	struct pending copy = *p;
	if (p->bytes != NULL) {
		copy.bytes = malloc(p->len > 0 ? p->len : 1);
		assert(copy.bytes != NULL);
		memcpy(copy.bytes, p->bytes, p->len);
	}
	return copy;
}

static void add_pending(struct file *f, const struct pending *p)
{
	if (f->pending == NULL)
		f->pending = calloc(PENDING_MAX, sizeof *f->pending);
	assert(f->pending != NULL && f->count < PENDING_MAX);
	f->pending[f->count++] = copy_of(p);
}

/* Where the sector ends that byte `at` of a write is in. */
static size_t sector_end(const struct pending *p, size_t at)
{
	size_t end = p->bytes == NULL ? p->len : (p->at + at) / SECTOR * SECTOR + SECTOR - p->at;
	return end < p->len ? end : p->len;
}

static uint32_t sectors_of(const struct pending *p)
{
	uint32_t n = 1;
	for (size_t end = sector_end(p, 0); end < p->len; end = sector_end(p, end))
		n++;
	return n;
}

/* --- changes --- */

/* What a call has changed. With the lock. */
static void change(const struct change *c)
{
	switch (c->kind) {
	case CHANGE_BYTES: add_pending(&files[c->file], &c->put); break;
	case CHANGE_NAMES:
		assert(op_count < OPS_MAX);
		ops[op_count++] = c->op;
		put(now, &now_count, &c->op);
		break;
	case CHANGE_SYNC:
		if (is_dir[c->file])
			sync_names(c->file);
		else
			sync_file(&files[c->file]);
		break;
	}
	if (!recording)
		return;
	assert(recorded_count < RECORDED_MAX);
	recorded[recorded_count] = *c;
	recorded[recorded_count++].put = copy_of(&c->put);
}

static void change_bytes(int file, uint64_t at, const void *bytes, size_t len)
{
	change(&(struct change){CHANGE_BYTES, .file = file, .put = {at, len, (unsigned char *)bytes}});
}

static void change_names(const struct name *made, int file, const struct name *lost)
{
	static const struct name none = {.dir = NONE};
	change(&(struct change){CHANGE_NAMES, .op = {made != NULL ? *made : none, lost != NULL ? *lost : none, file}});
}

static int make_file(const char *path, bool dir)
{
	struct name name = name_of(path);
	assert(file_count < FILES_MAX && name.dir != NONE);
	is_dir[file_count] = dir;
	change_names(&name, file_count, NULL);
	return file_count++;
}

/* --- the power --- */

/* Counts a change; false (and errno) when the power is off. With the lock. */
static bool may_change(void)
{
	if (!cut) {
		disk_figures.changes++;
		cut = left > 0 && --left == 0;
	}
	if (cut)
		errno = EIO;
	return !cut;
}

void disk_watch(const char *dir)
{
	if (ops == NULL)
		ops = calloc(OPS_MAX, sizeof *ops);
	assert(ops != NULL);
	snprintf(root, sizeof root, "%s", dir);
	watching = true;
	cut = false;
	left = syncs_left = 0;
	is_dir[ROOT] = true;
	file_count = ROOT + 1;
}

void disk_cut_at(uint64_t n)
{
	left = n;
}

void disk_fail_sync_at(uint64_t n)
{
	syncs_left = n;
}

bool disk_is_cut(void)
{
	return cut;
}

static void free_files(struct file *of)
{
	for (int i = 0; i < FILES_MAX; i++) {
		drop_pending(&of[i]);
		free(of[i].pending);
		free(of[i].durable);
		of[i] = (struct file){0};
	}
}

void disk_forget(void)
{
	free_files(files);
	free_files(base_files);
	while (recorded_count > 0)
		free(recorded[--recorded_count].put.bytes);
	file_count = now_count = durable_count = op_count = base_count = 0;
	watching = recording = false;
}

/* Keeps the sectors of a write for which it is said; anything else as a whole. */
static void lose_bytes(struct file *f, const struct pending *p, uint32_t number,
		       bool (*kept)(void *arg, uint32_t change, uint32_t sector), void *arg)
{
	uint32_t sectors = sectors_of(p);
	uint32_t there = 0;
	size_t at = 0;
	for (uint32_t i = 0; i < sectors; i++) {
		size_t end = sector_end(p, at);
		struct pending piece = {p->at + at, end - at, p->bytes != NULL ? p->bytes + at : NULL};
		at = end;
		if (!kept(arg, number, i))
			continue;
		apply(f, &piece);
		there++;
	}
	disk_figures.lost += sectors - there;
	disk_figures.damaged += there > 0 && there < sectors;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
	uint64_t state = a + 3 * b;
	return disk_random(&state);
}

/* Of what is in a directory, in whatever order. */
static uint64_t hash_of(int dir)
{
	uint64_t hash = 0;
	for (int i = 0; i < durable_count; i++) {
		const struct entry *e = &durable[i];
		const struct file *f = &files[e->file];
		if (e->name.dir != dir)
			continue;
		uint64_t content =
			is_dir[e->file] ? hash_of(e->file) : checksum_name((struct slice){(char *)f->durable, f->len});
		hash += mix(checksum_name(slice_of(e->name.text)), content);
	}
	return hash;
}

uint64_t disk_lose(bool (*kept)(void *arg, uint32_t change, uint32_t sector), void *arg)
{
	uint32_t number = 0;
	for (int i = 0; i < op_count; i++) {
		bool there = kept(arg, number++, 0);
		if (there)
			put(durable, &durable_count, &ops[i]);
		disk_figures.lost += !there;
	}
	op_count = 0;
	for (int i = 0; i < file_count; i++) {
		for (size_t k = 0; k < files[i].count; k++)
			lose_bytes(&files[i], &files[i].pending[k], number++, kept, arg);
		drop_pending(&files[i]);
	}
	memcpy(now, durable, sizeof now);
	now_count = durable_count;
	return hash_of(ROOT);
}

static void write_out(const char *path, const struct file *f)
{
	long fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert(fd >= 0);
	for (size_t done = 0; done < f->len;) {
		long n = syscall(SYS_write, (int)fd, f->durable + done, f->len - done);
		assert(n > 0);
		done += (size_t)n;
	}
	syscall(SYS_close, (int)fd);
}

static void lay_out(int dir, const char *path)
{
	for (int i = 0; i < durable_count; i++) {
		char below[PATH_MAX];
		int file = durable[i].file;
		if (durable[i].name.dir != dir)
			continue;
		snprintf(below, sizeof below, "%.2000s/%s", path, durable[i].name.text);
		if (is_dir[file]) {
			syscall(SYS_mkdir, below, 0700);
			lay_out(file, below);
		} else {
			write_out(below, &files[file]);
		}
	}
}

static void clear(const char *path)
{
	DIR *dir = opendir(path);
	assert(dir != NULL);
	for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
		char below[PATH_MAX];
		snprintf(below, sizeof below, "%.2000s/%s", path, e->d_name);
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || syscall(SYS_unlink, below) == 0)
			continue;
		clear(below);
		syscall(SYS_rmdir, below);
	}
	closedir(dir);
}

void disk_lay_out(void)
{
	clear(root);
	lay_out(ROOT, root);
}

struct odds {
	uint64_t random;
	unsigned chance; /* of 256 */
};

static bool is_lucky(void *arg, uint32_t number, uint32_t sector)
{
	struct odds *odds = arg;
	(void)number;
	(void)sector;
	return disk_random(&odds->random) % 256 < odds->chance;
}

/* Each change that was not synced is there with that chance. */
static void restore(struct odds odds)
{
	pthread_mutex_lock(&lock);
	disk_lose(is_lucky, &odds);
	disk_lay_out();
	cut = false;
	left = syncs_left = 0;
	pthread_mutex_unlock(&lock);
}

void disk_restore(uint64_t seed)
{
	static const unsigned chances[] = {0, 64, 128, 224, 256};
	struct odds odds = {.random = seed};
	odds.chance = chances[disk_random(&odds.random) % 5];
	restore(odds);
}

void disk_keep(void)
{
	restore((struct odds){.chance = 256});
}

/* --- recording --- */

static void copy_files(struct file *to, const struct file *from)
{
	for (int i = 0; i < file_count; i++) {
		drop_pending(&to[i]);
		resize(&to[i], from[i].len);
		if (from[i].len > 0)
			memcpy(to[i].durable, from[i].durable, from[i].len);
	}
}

void disk_record(void)
{
	if (recorded == NULL)
		recorded = calloc(RECORDED_MAX, sizeof *recorded);
	assert(recorded != NULL);
	disk_keep();
	copy_files(base_files, files);
	memcpy(base, durable, sizeof base);
	base_count = durable_count;
	recording = true;
}

uint32_t disk_end_record(void)
{
	recording = watching = false;
	return recorded_count;
}

void disk_replay(uint32_t count)
{
	assert(!watching && count <= recorded_count);
	copy_files(files, base_files);
	memcpy(durable, base, sizeof durable);
	memcpy(now, base, sizeof now);
	now_count = durable_count = base_count;
	op_count = 0;
	for (uint32_t i = 0; i < count; i++)
		change(&recorded[i]);
}

uint32_t disk_unsynced(void)
{
	size_t count = (size_t)op_count;
	for (int i = 0; i < file_count; i++)
		count += files[i].count;
	return (uint32_t)count;
}

uint32_t disk_sectors(uint32_t number)
{
	size_t of = number;
	if (of < (size_t)op_count)
		return 1;
	of -= (size_t)op_count;
	int file = 0;
	for (; of >= files[file].count; file++)
		of -= files[file].count;
	return sectors_of(&files[file].pending[of]);
}

/* --- the calls of the C library --- */

static int watched_file(int fd)
{
	return watching && fd >= 0 && fd < FDS_MAX ? file_of_fd[fd] - 1 : NONE;
}

static void opened(int fd, const char *path, int flags)
{
	if (fd < 0 || fd >= FDS_MAX)
		return;
	int file = file_at(path);
	if (file == NONE)
		file = make_file(path, false);
	file_of_fd[fd] = file + 1;
	if ((flags & O_TRUNC) != 0)
		change_bytes(file, 0, NULL, 0);
}

int open64(const char *path, int flags, ...);
int open64(const char *path, int flags, ...)
{
	unsigned mode = 0;
	if ((flags & O_CREAT) != 0) {
		va_list args;
		va_start(args, flags);
		mode = va_arg(args, unsigned);
		va_end(args);
	}
	if (!is_watched(path))
		return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
	pthread_mutex_lock(&lock);
	bool makes = (flags & O_CREAT) != 0 && file_at(path) == NONE;
	int fd = makes && !may_change() ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
	int why = errno;
	opened(fd, path, flags);
	pthread_mutex_unlock(&lock);
	errno = why;
	return fd;
}

int open(const char *path, int flags, ...) __attribute__((alias("open64")));

int close(int fd)
{
	if (fd >= 0 && fd < FDS_MAX && watching) {
		pthread_mutex_lock(&lock);
		file_of_fd[fd] = 0;
		pthread_mutex_unlock(&lock);
	}
	return (int)syscall(SYS_close, fd);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off_t at)
{
	int file = watched_file(fd);
	if (file == NONE)
		return syscall(SYS_pwrite64, fd, bytes, n, at);
	pthread_mutex_lock(&lock);
	ssize_t done = may_change() ? syscall(SYS_pwrite64, fd, bytes, n, at) : -1;
	if (done > 0)
		change_bytes(file, (uint64_t)at, bytes, (size_t)done);
	pthread_mutex_unlock(&lock);
	return done;
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) __attribute__((alias("pwrite64")));

ssize_t write(int fd, const void *bytes, size_t n)
{
	if (watched_file(fd) == NONE)
		return syscall(SYS_write, fd, bytes, n);
	off_t at = (off_t)syscall(SYS_lseek, fd, 0, SEEK_CUR);
	ssize_t done = pwrite64(fd, bytes, n, at);
	if (done > 0)
		syscall(SYS_lseek, fd, at + done, SEEK_SET);
	return done;
}

int ftruncate64(int fd, off_t len)
{
	int file = watched_file(fd);
	if (file == NONE)
		return (int)syscall(SYS_ftruncate, fd, len);
	pthread_mutex_lock(&lock);
	int rc = may_change() ? (int)syscall(SYS_ftruncate, fd, len) : -1;
	if (rc == 0)
		change_bytes(file, (uint64_t)len, NULL, 0);
	pthread_mutex_unlock(&lock);
	return rc;
}

int ftruncate(int fd, off_t len) __attribute__((alias("ftruncate64")));

static bool sync_or_forget(int file)
{
	if (is_dir[file] || syncs_left == 0 || --syncs_left > 0) {
		change(&(struct change){CHANGE_SYNC, .file = file});
		return true;
	}
	disk_figures.unsynced++;
	drop_pending(&files[file]);
	errno = EIO;
	return false;
}

/* The disk below is not waited for: what is durable is what is in memory here. */
int fdatasync(int fd)
{
	int file = watched_file(fd);
	if (file == NONE)
		return 0;
	pthread_mutex_lock(&lock);
	bool fine = may_change() && sync_or_forget(file);
	pthread_mutex_unlock(&lock);
	return fine ? 0 : -1;
}

int fsync(int fd) __attribute__((alias("fdatasync")));

static int drop_name(long call, const char *path)
{
	if (!is_watched(path))
		return (int)syscall(call, path);
	pthread_mutex_lock(&lock);
	int rc = may_change() ? (int)syscall(call, path) : -1;
	struct name name = name_of(path);
	if (rc == 0)
		change_names(NULL, NONE, &name);
	pthread_mutex_unlock(&lock);
	return rc;
}

int unlink(const char *path)
{
	return drop_name(SYS_unlink, path);
}

int rmdir(const char *path)
{
	return drop_name(SYS_rmdir, path);
}

static int move(const char *from, const char *to, unsigned flags)
{
	if (!is_watched(from))
		return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
	pthread_mutex_lock(&lock);
	int rc = may_change() ? (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags) : -1;
	int file = file_at(from);
	struct name lost = name_of(from);
	struct name made = name_of(to);
	if (rc == 0 && file != NONE)
		change_names(&made, file, &lost);
	pthread_mutex_unlock(&lock);
	return rc;
}

int rename(const char *from, const char *to)
{
	return move(from, to, 0);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	assert(from_dir == AT_FDCWD && to_dir == AT_FDCWD);
	return move(from, to, flags);
}

int mkdir(const char *path, mode_t mode)
{
	if (!is_watched(path))
		return (int)syscall(SYS_mkdir, path, mode);
	pthread_mutex_lock(&lock);
	int rc = may_change() ? (int)syscall(SYS_mkdir, path, mode) : -1;
	if (rc == 0)
		make_file(path, true);
	pthread_mutex_unlock(&lock);
	return rc;
}
