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
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SECTOR = 512, FILES_MAX = 256, ENTRIES_MAX = 256, FDS_MAX = 1024, PENDING_MAX = 65536, OPS_MAX = 1024 };

/* A write that is not on the disk yet; bytes NULL: the file was cut or stretched to `at`. */
struct pending {
	uint64_t at;
	size_t len;
	unsigned char *bytes;
};

/* What names stand for. */
struct file {
	unsigned char *durable;
	size_t len;
	struct pending *pending;
	size_t count;
};

/* A name in some directory; file -1: a directory. */
struct entry {
	char path[PATH_MAX];
	int file;
};

/* A change of a directory that is not on the disk yet: a name begins to stand for a file, another one goes. Empty: none. */
struct op {
	char path[PATH_MAX];
	char gone[PATH_MAX];
	int file;
};

enum { A_DIRECTORY = -1 };

struct disk_figures disk_figures;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX]; /* empty: nothing is watched */
static struct file files[FILES_MAX];
static int file_count;
static struct entry now[ENTRIES_MAX];
static int now_count;
static struct entry durable[ENTRIES_MAX];
static int durable_count;
static struct op *ops; /* OPS_MAX */
static int op_count;
static int file_of_fd[FDS_MAX]; /* file + 1; 0: not watched */
static char *dir_of_fd[FDS_MAX];
static uint64_t left; /* changes until the cut; 0: there will be none */
static bool cut;
static uint64_t syncs_left; /* until one fails; 0: none will */

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
	return len > 0 && strncmp(path, root, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static struct entry *find(struct entry *entries, int count, const char *path)
{
	for (int i = 0; i < count; i++)
		if (strcmp(entries[i].path, path) == 0)
			return &entries[i];
	return NULL;
}

static void put(struct entry *entries, int *count, const struct op *o)
{
	struct entry *gone = find(entries, *count, o->gone);
	if (gone != NULL)
		*gone = entries[--*count];
	if (o->path[0] == '\0')
		return;
	struct entry *e = find(entries, *count, o->path);
	if (e == NULL) {
		assert(*count < ENTRIES_MAX);
		e = &entries[(*count)++];
		snprintf(e->path, sizeof e->path, "%s", o->path);
	}
	e->file = o->file;
}

static void change_name(const char *path, int file, const char *gone)
{
	assert(op_count < OPS_MAX);
	struct op *o = &ops[op_count++];
	snprintf(o->path, sizeof o->path, "%s", path);
	snprintf(o->gone, sizeof o->gone, "%s", gone);
	o->file = file;
	put(now, &now_count, o);
}

static bool is_in(const char *path, const char *dir)
{
	size_t len = strlen(dir);
	return strncmp(path, dir, len) == 0 && path[len] == '/' && strchr(path + len + 1, '/') == NULL;
}

/* A rename over directories is one change: it is durable when either of them is. */
static void sync_names(const char *dir)
{
	int kept = 0;
	for (int i = 0; i < op_count; i++) {
		if (is_in(ops[i].path, dir) || is_in(ops[i].gone, dir))
			put(durable, &durable_count, &ops[i]);
		else
			ops[kept++] = ops[i];
	}
	op_count = kept;
}

/* --- contents --- */

static void apply(struct file *f, const struct pending *p)
{
	if (p->bytes == NULL) {
		unsigned char *cut_to = realloc(f->durable, p->at > 0 ? p->at : 1);
		assert(cut_to != NULL);
		f->durable = cut_to;
		if (p->at > f->len)
			memset(f->durable + f->len, 0, p->at - f->len);
		f->len = p->at;
		return;
	}
	if (p->at + p->len > f->len)
		apply(f, &(struct pending){.at = p->at + p->len});
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

static void add_pending(int file, uint64_t at, const void *bytes, size_t len)
{
	struct file *f = &files[file];
	if (f->pending == NULL)
		f->pending = calloc(PENDING_MAX, sizeof *f->pending);
	assert(f->pending != NULL && f->count < PENDING_MAX);
	struct pending p = {.at = at, .len = len};
	if (bytes != NULL) {
		p.bytes = malloc(len > 0 ? len : 1);
		assert(p.bytes != NULL);
		memcpy(p.bytes, bytes, len);
	}
	f->pending[f->count++] = p;
}

/* Of a write sector by sector, of anything else all or nothing; `odds` of 256 that a piece is there. */
static void lose(struct file *f, uint64_t *random, unsigned odds)
{
	for (size_t i = 0; i < f->count; i++) {
		struct pending *p = &f->pending[i];
		size_t pieces = 0;
		size_t kept = 0;
		for (size_t at = 0; at < p->len || pieces == 0; pieces++) {
			size_t end = p->bytes == NULL ? p->len : (p->at + at) / SECTOR * SECTOR + SECTOR - p->at;
			end = end > p->len ? p->len : end;
			if (disk_random(random) % 256 < odds) {
				struct pending piece = {p->at + at, end - at, p->bytes != NULL ? p->bytes + at : NULL};
				apply(f, &piece);
				kept++;
			}
			at = end;
		}
		disk_figures.lost += pieces - kept;
		disk_figures.torn += kept > 0 && kept < pieces;
	}
	drop_pending(f);
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
	cut = false;
	left = syncs_left = 0;
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

static void forget_files(void)
{
	for (int i = 0; i < file_count; i++) {
		drop_pending(&files[i]);
		free(files[i].pending);
		free(files[i].durable);
		files[i] = (struct file){0};
	}
	file_count = 0;
	now_count = durable_count = op_count = 0;
}

void disk_forget(void)
{
	forget_files();
	root[0] = '\0';
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

/* Each change that was not synced is there with that chance, of 256. */
static void restore(uint64_t random, unsigned chance)
{
	pthread_mutex_lock(&lock);
	for (int i = 0; i < op_count; i++) {
		bool kept = disk_random(&random) % 256 < chance;
		if (kept)
			put(durable, &durable_count, &ops[i]);
		disk_figures.lost += !kept;
	}
	op_count = 0;
	for (int i = 0; i < file_count; i++)
		lose(&files[i], &random, chance);
	/* What is there now goes, but for directories: whoever made one synced its parent at once. */
	for (int i = 0; i < now_count; i++)
		if (now[i].file != A_DIRECTORY)
			syscall(SYS_unlink, now[i].path);
	for (int i = 0; i < durable_count; i++)
		if (durable[i].file != A_DIRECTORY)
			write_out(durable[i].path, &files[durable[i].file]);
	memcpy(now, durable, sizeof now);
	now_count = durable_count;
	cut = false;
	left = syncs_left = 0;
	pthread_mutex_unlock(&lock);
}

void disk_restore(uint64_t seed)
{
	static const unsigned odds[] = {0, 64, 128, 224, 256};
	uint64_t random = seed;
	unsigned chance = odds[disk_random(&random) % 5];
	restore(random, chance);
}

void disk_keep(void)
{
	restore(0, 256);
}

/* --- the calls of the C library --- */

static int watched_file(int fd)
{
	return root[0] != '\0' && fd >= 0 && fd < FDS_MAX ? file_of_fd[fd] - 1 : -1;
}

static void opened(int fd, const char *path, int flags)
{
	struct stat st;
	if (fd < 0 || fd >= FDS_MAX || fstat(fd, &st) != 0)
		return;
	if (S_ISDIR(st.st_mode)) {
		dir_of_fd[fd] = strdup(path);
		return;
	}
	struct entry *e = find(now, now_count, path);
	if (e == NULL) {
		assert(file_count < FILES_MAX);
		change_name(path, file_count++, "");
		e = find(now, now_count, path);
	}
	file_of_fd[fd] = e->file + 1;
	if ((flags & O_TRUNC) != 0)
		add_pending(e->file, 0, NULL, 0);
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
	bool makes = (flags & O_CREAT) != 0 && find(now, now_count, path) == NULL;
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
	if (fd >= 0 && fd < FDS_MAX && root[0] != '\0') {
		pthread_mutex_lock(&lock);
		file_of_fd[fd] = 0;
		free(dir_of_fd[fd]);
		dir_of_fd[fd] = NULL;
		pthread_mutex_unlock(&lock);
	}
	return (int)syscall(SYS_close, fd);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off_t at)
{
	int file = watched_file(fd);
	if (file < 0)
		return syscall(SYS_pwrite64, fd, bytes, n, at);
	pthread_mutex_lock(&lock);
	ssize_t done = may_change() ? syscall(SYS_pwrite64, fd, bytes, n, at) : -1;
	if (done > 0)
		add_pending(file, (uint64_t)at, bytes, (size_t)done);
	pthread_mutex_unlock(&lock);
	return done;
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) __attribute__((alias("pwrite64")));

ssize_t write(int fd, const void *bytes, size_t n)
{
	if (watched_file(fd) < 0)
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
	if (file < 0)
		return (int)syscall(SYS_ftruncate, fd, len);
	pthread_mutex_lock(&lock);
	int rc = may_change() ? (int)syscall(SYS_ftruncate, fd, len) : -1;
	if (rc == 0)
		add_pending(file, (uint64_t)len, NULL, 0);
	pthread_mutex_unlock(&lock);
	return rc;
}

int ftruncate(int fd, off_t len) __attribute__((alias("ftruncate64")));

static bool sync_or_forget(struct file *f)
{
	if (syncs_left == 0 || --syncs_left > 0) {
		sync_file(f);
		return true;
	}
	disk_figures.unsynced++;
	drop_pending(f);
	errno = EIO;
	return false;
}

/* The disk below is not waited for: what is durable is what is in memory here. */
int fdatasync(int fd)
{
	if (root[0] == '\0' || fd < 0 || fd >= FDS_MAX)
		return 0;
	pthread_mutex_lock(&lock);
	bool fine = may_change();
	if (fine && dir_of_fd[fd] != NULL)
		sync_names(dir_of_fd[fd]);
	else if (fine && file_of_fd[fd] > 0)
		fine = sync_or_forget(&files[file_of_fd[fd] - 1]);
	pthread_mutex_unlock(&lock);
	return fine ? 0 : -1;
}

int fsync(int fd) __attribute__((alias("fdatasync")));

int unlink(const char *path)
{
	if (!is_watched(path))
		return (int)syscall(SYS_unlink, path);
	pthread_mutex_lock(&lock);
	int rc = may_change() ? (int)syscall(SYS_unlink, path) : -1;
	if (rc == 0)
		change_name("", 0, path);
	pthread_mutex_unlock(&lock);
	return rc;
}

static int move(const char *from, const char *to, unsigned flags)
{
	if (!is_watched(from))
		return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
	pthread_mutex_lock(&lock);
	int rc = may_change() ? (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags) : -1;
	struct entry *e = find(now, now_count, from);
	if (rc == 0 && e != NULL)
		change_name(to, e->file, from);
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
		change_name(path, A_DIRECTORY, "");
	pthread_mutex_unlock(&lock);
	return rc;
}
