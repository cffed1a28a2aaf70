#include "base/system/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/system/path.h"

bool (*sys_fault)(const char *call);

static bool fails(const char *call)
{
	if (sys_fault == NULL || !sys_fault(call))
		return false;
	errno = EIO;
	return true;
}

enum err sys_err(int why)
{
	return why == ENOSPC || why == EDQUOT ? ERR_FULL : ERR_IO;
}

/* Of the disk that a path is on, or its directory where it is not there. */
static bool disk_free(const char *path, uint64_t *bytes)
{
	char parent[PATH_MAX];
	struct statvfs disk;
	path_format(parent, "%s", path);
	if (statvfs(path, &disk) != 0 && statvfs(dirname(parent), &disk) != 0)
		return false;
	*bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
	return true;
}

/* Where a call said nothing, the file may. */
static int find_reason(const char *path)
{
	uint64_t bytes;
	if (access(path, W_OK) != 0)
		return errno;
	return disk_free(path, &bytes) && bytes == 0 ? ENOSPC : EIO;
}

enum err sys_fail(struct fault *fault, const char *what, const char *path, int why)
{
	uint64_t bytes = 0;
	why = why != 0 ? why : find_reason(path);
	const char *reason = why == EDQUOT  ? "the quota of the disk is used up"
			     : why == EROFS ? "the disk is read-only"
					    : strerror(why);
	if (why == ENOSPC && disk_free(path, &bytes))
		return fault_set(fault, ERR_FULL, "%s %s: the disk is full, %" PRIu64 " KiB are free", what, path,
				 bytes / 1024);
	return fault_set(fault, sys_err(why), "%s %s: %s", what, path, reason);
}

int sys_create(const char *path)
{
	return fails("create") ? -1 : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

int sys_write(int fd, const void *bytes, size_t n)
{
	if (fails("write"))
		return -1;
	for (size_t done = 0; done < n;) {
		ssize_t put = write(fd, (const char *)bytes + done, n - done);
		if (put < 0 && errno == EINTR)
			continue;
		if (put == 0)
			errno = ENOSPC;
		if (put <= 0)
			return -1;
		done += (size_t)put;
	}
	return 0;
}

void sys_begin_sync(int fd, uint64_t at, size_t n)
{
	sync_file_range(fd, (off_t)at, (off_t)n, SYNC_FILE_RANGE_WRITE);
}

int sys_sync(int fd)
{
	return fails("sync") ? -1 : fsync(fd);
}

int sys_rename_new(const char *from, const char *to)
{
	if (fails("rename"))
		return -1;
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	/* A file system that cannot: a second name does the same. */
	return link(from, to) == 0 ? unlink(from) : -1;
}

int sys_rename(const char *from, const char *to)
{
	return fails("rename") ? -1 : rename(from, to);
}

int sys_remove(const char *path)
{
	return fails("remove") ? -1 : unlink(path);
}

int sys_sync_dir(const char *dir)
{
	if (fails("sync dir"))
		return -1;
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	int rc = fsync(fd);
	int why = errno;
	close(fd);
	errno = why;
	return rc;
}

int sys_sync_parent(const char *path)
{
	char parent[PATH_MAX];
	size_t len = strlen(path);
	while (len > 1 && path[len - 1] == '/')
		len--;
	while (len > 0 && path[len - 1] != '/')
		len--;
	while (len > 1 && path[len - 1] == '/')
		len--;
	if (len >= sizeof parent) {
		errno = ENAMETOOLONG;
		return -1;
	}
	path_format(parent, "%.*s", len > 0 ? (int)len : 1, len > 0 ? path : ".");
	return sys_sync_dir(parent);
}

void sys_boot(char *out, size_t size)
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, out, size - 1) : 0;
	if (fd >= 0)
		close(fd);
	out[n > 0 ? n : 0] = '\0';
	out[strcspn(out, "\n")] = '\0';
}

static int lock(int fd, bool shared)
{
	if (fd >= 0 && flock(fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0)
		return fd;
	int why = errno;
	if (fd >= 0)
		close(fd);
	errno = why;
	return -1;
}

int sys_lock_dir(const char *dir, const char *name, bool shared, int *fd)
{
	char path[PATH_MAX];
	*fd = lock(open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), shared);
	if (*fd < 0 && (errno == EBADF || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOLCK)) {
		path_format(path, "%s/%s", dir, name);
		*fd = lock(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), shared);
	}
	return *fd < 0 ? -1 : 0;
}

uint64_t sys_resident(void)
{
	unsigned long pages = 0; /* the second field */
	FILE *f = fopen("/proc/self/statm", "r");
	if (f == NULL)
		return 0;
	if (fscanf(f, "%*s %lu", &pages) != 1)
		pages = 0;
	fclose(f);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}
