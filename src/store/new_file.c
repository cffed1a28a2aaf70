#include "store/new_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"
#include "base/sys.h"

enum { SYNC_AHEAD = 8 * 1024 * 1024, RANDOM_LEN = 8 };

static enum err failed(const char *path, const char *what, struct fault *fault)
{
	return errno == EEXIST ? fault_set(fault, ERR_CONFLICT, "%s exists already, and is not overwritten", path)
			       : sys_fail(fault, what, path, errno);
}

enum err new_file_create(struct new_file *f, const char *path, struct fault *fault)
{
	char random[RANDOM_LEN + 1];
	random_hex(random, RANDOM_LEN / 2);
	*f = (struct new_file){.fd = -1};
	if (snprintf(f->path, sizeof f->path, "%s", path) >= (int)sizeof f->path)
		return fault_set(fault, ERR_INVALID, "the path is too long: %.100s…", path);
	snprintf(f->part, sizeof f->part, "%s.%s" NEW_FILE_ENDING, path, random);
	if (access(path, F_OK) == 0)
		return fault_set(fault, ERR_CONFLICT, "%s exists already, and is not overwritten", path);
	f->fd = sys_create(f->part);
	if (f->fd < 0)
		return failed(f->part, "cannot make", fault);
	/* For new_file_clear alone: where there are no locks, nothing is cleared. */
	(void)!flock(f->fd, LOCK_EX | LOCK_NB);
	return ERR_NONE;
}

enum err new_file_write(void *file, struct slice bytes, struct fault *fault)
{
	struct new_file *f = file;
	if (sys_write(f->fd, bytes.p, bytes.len) != 0)
		return failed(f->part, "cannot write", fault);
	f->len += bytes.len;
	if (f->len - f->begun >= SYNC_AHEAD) {
		sys_begin_sync(f->fd, f->begun, f->len - f->begun);
		f->begun = f->len;
	}
	return ERR_NONE;
}

enum err new_file_commit(struct new_file *f, struct fault *fault)
{
	enum err err = ERR_NONE;
	if (sys_sync(f->fd) != 0)
		err = failed(f->part, "cannot sync", fault);
	else if (sys_rename_new(f->part, f->path) != 0)
		err = failed(f->path, "cannot rename a file to", fault);
	if (err) {
		new_file_abandon(f);
		return err;
	}
	close(f->fd);
	f->fd = -1;
	return sys_sync_parent(f->path) == 0 ? ERR_NONE : failed(f->path, "cannot sync the directory of", fault);
}

void new_file_abandon(struct new_file *f)
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
	       strcmp(name + n + 1 + RANDOM_LEN, NEW_FILE_ENDING) == 0;
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

void new_file_clear(const char *path)
{
	char folder[NEW_FILE_PATH_LEN];
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

enum err new_file_whole(const char *path, struct slice bytes, struct fault *fault)
{
	struct new_file f;
	enum err err = new_file_create(&f, path, fault);
	if (err)
		return err;
	err = new_file_write(&f, bytes, fault);
	if (!err)
		return new_file_commit(&f, fault);
	new_file_abandon(&f);
	return err;
}
