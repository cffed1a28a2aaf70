#include "base/system/file_replace.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/system/random.h"
#include "base/system/sys.h"

enum { SYNC_AHEAD = 8 * 1024 * 1024, RANDOM_LEN = 8 };

static enum err failed(const char *path, const char *what, struct fault *fault)
{
	return errno == EEXIST ? fault_set(fault, ERR_CONFLICT, "%s exists already, and is not overwritten", path)
			       : sys_fail(fault, what, path, errno);
}

enum err file_replace_create(struct file_replace *f, const char *path, struct fault *fault)
{
	char random[RANDOM_LEN + 1];
	random_hex(random, RANDOM_LEN / 2);
	*f = (struct file_replace){.fd = -1};
	if (snprintf(f->path, sizeof f->path, "%s", path) >= (int)sizeof f->path)
		return fault_set(fault, ERR_INVALID, "the path is too long: %.100s…", path);
	snprintf(f->part, sizeof f->part, "%s.%s" FILE_REPLACE_ENDING, path, random);
	if (access(path, F_OK) == 0)
		return fault_set(fault, ERR_CONFLICT, "%s exists already, and is not overwritten", path);
	f->fd = sys_create(f->part);
	if (f->fd < 0)
		return failed(f->part, "cannot make", fault);
	/* For file_replace_clear alone: where there are no locks, nothing is cleared. */
	(void)!flock(f->fd, LOCK_EX | LOCK_NB);
	return ERR_NONE;
}

enum err file_replace_write(void *file, struct slice bytes, struct fault *fault)
{
	struct file_replace *f = file;
	if (sys_write(f->fd, bytes.p, bytes.len) != 0)
		return failed(f->part, "cannot write", fault);
	f->len += bytes.len;
	if (f->len - f->begun >= SYNC_AHEAD) {
		sys_begin_sync(f->fd, f->begun, f->len - f->begun);
		f->begun = f->len;
	}
	return ERR_NONE;
}

enum err file_replace_commit(struct file_replace *f, struct fault *fault)
{
	enum err err = ERR_NONE;
	if (sys_sync(f->fd) != 0)
		err = failed(f->part, "cannot sync", fault);
	else if (sys_rename_new(f->part, f->path) != 0)
		err = failed(f->path, "cannot rename a file to", fault);
	if (err) {
		file_replace_abandon(f);
		return err;
	}
	close(f->fd);
	f->fd = -1;
	return sys_sync_parent(f->path) == 0 ? ERR_NONE : failed(f->path, "cannot sync the directory of", fault);
}

void file_replace_abandon(struct file_replace *f)
{
	if (f->fd < 0)
		return;
	close(f->fd);
	f->fd = -1;
	sys_remove(f->part);
}

/* --- what was left --- */

static bool is_part(const char *name, const char *base)
{
	size_t n = strlen(base);
	return strncmp(name, base, n) == 0 && name[n] == '.' && strspn(name + n + 1, "0123456789abcdef") == RANDOM_LEN &&
	       strcmp(name + n + 1 + RANDOM_LEN, FILE_REPLACE_ENDING) == 0;
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

void file_replace_clear(const char *path)
{
	char folder[FILE_REPLACE_PATH_LEN];
	const char *slash = strrchr(path, '/');
	const char *base = slash != NULL ? slash + 1 : path;
	int n = snprintf(folder, sizeof folder, "%.*s", (int)(base - path), path);
	DIR *dir = n < (int)sizeof folder ? opendir(n > 0 ? folder : ".") : NULL;
	if (dir == NULL)
		return;
	for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
		if (is_part(entry->d_name, base))
			clear(dirfd(dir), entry->d_name);
	closedir(dir);
}

enum err file_replace_whole(const char *path, struct slice bytes, struct fault *fault)
{
	struct file_replace f;
	enum err err = file_replace_create(&f, path, fault);
	if (err)
		return err;
	err = file_replace_write(&f, bytes, fault);
	if (!err)
		return file_replace_commit(&f, fault);
	file_replace_abandon(&f);
	return err;
}
