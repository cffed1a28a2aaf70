#include "server/access/token_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

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
		return fault_set(fault, ERR_INVALID, "%s: is no file", path);
	if ((st.st_mode & OTHERS_WRITE) != 0)
		return fault_set(fault, ERR_DENIED, "%s: others than its owner may write to it (chmod 600 it)", path);
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

static bool write_all(int fd, struct slice text)
{
	while (text.len > 0) {
		ssize_t n = write(fd, text.p, text.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		text = (struct slice){text.p + n, text.len - (size_t)n};
	}
	return fsync(fd) == 0;
}

static int open_folder(const char *path)
{
	char copy[PATH_MAX];
	if (snprintf(copy, sizeof copy, "%s", path) >= (int)sizeof copy) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Whoever changes the tokens may be root; the server that reads them is not, and has to be able to after it as before. */
static bool keep_owner(int fd, const char *path)
{
	struct stat old;
	struct stat own;
	if (stat(path, &old) != 0)
		return errno == ENOENT;
	bool same = fstat(fd, &own) == 0 && own.st_uid == old.st_uid && own.st_gid == old.st_gid;
	return same || fchown(fd, old.st_uid, old.st_gid) == 0;
}

enum err token_file_write(const char *path, struct slice text, struct fault *fault)
{
	char new[PATH_MAX];
	int folder = open_folder(path);
	bool named = snprintf(new, sizeof new, "%s.new", path) < (int)sizeof new;
	int fd = folder >= 0 && named ? open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
	/* A name is durable only when its directory is. */
	bool fine = fd >= 0 && fchmod(fd, 0600) == 0 && keep_owner(fd, path) && write_all(fd, text) &&
		    rename(new, path) == 0 && fsync(folder) == 0;
	int why = errno;
	if (fd >= 0)
		close(fd);
	if (fd >= 0 && !fine)
		unlink(new);
	if (folder >= 0)
		close(folder);
	return fine ? ERR_NONE : fault_set(fault, ERR_IO, "%s: %s", path, strerror(why));
}

/* The directory is what is locked: the file itself is replaced. */
enum err token_file_lock(const char *path, int *lock, struct fault *fault)
{
	*lock = open_folder(path);
	if (*lock >= 0 && flock(*lock, LOCK_EX) == 0)
		return ERR_NONE;
	return fault_set(fault, ERR_IO, "%s: %s", path, strerror(errno));
}
