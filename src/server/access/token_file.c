#include "server/access/token_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/system/atomic_file.h"
#include "base/system/sys.h"

enum { FILE_BYTES_MAX = 8 * 1024 * 1024, OTHERS_WRITE = S_IWGRP | S_IWOTH, OTHERS_READ = S_IRGRP | S_IROTH };

static enum err read_all(int fd, const char *path, struct buf *out, struct fault *fault)
{
	enum { PIECE = 16 * 1024 };
	for (;;) {
		if (out->len > FILE_BYTES_MAX || !buf_reserve(out, PIECE))
			return fault_set(fault, ERR_NOMEM, "%s: the file is too large", path);
		ssize_t n = read(fd, out->data + out->len, PIECE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fault_set(fault, ERR_IO, "%s: %s", path, strerror(errno));
		if (n == 0)
			return ERR_NONE;
		out->len += (size_t)n;
	}
}

static enum err check_mode(int fd, const char *path, bool *open, struct fault *fault)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return fault_set(fault, ERR_IO, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return fault_set(fault, ERR_INVALID, "%s: not a regular file", path);
	if ((st.st_mode & OTHERS_WRITE) != 0)
		return fault_set(fault, ERR_DENIED, "%s: other users may write to it: chmod 600 it", path);
	*open = (st.st_mode & OTHERS_READ) != 0;
	return ERR_NONE;
}

enum err token_file_read(const char *path, struct tokens **out, struct buf *text, bool *open_to_others, struct fault *fault)
{
	struct buf own;
	struct fault inside;
	*out = NULL;
	*open_to_others = false;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return fault_set(fault, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s: %s", path, strerror(errno));
	buf_init(&own);
	struct buf *all = text != NULL ? text : &own;
	enum err err = check_mode(fd, path, open_to_others, fault);
	if (!err)
		err = read_all(fd, path, all, fault);
	close(fd);
	if (!err) {
		err = tokens_parse(buf_slice(all), out, &inside);
		if (err)
			fault_set(fault, err, "%s:%ld: %s", path, inside.place, inside.text);
	}
	buf_finish(&own);
	return err;
}

static int open_folder(const char *path)
{
	char copy[PATH_MAX];
	if (!path_format(copy, "%s", path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* root may change the tokens of a server that runs as another user; that user must be able to read the new file. */
static enum err keep_owner(int fd, const char *path, struct fault *fault)
{
	struct stat old;
	struct stat own;
	if (stat(path, &old) != 0)
		return errno == ENOENT ? ERR_NONE : sys_fail(fault, "cannot read the owner of", path, errno);
	bool same = fstat(fd, &own) == 0 && own.st_uid == old.st_uid && own.st_gid == old.st_gid;
	return same || fchown(fd, old.st_uid, old.st_gid) == 0 ? ERR_NONE
							       : sys_fail(fault, "cannot keep the owner of", path, errno);
}

enum err token_file_write(const char *path, struct slice text, struct fault *fault)
{
	struct atomic_file f;
	atomic_file_clear(path);
	enum err err = atomic_file_create(&f, path, ATOMIC_FILE_REPLACE, fault);
	if (err)
		return err;
	err = keep_owner(f.fd, path, fault);
	if (!err)
		err = atomic_file_write(&f, text, fault);
	if (!err)
		return atomic_file_commit(&f, fault);
	atomic_file_abandon(&f);
	return err;
}

/* The directory is locked, because the file itself is replaced. */
enum err token_file_lock(const char *path, int *lock, struct fault *fault)
{
	*lock = open_folder(path);
	if (*lock >= 0 && flock(*lock, LOCK_EX) == 0)
		return ERR_NONE;
	return fault_set(fault, ERR_IO, "%s: %s", path, strerror(errno));
}
