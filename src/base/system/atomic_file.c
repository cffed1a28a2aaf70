#include "base/system/atomic_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/system/path.h"
#include "base/system/random.h"
#include "base/system/sys.h"

enum { SYNC_AHEAD = 8 * 1024 * 1024, RANDOM_LEN = 8 };

static enum err failed(const char *path, const char *what, struct fault *fault)
{
	return errno == EEXIST ? fault_set(fault, ERR_CONFLICT, "%s exists already, and is not overwritten", path)
			       : sys_fail(fault, what, path, errno);
}

enum err atomic_file_create(struct atomic_file *f, const char *path, enum atomic_file_mode mode, struct fault *fault)
{
	char random[RANDOM_LEN + 1];
	random_hex(random, RANDOM_LEN / 2);
	*f = (struct atomic_file){.fd = -1, .mode = mode};
	if (!path_format(f->path, "%s", path) || !path_format(f->part, "%s.%s" ATOMIC_FILE_ENDING, path, random))
		return fault_set(fault, ERR_INVALID, "the path is too long: %.100s…", path);
	if (mode == ATOMIC_FILE_NEW && access(path, F_OK) == 0)
		return fault_set(fault, ERR_CONFLICT, "%s exists already, and is not overwritten", path);
	f->fd = sys_create(f->part);
	if (f->fd < 0)
		return failed(f->part, "cannot make", fault);
	/* For atomic_file_clear alone: where there are no locks, nothing is cleared. */
	(void)!flock(f->fd, LOCK_EX | LOCK_NB);
	return ERR_NONE;
}

enum err atomic_file_write(void *file, struct slice bytes, struct fault *fault)
{
	struct atomic_file *f = file;
	if (sys_write(f->fd, bytes.p, bytes.len) != 0)
		return failed(f->part, "cannot write", fault);
	f->len += bytes.len;
	if (f->len - f->begun >= SYNC_AHEAD) {
		sys_begin_sync(f->fd, f->begun, f->len - f->begun);
		f->begun = f->len;
	}
	return ERR_NONE;
}

static enum err put_in_place(int fd, const char *from, const char *to, enum atomic_file_mode mode, struct fault *fault)
{
	if (sys_sync(fd) != 0)
		return failed(from, "cannot sync", fault);
	if ((mode == ATOMIC_FILE_NEW ? sys_rename_new(from, to) : sys_rename(from, to)) != 0)
		return failed(to, "cannot rename a file to", fault);
	return ERR_NONE;
}

static enum err sync_name(const char *path, struct fault *fault)
{
	return sys_sync_parent(path) == 0 ? ERR_NONE : failed(path, "cannot sync the directory of", fault);
}

enum err atomic_file_commit(struct atomic_file *f, struct fault *fault)
{
	enum err err = put_in_place(f->fd, f->part, f->path, f->mode, fault);
	if (err) {
		atomic_file_abandon(f);
		return err;
	}
	close(f->fd);
	f->fd = -1;
	return sync_name(f->path, fault);
}

void atomic_file_abandon(struct atomic_file *f)
{
	if (f->fd < 0)
		return;
	close(f->fd);
	f->fd = -1;
	sys_remove(f->part);
}

/* --- what interrupted attempts have left --- */

static bool is_part(const char *name, const char *base)
{
	size_t n = strlen(base);
	return strncmp(name, base, n) == 0 && name[n] == '.' && strspn(name + n + 1, "0123456789abcdef") == RANDOM_LEN &&
	       strcmp(name + n + 1 + RANDOM_LEN, ATOMIC_FILE_ENDING) == 0;
}

static void clear(int dir, const char *name)
{
	struct stat st;
	int fd = openat(dir, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return;
	/* An empty one may have been made just now, and get its lock yet. */
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		unlinkat(dir, name, 0);
	close(fd);
}

void atomic_file_clear(const char *path)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(path, '/');
	const char *base = slash != NULL ? slash + 1 : path;
	bool fits = path_format(folder, "%.*s", (int)(base - path), path);
	DIR *dir = fits ? opendir(base > path ? folder : ".") : NULL;
	if (dir == NULL)
		return;
	for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
		if (is_part(entry->d_name, base))
			clear(dirfd(dir), entry->d_name);
	closedir(dir);
}

enum err atomic_file_save(const char *path, enum atomic_file_mode mode, struct slice bytes, struct fault *fault)
{
	struct atomic_file f;
	enum err err = atomic_file_create(&f, path, mode, fault);
	if (err)
		return err;
	err = atomic_file_write(&f, bytes, fault);
	if (!err)
		return atomic_file_commit(&f, fault);
	atomic_file_abandon(&f);
	return err;
}

enum err atomic_file_move(const char *from, const char *to, struct fault *fault)
{
	int fd = open(from, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return failed(from, "cannot open", fault);
	enum err err = put_in_place(fd, from, to, ATOMIC_FILE_REPLACE, fault);
	close(fd);
	return err ? err : sync_name(to, fault);
}
